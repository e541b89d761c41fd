"""``backup.expire``: mark what no rule keeps, and delete what was marked long enough ago."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.catalog.logs import mark_logs
from dbre.capabilities.backup.catalog.sets import find_set, update_set
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, LogState, SetState
from dbre.capabilities.backup.retention.in_use import sets_in_use
from dbre.capabilities.backup.retention.orphans import mark_orphans, orphans_of
from dbre.capabilities.backup.retention.plan import Fate, RetentionPlan
from dbre.capabilities.backup.retention.planning import TOMBSTONED_AT, plan_retention
from dbre.capabilities.backup.retention.steps import expiry_plan, logs_by_system
from dbre.capabilities.backup.taking.staging import SetStaging, forget_manifest
from dbre.capabilities.backup.taking.vaults import open_set_vault, require_answers
from dbre.capabilities.backup.vault.errors import VaultUnusable
from dbre.core.errors import Denied, Refused, Unreachable, UsageError
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.errors import PlanChanged
from dbre.core.operation.plan import Plan
from dbre.core.retry import RetryPolicy, retry
from dbre.core.store import Store
from dbre.core.text import counted

if TYPE_CHECKING:
    from dbre.capabilities.backup.vault.expiring import Settled

__all__ = ["ExpireBackups", "ExpireInput", "ExpiryRefused"]

_LONGEST_SECONDS = 86_400.0
_ONCE = RetryPolicy(attempts=1)  # whoever runs the steps repeats them
_LONG = RetryPolicy(attempts=10, first_seconds=1.0, longest_seconds=15.0, total_seconds=90.0)
"""With a vault that went away after something was deleted from another."""
_GOING = frozenset({Fate.DELETE, Fate.COLLECT})
_MARKED = frozenset({Fate.TOMBSTONE, Fate.IN_GRACE, *_GOING})  # a step that is begun again may find them noted


class ExpiryRefused(Refused):
    """A plan that removes too much, or the last proof; nothing was marked or deleted."""

    code = "backup.expiry_refused"


class ExpireInput(BaseModel):
    """Whose sets are expired."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Annotated[str, Field(min_length=1, max_length=200)]
    accept_share: bool = False
    """Even where more than ``retention.largest_share`` of the sets would go at once."""
    accept_unproven: bool = False
    """Even where no set that was proved by a drill would stay."""


class ExpireBackups(Operation[ExpireInput]):
    """Delete in two phases what the retention no longer keeps: marked first, deleted after the grace."""

    kind, version = "backup.expire", 1
    document = ExpireInput

    def __init__(self, ground: BackupGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: ExpireInput) -> Plan:
        """Decide on every set and log file, with the reason for each. Raises: ExpiryRefused; UsageError without policy;
        Unreachable where a vault is away: begun all the same, it would hold the backups of the cluster until somebody looks.
        """
        found = await self._decide(asked.cluster, context.clock.now())
        accepted = {"backup.expiry_share": asked.accept_share, "backup.expiry_unproven": asked.accept_unproven}
        objections = [one for one in found.objections if not accepted[one.rule]]
        if objections:
            raise ExpiryRefused(
                "; ".join(one.message for one in objections),
                hint="; ".join(one.hint for one in objections),
                context={"rules": [one.rule for one in objections]},
            )
        async with self._store.read() as connection:
            orphans = await orphans_of(connection, asked.cluster)
        plan = expiry_plan(found, orphans, {one.name: one.can_delete for one in self._ground.vaults})
        await require_answers(self._ground, sorted({one.input["vault"] for one in plan.steps if "vault" in one.input}))
        return plan

    async def _decide(self, cluster: str, now: datetime) -> RetentionPlan:
        policy = self._ground.require_policy(cluster)
        catalog = await load_catalog(self._store, cluster)
        in_use = await sets_in_use(self._ground, self._store)
        return plan_retention(cluster, catalog, policy.retention, now=now, in_use=in_use)

    @step(timeout_seconds=60.0, idempotent=True)
    async def collect_orphans(self, context: StepContext) -> Mapping[str, Any]:
        """Note that sets whose operation is gone will never be sealed; the next expiry deletes what is left of them."""
        given = context.input
        async with self._store.begin() as connection:
            marked = await mark_orphans(connection, given["cluster"], given["sets"])
        return {"orphaned": marked}

    @step(timeout_seconds=_LONGEST_SECONDS, idempotent=True)
    async def revive(self, context: StepContext) -> Mapping[str, Any]:
        """Take the marks of sets in one vault back."""
        given = context.input
        async with open_set_vault(self._ground, given["vault"]) as vault:
            await vault.revive(given["sets"], [], given["reason"])
        return {"vault": given["vault"], "sets": given["sets"]}

    @step(timeout_seconds=60.0, idempotent=True)
    async def note_revived(self, context: StepContext) -> Mapping[str, Any]:
        """Note that sets are ordinary ones again."""
        return {"revived": await self._change(context.input["sets"], SetState.TOMBSTONED, SetState.SEALED, {})}

    @step(timeout_seconds=_LONGEST_SECONDS, idempotent=True)
    async def tombstone(self, context: StepContext) -> Mapping[str, Any]:
        """Mark sets in one vault. Raises: PlanChanged where a set is kept again since it was planned."""
        await self._require_still_doomed(context, _MARKED)
        async with open_set_vault(self._ground, context.input["vault"]) as vault:
            await vault.tombstone(context.input["sets"], [], context.input["reason"])
        return {"vault": context.input["vault"], "sets": context.input["sets"]}

    @step(timeout_seconds=60.0, idempotent=True)
    async def note_tombstones(self, context: StepContext) -> Mapping[str, Any]:
        """Note when sets were marked: their grace begins."""
        at = context.clock.now().isoformat()
        return {"marked": await self._change(context.input["sets"], SetState.SEALED, SetState.TOMBSTONED, {TOMBSTONED_AT: at})}

    @step(timeout_seconds=_LONGEST_SECONDS, idempotent=True)
    async def delete(self, context: StepContext) -> Mapping[str, Any]:
        """Delete from one vault what was marked, and what never became a set.

        Once something was deleted elsewhere, a vault that is away, or a set that is kept again, is left to the next expiry:
        what was deleted cannot come back, and nothing is gained by holding the cluster's backups until somebody looks.
        """
        given = context.input
        has_begun = any(name.startswith("delete:") for name in context.results)
        try:
            done = await retry(lambda: self._settled(context), clock=context.clock, policy=_LONG if has_begun else _ONCE)
        except (Denied, PlanChanged, Unreachable, VaultUnusable) as error:
            if not has_begun:
                raise
            await context.note(f"vault {given['vault']} is left to the next expiry: {error.message}")
            return {"vault": given["vault"], "sets": [], "bytes_freed": 0, "left": given["logs"], "sets_left": given["sets"]}
        for why in done.sets_left.values():
            await context.note(f"stays: {why}")
        for system, names in done.logs_left.items():
            count = counted(len(names), "log file")
            await context.note(f"{count} of system {system} stay in {given['vault']}: in their grace, or locked")
        return {
            "vault": given["vault"],
            "sets": [one for one in given["sets"] if one not in done.sets_left],
            "bytes_freed": done.bytes_freed,
            "left": {system: list(names) for system, names in done.logs_left.items()},
            "sets_left": list(done.sets_left),
        }

    async def _settled(self, context: StepContext) -> "Settled":
        given = context.input
        kept = await self._require_still_doomed(context)
        grace = self._ground.require_policy(given["cluster"]).retention.grace
        async with open_set_vault(self._ground, given["vault"]) as vault:
            return await vault.settle(given["sets"], given["logs"], kept_logs=kept, reason=given["reason"], grace=grace)

    @step(timeout_seconds=600.0, idempotent=True)
    async def forget(self, context: StepContext) -> Mapping[str, Any]:
        """Note what is deleted, and remove what this machine kept of it."""
        given = context.input
        results = [one for name, one in context.results.items() if name.startswith("delete:")]
        left = {(system, name) for one in results for system, names in one["left"].items() for name in names}
        still = {set_id: [one["vault"] for one in results if set_id in one["sets_left"]] for set_id in given["sets"]}
        gone = [set_id for set_id in given["sets"] if not still[set_id]]
        for set_id in gone:
            await SetStaging(self._ground, set_id).remove()
            await forget_manifest(self._ground, set_id)
        async with self._store.begin() as connection:
            for set_id in given["sets"]:
                known = await find_set(connection, set_id)
                state = known.state if still[set_id] else SetState.DELETED
                await update_set(connection, replace(known, state=state, vaults=tuple(still[set_id])))
            for system, names in given["logs"].items():
                finished = [name for name in names if (system, name) not in left]
                await mark_logs(connection, given["cluster"], system, finished, state=LogState.DELETED, vaults=[])
        return {
            "sets": gone,
            "logs": sum(len(names) for names in given["logs"].values()) - len(left),
            "bytes_freed": sum(one["bytes_freed"] for one in results),
        }

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """See that nothing that is kept was touched: every kept set is still sealed in the catalog."""
        wanted: Mapping[str, Any] = context.plan.observed
        catalog = await load_catalog(self._store, wanted["cluster"])
        lost = [one for one in wanted["kept"] if (found := catalog.get(one)) is None or found.state is not SetState.SEALED]
        detail = f"{len(wanted['kept']) - len(lost)} of {len(wanted['kept'])} are sealed"
        return (Verification(subject="kept sets", holds=not lost, detail=detail),)

    async def _require_still_doomed(self, context: StepContext, fates: Collection[Fate] = _GOING) -> Mapping[str, list[str]]:
        """Between plan and act a person may have held a set, a drill proved it, a restore begun with it.

        Gives the log that is kept, by system. Raises: PlanChanged.
        """
        given = context.input
        now = await self._decide(given["cluster"], context.clock.now())
        wanted = set(given["sets"])
        for one in now.sets:
            if one.set.id in wanted and one.fate not in fates:
                raise PlanChanged(
                    f"set {one.set.id} is kept again since this was planned: {'; '.join(one.reasons)}",
                    hint="plan again: dbre backup expire",
                )
        needed = logs_by_system(one.log for one in now.logs if one.is_kept)
        for system, names in given.get("logs", {}).items():
            again = sorted(set(names) & set(needed.get(system, ())))
            if again:
                raise PlanChanged(
                    f"log file {again[0]} is needed again since this was planned", hint="plan again: dbre backup expire"
                )
        return needed

    async def _change(self, set_ids: Sequence[str], before: SetState, after: SetState, details: Mapping[str, str]) -> list[str]:
        changed: list[str] = []
        async with self._store.begin() as connection:
            for set_id in set_ids:
                known: BackupSet = await find_set(connection, set_id)
                if known.state is not before:
                    continue
                kept = {key: value for key, value in known.details.items() if key != TOMBSTONED_AT}
                await update_set(connection, replace(known, state=after, details=kept | dict(details)))
                changed.append(set_id)
        return changed

    @property
    def _store(self) -> Store:
        if self._ground.store is None:
            raise UsageError("sets are kept in a state store, and none is open here", hint="dbre db status")
        return self._ground.store
