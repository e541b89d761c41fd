"""``ha.rejoin``: an instance follows the primary again. Its target is the cluster: nobody changes the primary meanwhile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dbre.capabilities.ha.forks.extracting import write_lost
from dbre.capabilities.ha.rejoin.document import RejoinInput
from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.rejoin.online_acts import OnlineSteps
from dbre.capabilities.ha.rejoin.rejoin_plan import plan_of
from dbre.capabilities.ha.rejoin.surveying import survey
from dbre.capabilities.ha.rejoin.verifying import verify_rejoin
from dbre.capabilities.ha.switchover.switchover_plan import slot_name
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Verification, step
from dbre.core.operation.plan import Plan
from dbre.core.secrets import prepare_secrets
from dbre.core.text import counted
from dbre.ports.forks import ForkOrder
from dbre.ports.rejoin import NotAligned, Relation
from dbre.ports.succession import Following, NotDone

__all__ = ["Rejoin"]

_COPY_SECONDS = 7 * 86_400.0
_START_SECONDS = 3600.0  # a server that was killed replays its log first
_SHORT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    cluster: Cluster
    instance: Instance
    primary: Instance


class Rejoin(OnlineSteps):
    """Nothing of it is taken back: the instance is stopped until it follows, and was no use to anybody before."""

    kind, version = "ha.rejoin", 1
    document = RejoinInput

    def __init__(self, ground: RejoinGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: RejoinInput) -> Plan:  # noqa: ARG002 - sweeps name themselves
        """Look at the cluster and at the files. Raises: PrecheckFailed, NoControl, Unsupported."""
        cluster = self._ground.servers.fleet.cluster(asked.cluster)
        return plan_of(await survey(self._ground, cluster, asked.instance, is_clone_wanted=asked.clone), asked)

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def prepare(self, context: StepContext) -> Mapping[str, Any]:
        """pg_rewind believes a source that has no checkpoint on its timeline yet to be on the old one."""
        case = self._case(context)
        limit = self._ground.servers.limits(case.cluster.name).checkpoint.total_seconds()
        slot, is_new = context.input["slot"], False
        async with self._ground.servers.server(case.cluster, case.primary, purpose=context.application_name) as server:
            if slot is not None:
                is_new = await server.succession.keep_log_for(slot)
            await server.succession.checkpoint(limit_seconds=limit)
        return {"slot": slot, "is_new": is_new}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def unprepare(self, context: StepContext) -> Mapping[str, Any]:
        """Nobody follows: the primary keeps its log for nobody."""
        case = self._case(context)
        await self._forget(context, case, context.result)
        return {}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def stop(self, context: StepContext) -> Mapping[str, Any]:
        """In order where it obeys, else by SIGKILL; nothing of it may run while its files are changed."""
        case = self._case(context)
        host = self._ground.servers.host(case.cluster, case.instance)
        if not (await host.state()).processes:
            return {"was_running": False}
        limit = self._ground.servers.limits(case.cluster.name).give_up.total_seconds()
        try:
            await host.stop(limit_seconds=limit)
        except NotDone:
            await host.kill(limit_seconds=limit)  # a frozen process obeys nothing else
            return {"was_running": True, "how": "killed"}
        return {"was_running": True, "how": "in order"}

    @step(timeout_seconds=_COPY_SECONDS, idempotent=True)
    async def evidence(self, context: StepContext) -> Mapping[str, Any]:
        """What only this instance committed, row by row, before it goes."""
        case = self._case(context)
        source = self._ground.access(case.cluster, case.primary)
        await prepare_secrets([case.cluster.password])
        seen = await self._ground.files(case.cluster, case.instance).look(source)
        control = case.instance.control
        if seen.relation is not Relation.DIVERGED or control is None or control.data_directory is None:
            return {"relation": seen.relation.value, "file": None, "transactions": 0}
        work = context.input["work"]
        order = ForkOrder(
            directory=control.data_directory, survivor=source, fork=seen.fork, work=Path(work) if work is not None else None
        )
        lost = await self._ground.forks(case.cluster).lost_writes(order)
        path = self._ground.directory / f"{case.cluster.name}-{case.instance.name}-{context.token.operation_id.hex}.jsonl"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a process that was killed while it wrote
        written = write_lost(lost, path, cluster=case.cluster.name)
        await context.note(f"{counted(lost.transactions, 'transaction')} of {case.instance.name} alone: {path}")
        return {
            "relation": seen.relation.value,
            "file": str(path),
            "transactions": lost.transactions,
            "rows": written.changes,
            "fork": lost.fork,
            "end": lost.end,
        }

    @step(timeout_seconds=_COPY_SECONDS, idempotent=True, attempts=1)
    async def align(self, context: StepContext) -> Mapping[str, Any]:
        """The marker in the machine's own state says after a crash whether its data may be trusted."""
        case = self._case(context)
        following = await self._following(context, case)
        await prepare_secrets([case.cluster.password])
        files = self._ground.files(case.cluster, case.instance)
        source = self._ground.access(case.cluster, self._source(context, case))
        try:
            done = await files.align(source, following, is_clone_wanted=context.input["clone"])
        except DbreError:
            # nobody may start it: the slot would be kept for ever
            await self._forget(context, case, context.results.get("prepare", {}))
            raise
        if done.detail is not None:
            await context.note(done.detail)
        return {
            "way": done.way.value,
            "seconds": round(done.seconds, 3),
            "detail": done.detail,
            "position": done.position,
        }

    @step(timeout_seconds=_START_SECONDS, idempotent=True)
    async def start(self, context: StepContext) -> Mapping[str, Any]:
        """Health is what its receiver shows, on the primary's timeline; nobody else's word counts."""
        case = self._case(context)
        following = replace(await self._following(context, case), position=context.results["align"].get("position"))
        seen = await self._ground.files(case.cluster, case.instance).look(
            self._ground.access(case.cluster, self._source(context, case))
        )
        if seen.relation is Relation.UNFINISHED:
            raise NotAligned(f"the data of {case.instance.name} is not whole", hint="run dbre ha rejoin again")
        limit = self._ground.servers.limits(case.cluster.name).follow.total_seconds()
        begun = context.clock.monotonic()
        host = self._ground.servers.host(case.cluster, case.instance)
        try:
            await host.start_as_follower(following, limit_seconds=_START_SECONDS / 2)
            async with self._ground.servers.server(case.cluster, case.instance, purpose=context.application_name) as server:
                await server.succession.follow(following, limit_seconds=limit)
        except DbreError:
            if following.slot is not None:
                await context.note(f"{case.primary.name} keeps its log for slot {following.slot} until it is used or dropped")
            raise
        return {"seconds": round(context.clock.monotonic() - begun, 3)}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def settle(self, context: StepContext) -> Mapping[str, Any]:
        """The former data goes, and places that the instance kept in its log for those whom it fed."""
        case = self._case(context)
        await self._ground.files(case.cluster, case.instance).settle()
        drop = {slot_name(one.name) for one in case.cluster.instances}
        for one in case.cluster.instances:
            drop |= await self._slots_of(context, case.cluster, one)
        async with self._ground.servers.server(case.cluster, case.instance, purpose=context.application_name) as server:
            await server.succession.drop_log_for(sorted(drop))
        return {}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Ask the servers."""
        return await verify_rejoin(self._ground, self._case(context).cluster, context.plan.observed)

    async def _slots_of(self, context: StepContext, cluster: Cluster, instance: Instance) -> set[str]:
        try:
            async with self._ground.servers.server(cluster, instance, purpose=context.application_name) as server:
                manner = await server.succession.manner()
        except DbreError as error:
            await context.note(f"{instance.name} does not tell its slot: {error.message}")
            return set()
        return {manner.slot} if manner is not None and manner.slot is not None else set()

    async def _forget(self, context: StepContext, case: _Case, prepared: Mapping[str, Any]) -> None:
        """Let the primary drop the slot that this operation made; one that was there before is another's to judge."""
        slot, name = prepared.get("slot"), case.primary.name
        if slot is None:
            return
        if not prepared.get("is_new"):
            await context.note(f"{name} keeps its log for slot {slot}, which was there before")
            return
        try:
            async with self._ground.servers.server(case.cluster, case.primary, purpose=context.application_name) as server:
                await server.succession.drop_log_for([slot])
        except DbreError as error:
            await context.note(f"{name} keeps its log for slot {slot}, which could not be dropped: {error.message}")

    async def _following(self, context: StepContext, case: _Case) -> Following:
        await prepare_secrets([case.cluster.replication_password])
        async with self._ground.servers.server(case.cluster, case.primary, purpose=context.application_name) as server:
            if (slot := context.input["slot"]) is not None:  # an attempt that failed has taken it away
                await server.succession.keep_log_for(slot)
            manner = await server.succession.manner()
        return Following(
            upstream=case.primary.address,
            name=case.instance.name,
            user=case.cluster.replication_user,
            password=case.cluster.replication_password,
            like=manner,
            slot=slot,
        )

    def _source(self, context: StepContext, case: _Case) -> Instance:
        """Who is copied from; plans of before name none."""
        return self._ground.servers.fleet.instance(context.input.get("source", case.primary.name))

    def _case(self, context: StepContext) -> _Case:
        fleet, observed = self._ground.servers.fleet, context.plan.observed
        return _Case(
            cluster=fleet.cluster(context.plan.target.rpartition("/")[2]),
            instance=fleet.instance(observed["instance"]),
            primary=fleet.instance(observed["primary"]),
        )
