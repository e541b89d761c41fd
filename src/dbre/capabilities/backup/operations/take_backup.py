"""``backup.take``: copy a server, verify the copy, store it with its log in every vault, and seal it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.catalog.sets import find_set, get_set, insert_set, list_sets, update_set
from dbre.capabilities.backup.log.gaps import Coverage
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.policy.chain import choose
from dbre.capabilities.backup.taking.anomaly import anomalies
from dbre.capabilities.backup.taking.completing import LogWait, wait_for_log
from dbre.capabilities.backup.taking.parts import TakingParts
from dbre.capabilities.backup.taking.planning import Taking, plan_of, told_warnings
from dbre.capabilities.backup.taking.receiver import own_log_only, why_not_received
from dbre.capabilities.backup.taking.records import (
    STAGED,
    STORING,
    for_vault,
    new_set,
    require_as_ordered,
    staged_at,
    told,
    with_facts,
)
from dbre.capabilities.backup.taking.remedy import is_remedy
from dbre.capabilities.backup.taking.source import find_primary, find_source, require_copyable
from dbre.capabilities.backup.taking.staging import SetStaging, forget_manifest, require_space
from dbre.capabilities.backup.taking.vaults import open_set_vault, require_vaults
from dbre.core.errors import DbreError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, Tunable, Verification, step
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import Plan
from dbre.core.text import counted, printable
from dbre.core.units import parse_duration
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged, CopyFailed
from dbre.ports.backup.log_source import HasLogSource
from dbre.ports.backup.model import CopyKind, CopyOrder

__all__ = ["TakeBackup", "TakeBackupInput"]

_LONGEST_COPY_SECONDS = 7 * 86_400.0
_LONGEST_WAIT_SECONDS = 86_400.0
_SHOWN_FAULTS = 5
_DONE = frozenset({SetState.COPIED, SetState.VERIFIED, SetState.SEALED})


class TakeBackupInput(BaseModel):
    """What is copied."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Literal["auto", "full", "incremental", "differential", "logical", "snapshot"] = "auto"
    """``auto``: an increment where one can stand on the newest set, else a full copy."""
    instance: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """This server, whatever the policy says of replicas."""
    self_contained: bool = False
    """The copy holds the log that makes it consistent; it does not wait for the archive."""


class TakeBackup(TakingParts, Operation[TakeBackupInput]):
    """Make a set: a copy that was verified, lies in every vault with its log, and can be restored from."""

    kind, version = "backup.take", 1
    document = TakeBackupInput
    tunables: ClassVar[Mapping[str, Tunable]] = {
        "log-wait": Tunable(
            default=3600.0,
            parse=lambda text: parse_duration(text).total_seconds(),
            summary="how long to wait for the log that makes the copy consistent: 1h",
        ),
    }

    async def plan(self, context: PlanContext, asked: TakeBackupInput) -> Plan:
        """Survey the server and choose the kind of copy.

        Raises: UsageError for a cluster without policy or a vault that is not configured; NotCopyable, NoSuchCopy;
        Unreachable.
        """
        cluster = self.ground.fleet.cluster(asked.cluster)
        policy = self.ground.require_policy(cluster.name)
        ready = await require_vaults(self.ground, policy, cluster.name)
        port = self.ground.port_of(cluster, provider=policy.provider)
        source = await find_source(
            port, cluster, from_replica=policy.from_replica, instance=asked.instance, application_name=context.application_name
        )
        doubts = require_copyable(source)
        catalog = await load_catalog(self.store_of_sets, cluster.name)
        kind = None if asked.kind == "auto" else CopyKind(asked.kind)
        choice = choose(kind, port.kinds(), ready.corrected(catalog), policy, source.survey, vaults=self.ground.vaults)
        has_log = source.survey.position is not None
        includes_log = has_log and (asked.self_contained or policy.log.mode == "none")
        if has_log and not includes_log:
            why = await why_not_received(port, cluster, policy, catalog, application_name=context.application_name)
            if why is not None:
                includes_log = True
                doubts = (own_log_only(why), *doubts)
        needs_log = has_log and not includes_log
        warnings = (*told_warnings(catalog, source, policy, needs_log=needs_log), *doubts, *ready.doubts)
        mends = choice.parent is None and await is_remedy(
            self.store_of_sets, cluster.name, catalog, source.survey, now=context.clock.now()
        )
        return plan_of(
            Taking(
                cluster=cluster.name,
                policy=policy,
                source=source,
                choice=choice,
                catalog=catalog,
                includes_log=includes_log,
                needs_log=needs_log,
                warnings=warnings,
                is_remedy=mends,
            )
        )

    @step(timeout_seconds=300.0, idempotent=True)
    async def precheck(self, context: StepContext) -> Mapping[str, Any]:
        """Look once more at what the plan relies on, and note in the catalog that the set is being made."""
        given, set_id = context.input, self.set_id(context)
        cluster, policy, port = self.parts(context)
        source = await self.source(context, port, cluster)
        require_copyable(source)
        survey = source.survey
        if survey.system_id != given["system_id"]:
            raise PlanChanged(
                f"{source.instance} is system {survey.system_id} now, and was {given['system_id']} when it was planned",
                hint="the server was rebuilt or another one answers at its address; plan again",
            )
        parent = await self.parent(given)
        kind = CopyKind(given["kind"])
        needed = parent.bytes_source if parent is not None and parent.kind is kind else survey.data_bytes
        await asyncio.to_thread(require_space, self.ground, needed or 0)
        async with self.store_of_sets.begin() as connection:
            if await get_set(connection, set_id) is None:
                made = new_set(
                    given,
                    survey,
                    set_id=set_id,
                    engine=cluster.engine,
                    provider=policy.provider,
                    now=context.clock.now(),
                    operation_id=context.token.operation_id,
                )
                await insert_set(connection, made)
        return {"set": set_id, "version": survey.version_text, "data_bytes": survey.data_bytes}

    @step(timeout_seconds=_LONGEST_COPY_SECONDS, idempotent=True)
    async def copy(self, context: StepContext) -> Mapping[str, Any]:
        """Copy into an empty directory of this attempt; nothing of an earlier attempt is used."""
        given, set_id = context.input, self.set_id(context)
        cluster, policy, port = self.parts(context)
        source = await self.source(context, port, cluster)
        directory = await SetStaging(self.ground, set_id).prepare(context.token.attempt)
        order = CopyOrder(
            set_id=set_id,
            kind=CopyKind(given["kind"]),
            directory=directory,
            parent=await self.parent_copy(given),
            includes_log=given["includes_log"],
            bytes_per_second=policy.bytes_per_second,
        )
        facts = await port.copy(source.access, order, _progress(context))
        require_as_ordered(facts, given)
        async with self.store_of_sets.begin() as connection:
            known = await find_set(connection, set_id)
            found = with_facts(known, facts, directory)
            await update_set(connection, found)
        for warning in facts.warnings:
            await context.note(warning)
        return told(found)

    @copy.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Only a copy that was noted as complete, and still lies where it was put, is one."""
        found = await self.row(context)
        directory = staged_at(found) if found is not None and found.state in _DONE else None
        if found is None or directory is None or not directory.is_dir():
            raise NotHappened("no copy was noted as complete on this machine")
        return told(found)

    @step(timeout_seconds=_LONGEST_COPY_SECONDS, idempotent=True)
    async def verify_copy(self, context: StepContext) -> Mapping[str, Any]:
        """Compare every file with the manifest. Raises: CopyDamaged."""
        _, _, port = self.parts(context)
        found, directory = await self.staged(context)
        checked = await port.verify(directory)
        if not checked.is_good:
            shown = "; ".join(
                printable(f"{one.subject}: {one.detail} ({one.rule})", limit=200) for one in checked.faults[:_SHOWN_FAULTS]
            )
            raise CopyDamaged(
                f"the copy of {found.cluster} has {counted(len(checked.faults), 'fault')}: {shown}",
                hint="the disk or the memory of this machine changed it; look at the machine, then take another one",
                context={"set": found.id, "faults": [one.rule for one in checked.faults[:20]]},
            )
        if checked.remarks:
            raise CopyDamaged(
                f"the copy of {found.cluster} cannot be trusted: {'; '.join(checked.remarks)}",
                hint="SHA-256 was asked for, and the server wrote a manifest without it: look at the server",
                context={"set": found.id},
            )
        digest = await self.keep_manifest(found, directory)
        async with self.store_of_sets.begin() as connection:
            known = await find_set(connection, found.id)
            await update_set(connection, replace(known, state=SetState.VERIFIED, manifest_sha256=digest))
        return {"files": checked.files, "bytes": checked.bytes, "seconds": checked.seconds, "level": "L1"}

    @step(timeout_seconds=_LONGEST_WAIT_SECONDS, idempotent=True)
    async def complete_log(self, context: StepContext) -> Mapping[str, Any]:
        """Wait until every part of the log from start to stop lies in every vault. Raises: LogGap."""
        cluster, policy, port = self.parts(context)
        found, _ = await self.staged(context)
        if found.start is None or found.stop is None:
            raise CopyFailed(
                f"the copy of {found.cluster} does not say where its log begins and ends", hint="a defect: report it"
            )
        start, total = found.start.value, found.stop.value - found.start.value

        async def look(seen: Coverage) -> None:
            await context.checkpoint()
            await context.progress(max(0, seen.end.value - start), total, "bytes of log")

        async def end_file() -> None:
            if isinstance(port, HasLogSource):
                primary = await find_primary(port, cluster, application_name=context.application_name)
                ended = await port.log_source(primary.access).end_file()
                await context.note(f"the present log file of {primary.instance} was ended at {ended.text}")

        wait = LogWait(patience=lambda: float(context.tuning("log-wait")), look=look, end_file=end_file, tell=context.note)
        covered = await wait_for_log(self.store_of_sets, found, policy.vaults, clock=context.clock, wait=wait)
        return {"files": [one.file.name for one in covered.files], "end": covered.end.text}

    @step(timeout_seconds=_LONGEST_COPY_SECONDS, idempotent=True)
    async def store(self, context: StepContext) -> Mapping[str, Any]:
        """Put the set into one vault; it goes on where an earlier attempt was interrupted."""
        name = context.input["vault"]
        found, directory = await self.staged(context)
        begun = {*found.details.get(STORING, ()), name}
        async with self.store_of_sets.begin() as connection:
            known = await find_set(connection, found.id)
            await update_set(connection, replace(known, details={**known.details, STORING: sorted(begun)}))
        async with open_set_vault(self.ground, name) as vault:
            stored = await vault.put_set(for_vault(found, name), directory, _progress(context))
        lock = stored.lock_until
        return {
            "vault": name,
            "bytes_stored": stored.bytes_stored,
            "lock_until": lock.isoformat() if lock else None,
            "recipients": list(stored.recipients),
        }

    @step(timeout_seconds=300.0, idempotent=True)
    async def seal(self, context: StepContext) -> Mapping[str, Any]:
        """Note that the set can be restored from, and remove the copy that was staged."""
        stored = [one for name, one in context.results.items() if name.startswith("store:")]
        found = await self.require_row(context)
        locks = [datetime.fromisoformat(one["lock_until"]) for one in stored if one["lock_until"]]
        details = {key: value for key, value in found.details.items() if key not in {STAGED, STORING}}
        details["recipients"] = {one["vault"]: one["recipients"] for one in stored if one.get("recipients")}
        sealed = replace(
            found,
            state=SetState.SEALED,
            vaults=tuple(one["vault"] for one in stored),
            bytes_stored=max((one["bytes_stored"] for one in stored), default=None),
            lock_until=max(locks, default=None),
        )
        async with self.store_of_sets.begin() as connection:
            earlier = await list_sets(connection, cluster=found.cluster, states=[SetState.SEALED])
            strange = anomalies(sealed, earlier)
            await update_set(connection, replace(sealed, details={**details, "anomalies": list(strange)}))
        for one in strange:
            await context.note(one)
        await SetStaging(self.ground, found.id).remove()
        return {"set": found.id, "bytes_stored": sealed.bytes_stored, "anomalies": list(strange)}

    @step(timeout_seconds=600.0, idempotent=True)
    async def abandon(self, context: StepContext) -> Mapping[str, Any]:
        """Remove the copy; what already lies in vaults is collected by expiry."""
        set_id = self.set_id(context)
        await SetStaging(self.ground, set_id).remove()
        await forget_manifest(self.ground, set_id)
        found = await self.row(context)
        if found is None:
            return {"set": set_id, "state": None}
        begun = tuple(found.details.get(STORING, ()))
        state = SetState.ORPHANED if begun else SetState.FAILED
        async with self.store_of_sets.begin() as connection:
            await update_set(connection, replace(await find_set(connection, set_id), state=state, vaults=begun))
        return {"set": set_id, "state": state.value}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """See that the catalog and every vault have the set."""
        found = await self.require_row(context)
        seen = [Verification(subject=f"set {found.id}", holds=found.state is SetState.SEALED, detail=f"is {found.state}")]
        for name in found.vaults:
            try:
                async with open_set_vault(self.ground, name) as vault:
                    has = (await vault.catalog(found.cluster)).get(found.id) is not None
                detail = "lists it" if has else "does not list it"
            except DbreError as error:
                has, detail = False, printable(error.message)
            seen.append(Verification(subject=f"vault {name}", holds=has, detail=detail))
        return seen


def _progress(context: StepContext) -> CopyProgress:
    async def told_progress(done: int, total: int | None) -> None:
        await context.checkpoint()
        await context.progress(done, total, "bytes")

    return told_progress
