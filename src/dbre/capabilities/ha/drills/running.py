"""One run of a drill: clients at work, a fault, another primary, the fault taken back, and what clients saw of it all."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from dbre.capabilities.ha.clients.fleet import ProbeFleet, probe_fleet
from dbre.capabilities.ha.clients.records import acts_of, is_write
from dbre.capabilities.ha.clients.spec import ProbeSpec
from dbre.capabilities.ha.clients.truth import ClientTruth
from dbre.capabilities.ha.drills.changing import DrillFailed, bring_back, fail_over, set_right, switch_over
from dbre.capabilities.ha.drills.document import Changer, DrillInput, DrillKind
from dbre.capabilities.ha.drills.faults import DrillFault, Held, LeftDead, faults_of
from dbre.capabilities.ha.drills.ground import DrillGround
from dbre.capabilities.ha.drills.locating import Agents, find_agents, find_health, require_health
from dbre.capabilities.ha.drills.measures import RunMeasures
from dbre.capabilities.ha.drills.predicting import predicted
from dbre.capabilities.ha.drills.regions import promised_seconds, region_of
from dbre.capabilities.ha.drills.watch import PrimaryWatch
from dbre.core.errors import DbreError, PrecheckFailed, StoreError
from dbre.core.fleet import Cluster
from dbre.core.operation.context import StepContext
from dbre.core.operation.model import OperationRecord
from dbre.core.text import printable

__all__ = ["DrillRun"]

_BASELINE_ACKS = 50
_BASELINE_SECONDS = 60.0
_WITNESS_SECONDS = 5.0  # after the promotion, and again after the fault is gone: does the old primary still acknowledge?
_REVERT_SECONDS = 300.0
_STEADY_SECONDS = 2.0
_KILLS = (DrillKind.LEADER_CRASH, DrillKind.NODE_LOSS, DrillKind.REGION_LOSS)
_STAYS = (DrillKind.FREEZE, DrillKind.PATRONI_FREEZE, DrillKind.BLACK_HOLE, DrillKind.PARTITION)


@dataclass(slots=True)
class _Course:
    """What happened when, in the time of the clients' history."""

    fault_at: float
    change: OperationRecord | None = None
    allowed_seconds: float | None = None  # until a failover of ours was allowed
    whole_at: float | None = None
    warnings: list[str] = field(default_factory=list)


class DrillRun:
    """One run on a cluster that is whole."""

    def __init__(
        self, ground: DrillGround, asked: DrillInput, by: Changer, context: StepContext, *, number: int, replicating: int
    ) -> None:
        self._ground, self._asked, self._by = ground, asked, by
        self._context, self._number, self._replicating = context, number, replicating
        self._cluster: Cluster = ground.fleet.cluster(asked.cluster)
        self._spec = ProbeSpec(rate=asked.rate, seconds=None)
        self._began_at, self._old = ground.clock.now(), "?"

    async def run(self) -> RunMeasures:
        """From the first write to the last read. Raises: PrecheckFailed, DrillFailed; no fault is left then."""
        ground, context = self._ground, self._context
        operation = context.token.operation_id
        old, agents, faults = await self._ready(operation)
        self._old = old
        await asyncio.to_thread(ground.directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        history = ground.directory / f"{operation}.{self._number}.{secrets.token_hex(4)}.history.jsonl"
        async with probe_fleet(ground.clients, self._cluster, self._spec, history=history) as clients:
            await self._until_at_work(clients)
            watch = PrimaryWatch(ground.engines, ground.fleet, self._cluster, old=old, now=lambda: clients.now)
            async with watch:
                clients.mark()
                course = await self._break(clients, watch, old, faults)
            await self._until_calm(clients)
            truth = await clients.finish()
            try:
                await clients.remove()
            except DbreError as error:
                course.warnings.append(error.message)
        return self._measures(old, agents, watch, course, truth, clients)

    def failed(self, error: DbreError) -> RunMeasures:
        """A run of which nothing can be told but why."""
        return RunMeasures(
            number=self._number,
            kind=self._asked.kind.value,
            by=self._by.value,
            old_primary=self._old,
            new_primary=None,
            began_at=self._began_at.isoformat(),
            failure=printable(error.message, limit=1000),
        )

    async def _break(self, clients: ProbeFleet, watch: PrimaryWatch, old: str, faults: Sequence[DrillFault]) -> _Course:
        asked = self._asked
        watch.since = clients.now
        async with self._held(faults) as held:
            course = _Course(fault_at=clients.now)
            if asked.kind is DrillKind.LEADER_CRASH and self._by is Changer.PATRONI:
                watch.killed_at = course.fault_at  # by its settings Patroni may start it again where it is: nobody is promoted
            limit = asked.limit.total_seconds()
            if asked.kind is DrillKind.PLANNED:
                course.change = await switch_over(self._ground, self._context, self._cluster, limit_seconds=limit)
            elif asked.kind is DrillKind.DCS_LOSS:
                await asyncio.sleep(asked.lasts.total_seconds())
            elif self._by is Changer.DBRE:
                course.change, course.allowed_seconds = await self._fail_over(old, faults, limit_seconds=limit)
            if asked.kind is not DrillKind.DCS_LOSS and not await watch.settled(limit_seconds=limit):
                raise DrillFailed(
                    f"no other instance of {asked.cluster} took writes within {limit:.0f} s",
                    hint=f"dbre ha status {asked.cluster}; raise --limit if it only takes long",
                )
            if asked.kind in _STAYS:
                await asyncio.sleep(_WITNESS_SECONDS)
            if self._by is Changer.DBRE and course.change is not None and asked.kind is not DrillKind.PLANNED:
                await self._bring_back([one.instance for one in faults])
            for fault in held:
                await fault.end(limit_seconds=_REVERT_SECONDS)
        witness = _WITNESS_SECONDS if asked.kind in _STAYS else 0.0
        await asyncio.gather(asyncio.sleep(witness), self._until_whole(clients, course))
        return course

    async def _fail_over(
        self, old: str, faults: Sequence[DrillFault], *, limit_seconds: float
    ) -> tuple[OperationRecord, float]:
        try:
            return await fail_over(
                self._ground,
                self._context,
                self._cluster,
                old=old,
                limit_seconds=limit_seconds,
                is_region=self._asked.kind is DrillKind.REGION_LOSS,
            )
        except DrillFailed as error:
            if self._asked.kind in _KILLS and not self._is_managed:  # now: the end of a crash waits for who starts the server
                killed = [one.instance for one in faults]
                try:
                    is_right = await set_right(self._ground, self._context, self._cluster, killed, after=error)
                except DbreError as problem:
                    raise self._left(killed, [error, problem]) from error
                if not is_right:
                    raise self._left(killed, [error]) from error
            raise

    async def _until_whole(self, clients: ProbeFleet, course: _Course) -> None:
        """And still so a moment later: a follower of another history connects again and again."""
        end, first, told = clients.now + self._asked.whole.total_seconds(), None, None
        while clients.now < end:
            lacking = (await find_health(self._ground, self._cluster)).lacks(replicating=self._replicating)
            if lacking != told:
                told = lacking
                await self._context.note(f"{clients.now - course.fault_at:.1f} s after the fault: {told or 'whole'}")
            first = None if lacking is not None else clients.now if first is None else first
            if first is not None and clients.now - first >= _STEADY_SECONDS:
                course.whole_at = first
                return
            await asyncio.sleep(0.1)

    @property
    def _is_managed(self) -> bool:
        """Whether Patroni starts what was killed, and lets it follow."""
        return self._ground.settings.of(self._cluster.name).patroni is not None

    async def _bring_back(self, names: Sequence[str]) -> None:
        """Every one that comes back; what keeps the others from it is told. Raises: LeftDead, DbreError."""
        if self._is_managed:
            return
        problems: dict[str, DbreError] = {}
        for name in names:
            try:
                await bring_back(self._context, self._cluster, name)
            except StoreError:
                raise
            except DbreError as error:
                if self._asked.kind not in _KILLS:
                    raise
                problems[name] = error
        if problems:
            raise self._left(list(problems), list(problems.values()))

    def _left(self, names: Sequence[str], why: Sequence[DbreError]) -> LeftDead:
        told = "; ".join(dict.fromkeys(one.message for one in why))
        return LeftDead(
            f"{', '.join(names)} did not come back, and nobody waits for that any more: {told}",
            hint=f"let each follow: dbre ha rejoin {self._cluster.name} INSTANCE; then dbre chaos heal",
            context={"instances": list(names)},
        )

    @asynccontextmanager
    async def _held(self, faults: Sequence[DrillFault]) -> AsyncIterator[list[Held]]:
        seconds = self._asked.limit.total_seconds() + self._asked.lasts.total_seconds() + _REVERT_SECONDS
        operation = self._context.token.operation_id
        async with AsyncExitStack() as stack:
            holds = (self._ground.faults.hold(self._cluster, one, operation=operation, seconds=seconds) for one in faults)
            # At once, as a site is lost; where one cannot be, the others are seen to the end first, and then taken back.
            begun = await asyncio.gather(*map(stack.enter_async_context, holds), return_exceptions=True)
            held = [one for one in begun if not isinstance(one, BaseException)]
            for one in begun:
                if isinstance(one, BaseException):
                    raise one
            yield held

    async def _ready(self, operation: UUID) -> tuple[str, Agents, Sequence[DrillFault]]:
        """A busy machine may be late to answer once: a run begins when the cluster is seen to be whole."""
        ground, cluster = self._ground, self._cluster
        end = ground.clock.monotonic() + _BASELINE_SECONDS
        while True:
            try:
                primary = (await require_health(ground, cluster)).primaries[0]
                agents = await find_agents(ground, cluster, primary)
                kind = self._asked.kind
                region = region_of(ground.settings, kind, cluster, primary)
                faults = faults_of(kind, cluster, primary, agent=agents.agent, stores=agents.stores, region=region)
                await ground.faults.check(cluster, faults, operation=operation)
            except PrecheckFailed:
                if ground.clock.monotonic() > end:
                    raise
            else:
                return primary, agents, faults
            await ground.clock.sleep(1.0)

    async def _until_at_work(self, clients: ProbeFleet) -> None:
        end = self._ground.clock.monotonic() + _BASELINE_SECONDS
        while clients.pulse.acknowledged < _BASELINE_ACKS:
            if self._ground.clock.monotonic() > end:
                raise DrillFailed(
                    f"clients of {self._cluster.name} had {clients.pulse.acknowledged} answers in {_BASELINE_SECONDS:.0f} s",
                    hint=f"see what they see: dbre ha probe {self._cluster.name}",
                )
            await asyncio.sleep(0.05)

    async def _until_calm(self, clients: ProbeFleet) -> None:
        """Until they have answers again, and a little longer."""
        end = self._ground.clock.monotonic() + self._asked.limit.total_seconds()
        while (clients.pulse.silent_seconds or 0.0) > 1.0 and self._ground.clock.monotonic() < end:
            await self._ground.clock.sleep(0.1)
        await asyncio.sleep(2.0)

    def _measures(
        self,
        old: str,
        agents: Agents,
        watch: PrimaryWatch,
        course: _Course,
        truth: ClientTruth,
        clients: ProbeFleet,
    ) -> RunMeasures:
        asked, outage = self._asked, truth.timing.outage
        fault_at = course.fault_at  # it may have struck a moment before it was seen to be on
        if outage is not None and watch.since is not None and watch.since <= outage.began_at < fault_at:
            fault_at = outage.began_at
        promise = predicted(
            asked.kind,
            self._by,
            agents.settings,
            deadline_seconds=self._spec.deadline_seconds,
            connect_seconds=self._spec.connect_seconds,
            has_store_leader_beside=agents.has_store_leader_beside,
        )
        return RunMeasures(
            number=self._number,
            kind=asked.kind.value,
            by=self._by.value,
            old_primary=old,
            new_primary=watch.new or (old if watch.returned_at is not None else None),
            began_at=self._began_at.isoformat(),
            fault_at=(self._ground.clock.now() - timedelta(seconds=clients.now - fault_at)).isoformat(),
            outage_seconds=outage.seconds if outage is not None else None,
            is_outage_open=outage is not None and outage.is_open,
            noticed_seconds=_since(fault_at, watch.noticed_at),
            promoted_seconds=_since(fault_at, watch.promoted_at),
            redundancy_seconds=_since(fault_at, course.whole_at),
            acknowledged=truth.acknowledged,
            lost=len(truth.balance.lost) if truth.balance is not None else None,
            old_acknowledged=self._old_acknowledged(old, watch, clients),
            overlap=truth.overlap,
            verdict=truth.verdict.verdict,
            predicted_least_seconds=promise.least_seconds if promise is not None else None,
            predicted_most_seconds=promise.most_seconds
            if promise is not None
            else promised_seconds(self._ground.settings, asked.kind, self._cluster),
            history=str(clients.history),
            warnings=tuple(printable(one, limit=300) for one in (*truth.warnings, *course.warnings)),
        )

    def _old_acknowledged(self, old: str, watch: PrimaryWatch, clients: ProbeFleet) -> int | None:
        """Writes begun after the promotion was seen, and acknowledged where nobody should acknowledge any more."""
        if watch.promoted_at is None:
            return None
        address = str(self._ground.fleet.instance(old).address)
        found = (one for one in acts_of(clients.history) if one.kind == "ok" and one.node == address and is_write(one))
        return sum(one.sent_at > watch.promoted_at for one in found)


def _since(begin: float, at: float | None) -> float | None:
    return max(at - begin, 0.0) if at is not None else None
