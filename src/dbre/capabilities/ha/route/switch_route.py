"""``ha.switch_route``: lead clients to another instance, by every route, and say who did not follow."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from dbre.capabilities.ha.route.documents import SwitchRouteInput
from dbre.capabilities.ha.route.ground import RouteGround
from dbre.capabilities.ha.route.stragglers import Straggler, client_sessions, straggler_rows
from dbre.capabilities.ha.route.switch_plan import switch_plan
from dbre.capabilities.ha.route.turning import RoutesLeftBehind, pause_all, resume_all, turn_all, turn_all_back
from dbre.core.errors import DbreError, PrecheckFailed, UsageError
from dbre.core.fleet import Address, Cluster, Instance
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, OutcomeUnknown, Verification, step
from dbre.core.operation.plan import Plan
from dbre.core.text import closest, printable
from dbre.ports.contact import contact
from dbre.ports.route import Route, RouteState
from dbre.ports.session import Role

__all__ = ["SwitchRoute"]

_LOOK_SECONDS = 0.5


class SwitchRoute(Operation[SwitchRouteInput]):
    """Turn the routes of a cluster to one of its instances; undone as a whole where one of them fails."""

    kind, version = "ha.switch_route", 1
    document = SwitchRouteInput

    def __init__(self, ground: RouteGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: SwitchRouteInput) -> Plan:
        """Look at each route and at the instance.

        Raises: UsageError for unknown names, PrecheckFailed where a route cannot be turned or the instance takes no writes.
        """
        cluster = self._ground.fleet.cluster(asked.cluster)
        instance = instance_of(cluster, asked.to)
        routes = self._ground.routes(cluster, asked.routes)
        if not asked.even_if_replica:
            await self._see_that_it_takes_writes(cluster, instance, context.application_name)
        states = {one.name: await one.current() for one in routes}
        checks = {one.name: tuple(await one.check(instance.address)) for one in routes}
        return switch_plan(asked, cluster, instance, routes, states=states, checks=checks)

    @step(timeout_seconds=330.0, idempotent=True, attempts=1)
    async def pause(self, context: StepContext) -> Mapping[str, Any]:
        """Hold clients back on every route that can, for as long as it takes."""
        names = await pause_all(self._routes(context, context.input["routes"]), limit_seconds=context.input["limit_seconds"])
        return {"paused": list(names)}

    @step(timeout_seconds=60.0, idempotent=True)
    async def resume(self, context: StepContext) -> Mapping[str, Any]:
        """Let clients go on; also what undoes ``pause``."""
        return {"resumed": list(await resume_all(self._routes(context, context.input["routes"])))}

    @step(timeout_seconds=120.0, idempotent=True, attempts=1)  # clients wait meanwhile
    async def turn(self, context: StepContext) -> Mapping[str, Any]:
        """Turn all routes, each if it still leads where it did; or none, and then clients go on at once."""
        routes, before = self._turning(context)
        try:
            await turn_all(routes, _address(context.input), before=before)
        except DbreError as error:
            with suppress(DbreError):  # it is tried again when ``pause`` is undone, where it is told
                await resume_all(routes)
            if isinstance(error, RoutesLeftBehind):
                raise OutcomeUnknown(error.message) from error
            raise
        return {"routes": [one.name for one in routes]}

    @step(timeout_seconds=120.0, idempotent=True)
    async def turn_back(self, context: StepContext) -> Mapping[str, Any]:
        """Put the routes back to where they led, unless somebody else turned them since; clients go on in any case."""
        routes, before = self._turning(context)
        try:
            await turn_all_back(routes, _address(context.input), before=before)
        finally:
            await resume_all(routes)
        return {"routes": [one.name for one in routes]}

    @step(timeout_seconds=60.0, idempotent=True)
    async def cut(self, context: StepContext) -> Mapping[str, Any]:
        """End what still goes through the routes to elsewhere; what cannot be ended is told, and no reason to go back."""
        ended: dict[str, int | str] = {}
        for one in self._routes(context, context.input["routes"]):
            try:
                ended[one.name] = await one.cut(_address(context.input))
            except DbreError as error:
                ended[one.name] = error.message
        return {"ended": ended}

    @step(timeout_seconds=90_000.0, idempotent=True)
    async def settle(self, context: StepContext) -> Mapping[str, Any]:
        """Watch until all who are asked lead to the instance and nobody is left at the old ones; who is left is told."""
        asked, clock = context.input, context.clock
        routes, began = self._routes(context, asked["routes"]), clock.monotonic()
        while True:
            await context.checkpoint()
            late = [word for one in routes for word in await _late(one, _address(asked))]
            left, unknown = await self._left(context, asked["old"])
            elapsed = clock.monotonic() - began
            if not (late or left or unknown) or elapsed >= asked["seconds"]:
                return {"seconds": elapsed, "late": late, "stragglers": straggler_rows(left), "unknown": unknown}
            await context.progress(min(elapsed, asked["seconds"]), asked["seconds"], "seconds")
            await clock.sleep(min(_LOOK_SECONDS, asked["seconds"] - elapsed))

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Ask every route again; what only time can mend does not count."""
        found = []
        for one in context.plan.steps:
            for route in self._routes(context, list(one.input["before"])) if one.handler == "turn" else ():
                for check in await route.verify(_address(one.input)):
                    detail = check.seen if check.is_ok else f"{check.seen}, and {check.wanted} was wanted"
                    holds = check.is_ok or check.is_advice
                    found.append(Verification(subject=f"{route.name}: {check.name}", holds=holds, detail=detail))
        return found

    async def _left(self, context: StepContext, names: Sequence[str]) -> tuple[list[Straggler], list[str]]:
        """Clients of the instances that clients should have left, and instances that could not be asked."""
        cluster = self._cluster(context)
        left: list[Straggler] = []
        unknown: list[str] = []
        for name in names:
            try:
                _, found = await client_sessions(
                    self._ground.engines, cluster, instance_of(cluster, name), purpose=context.application_name
                )
                left += found
            except DbreError as error:  # it may be down, which is why clients left
                unknown.append(f"{name}: {printable(error.message, limit=300)}")
        return left, unknown

    async def _see_that_it_takes_writes(self, cluster: Cluster, instance: Instance, purpose: str) -> None:
        async with contact(self._ground.engines, cluster, instance.address, purpose=purpose) as server:
            identity = await server.session.identify()
        if identity.role is not Role.PRIMARY or identity.is_read_only:
            what = "a replica" if identity.role is Role.REPLICA else "a primary that takes no writes"
            raise PrecheckFailed(
                f"{instance.name} is {what}, so clients that write would fail there",
                hint=f"make it primary first: dbre ha switchover {cluster.name} --to {instance.name}; or add --even-if-replica",
                context={"instance": instance.name, "role": identity.role.value},
            )

    def _cluster(self, context: StepContext) -> Cluster:
        return self._ground.fleet.cluster(context.plan.target.rpartition("/")[2])

    def _turning(self, context: StepContext) -> tuple[tuple[Route, ...], dict[str, RouteState]]:
        before = {name: RouteState.from_document(one) for name, one in context.input["before"].items()}
        return self._routes(context, list(before)), before

    def _routes(self, context: StepContext, names: Sequence[str]) -> tuple[Route, ...]:
        return self._ground.routes(self._cluster(context), tuple(names))


def instance_of(cluster: Cluster, name: str) -> Instance:
    """The instance of that name. Raises: UsageError with a did-you-mean."""
    known = {one.name: one for one in cluster.instances}
    if name not in known:
        near = closest(name, known)
        raise UsageError(
            f"cluster {cluster.name} has no instance {printable(name, limit=100)}",
            hint=f"did you mean {near}?" if near else f"its instances are {', '.join(known)}",
        )
    return known[name]


def _address(given: Mapping[str, Any]) -> Address:
    host, port = given["address"]
    return Address(host, port)


async def _late(route: Route, address: Address) -> list[str]:
    try:
        checks = await route.verify(address)
    except DbreError as error:
        return [f"{route.name}: {error.message}"]
    return [f"{route.name}: {one.name} says {one.seen}" for one in checks if not one.is_ok]
