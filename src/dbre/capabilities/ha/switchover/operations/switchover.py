"""``ha.switchover``: another instance becomes the primary; nothing is lost, or nothing happens."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from dbre.capabilities.ha.route.turning import lead_all, pause_all, resume_all
from dbre.capabilities.ha.switchover.acting import Pair, position_from
from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.documents import SwitchoverInput
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.capabilities.ha.switchover.switchover_plan import plan_of
from dbre.capabilities.ha.switchover.verifying import verify
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, OutcomeUnknown, Verification, step
from dbre.core.operation.plan import Plan
from dbre.ports.engine import Server
from dbre.ports.route import Route, RouteState

__all__ = ["NoLastPosition", "Switchover"]

_LONG_SECONDS = 1800.0  # the limits of the configuration end each part before
_SHORT_SECONDS = 600.0


class NoLastPosition(DbreError):
    """Nobody knows where the old primary's log ends, so nobody is promoted."""

    code = "ha.no_last_position"


class Switchover(Operation[SwitchoverInput]):
    """Planned change of primary. Until ``promote`` everything is taken back, from there on it only goes forward."""

    kind, version = "ha.switchover", 1
    document = SwitchoverInput

    def __init__(self, ground: SwitchoverGround) -> None:
        self._ground = ground
        self._warm: dict[UUID, Server] = {}  # by operation, from giving up to promotion; a cache, and nothing hangs on it

    async def plan(self, context: PlanContext, asked: SwitchoverInput) -> Plan:
        """Look at everything. Raises: PrecheckFailed naming what is in the way."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        seen = await assess(self._ground, cluster, to=asked.to, purpose=context.application_name)
        return plan_of(seen, self._ground.limits(cluster.name))

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True)
    async def prepare(self, context: StepContext) -> Mapping[str, Any]:
        """Slots and checkpoints; clients feel nothing but the disk."""
        return await self._pair(context).write_out(list(context.input["slots"].values()))

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def unprepare(self, context: StepContext) -> Mapping[str, Any]:
        """Nobody will follow the candidate: it keeps its log for nobody."""
        await self._pair(context).forget_followers(list(context.input["slots"].values()))
        return {}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True, attempts=1)
    async def pause_routes(self, context: StepContext) -> Mapping[str, Any]:
        """Hold clients back; within the limit, or not at all."""
        limit = self._ground.limits(self._cluster(context).name).pause.total_seconds()
        return {"paused": list(await pause_all(self._routes(context), limit_seconds=limit))}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def resume_routes(self, context: StepContext) -> Mapping[str, Any]:
        """Let them go on to the old primary."""
        return {"resumed": list(await resume_all(self._routes(context)))}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True, attempts=1)
    async def give_up(self, context: StepContext) -> Mapping[str, Any]:
        """The old primary stops, or is closed to writes, and tells where its log ends."""
        new, cluster = self._instance(context.input["to"]), self._cluster(context)
        await self._cool(context)
        self._warm[context.token.operation_id] = await self._ground.open(cluster, new, purpose=context.application_name)
        return await self._pair(context).give_up(slot=self._old_slot(context), clock=context.clock)

    @give_up.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Look at its process, or ask it."""
        return await self._pair(context).has_given_up(slot=self._old_slot(context), clock=context.clock)

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def take_back(self, context: StepContext) -> Mapping[str, Any]:
        """The old primary goes on."""
        await self._cool(context)
        await self._pair(context).take_back()
        return {"primary": context.input["from"]}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def catch_up(self, context: StepContext) -> Mapping[str, Any]:
        """The candidate applies the rest."""
        given = context.results["give-up"].get("position")
        if given is None:
            old = context.input["from"]
            raise NoLastPosition(
                f"{old} did not stop in order, and nobody knows where its log ends", hint=f"see the log of {old}"
            )
        return await self._pair(context).catch_up(position_from(given))

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def promote(self, context: StepContext) -> Mapping[str, Any]:
        """The candidate becomes primary."""
        done = await self._pair(context).promote(clock=context.clock)
        await self._cool(context)
        return done

    @step(timeout_seconds=_SHORT_SECONDS, attempts=1)
    async def hand_over(self, context: StepContext) -> Mapping[str, Any]:
        """Whoever can do it as a whole does it."""
        pair = self._pair(context)
        manager = self._ground.hand_over_of(pair.cluster)
        if manager is None:
            return await pair.hand_over(clock=context.clock)
        began = context.clock.now()
        limit = self._ground.limits(pair.cluster.name).promote.total_seconds()
        await manager.run(pair.cluster, pair.old, pair.new, limit_seconds=limit)
        return {"began_at": began.isoformat(), "ended_at": context.clock.now().isoformat(), "how": f"by {manager.name}"}

    @hand_over.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        """Ask who is the primary now."""
        pair = self._pair(context)
        manager = self._ground.hand_over_of(pair.cluster)
        if manager is None:
            await pair.is_handed_over()
            return await pair.hand_over(clock=context.clock)  # what comes after the command itself
        happened = await manager.has_happened(pair.cluster, pair.old, pair.new)
        if happened is None:
            raise OutcomeUnknown(f"{manager.name} does not tell who is the primary of {pair.cluster.name}")
        if not happened:
            raise NotHappened(f"{manager.name} has {pair.old.name} as the primary still")
        return {"how": f"by {manager.name}"}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def turn_routes(self, context: StepContext) -> Mapping[str, Any]:
        """Lead clients to the new primary, and let them go on."""
        before = {name: RouteState.from_document(one) for name, one in context.input["before"].items()}
        return {"ended": await lead_all(self._routes(context), self._pair(context).new.address, before=before)}

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def follow(self, context: StepContext) -> Mapping[str, Any]:
        """Another replica follows the new primary."""
        instance = self._ground.fleet.instance(context.input["instance"])
        return await self._pair(context).follow(instance, slot=context.input["slot"])

    @step(timeout_seconds=_SHORT_SECONDS, idempotent=True)
    async def rejoin(self, context: StepContext) -> Mapping[str, Any]:
        """The old primary follows the new one."""
        return await self._pair(context).rejoin(slot=context.input["slot"])

    @step(timeout_seconds=_LONG_SECONDS, idempotent=True)
    async def settle(self, context: StepContext) -> Mapping[str, Any]:
        """What is left behind is put in order."""
        return await self._pair(context).settle(context.input["drop"])

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Ask the servers and the routes."""
        observed = context.plan.observed
        old, new = (self._ground.fleet.instance(observed[one]) for one in ("primary", "candidate"))
        return await verify(self._ground, self._cluster(context), old, new, observed)

    def _cluster(self, context: StepContext) -> Cluster:
        return self._ground.fleet.cluster(context.plan.target.rpartition("/")[2])

    def _pair(self, context: StepContext) -> Pair:
        old, new = (self._instance(context.input[one]) for one in ("from", "to"))
        warm = self._warm.get(context.token.operation_id)
        return Pair(self._ground, self._cluster(context), old, new, purpose=context.application_name, warm=warm)

    async def _cool(self, context: StepContext) -> None:
        """Close what was kept open."""
        server = self._warm.pop(context.token.operation_id, None)
        if server is not None:
            await server.aclose()

    def _instance(self, name: str) -> Instance:
        return self._ground.fleet.instance(name)

    def _old_slot(self, context: StepContext) -> str | None:
        found: str | None = context.input["slots"].get(context.input["from"])
        return found

    def _routes(self, context: StepContext) -> list[Route]:
        wanted = context.input["routes"]
        return [one for one in self._ground.routes(self._cluster(context)) if one.name in wanted]
