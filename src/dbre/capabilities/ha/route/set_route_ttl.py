"""``ha.set_route_ttl``: shorten for how long clients keep where a name leads, and wait until the old time has passed."""

from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.route.documents import SetRouteTtlInput
from dbre.capabilities.ha.route.ground import RouteGround
from dbre.core.errors import Unsupported
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.units import format_duration
from dbre.ports.route import ExpiringRoute, Route

__all__ = ["SetRouteTtl"]

_LOOK_SECONDS = 1.0


class SetRouteTtl(Operation[SetRouteTtlInput]):
    """Give a record another TTL; its values stay. It is done when nobody may still hold it with the old one."""

    kind, version = "ha.set_route_ttl", 1
    document = SetRouteTtlInput

    def __init__(self, ground: RouteGround) -> None:
        self._ground = ground

    async def plan(self, context: PlanContext, asked: SetRouteTtlInput) -> Plan:  # noqa: ARG002 -- as every operation
        """Look at the record. Raises: Unsupported for a route that has no TTL."""
        cluster = self._ground.fleet.cluster(asked.cluster)
        (route,) = self._ground.routes(cluster, (asked.route,))
        _expiring(route)
        before, after = (await route.current()).linger_seconds, asked.ttl.total_seconds()
        where = {"cluster": cluster.name, "route": route.name}
        new, old = format_duration(after), format_duration(before)
        steps = (
            Step(
                "set-ttl", summary=f"let {route.name} be kept for {new} instead of {old}",
                input={**where, "ttl": after, "before": before}, undo="put-back", estimate_seconds=1.0,
            ),
            Step(
                "wait", summary=f"wait {old}, for which clients may keep the old one",
                input={**where, "seconds": before}, estimate_seconds=before,
            ),
        )  # fmt: skip
        return Plan(
            target=f"cluster/{cluster.name}",
            summary=f"let {route.name} of {cluster.name} be kept for {new}",
            steps=steps if before != after else (),
            risk=Risk.MILD if before != after else Risk.READ,
            changes=(Change(subject=f"{route.name}: ttl", before=f"{before:g} s", after=f"{after:g} s"),),
            observed={"ttl": before},
        )

    @step(timeout_seconds=60.0, idempotent=True)
    async def set_ttl(self, context: StepContext) -> Mapping[str, Any]:
        """Change it."""
        await _expiring(self._route(context)).set_ttl(context.input["ttl"])
        return {"ttl": context.input["ttl"]}

    @step(timeout_seconds=60.0, idempotent=True)
    async def put_back(self, context: StepContext) -> Mapping[str, Any]:
        """Change it back."""
        await _expiring(self._route(context)).set_ttl(context.input["before"])
        return {"ttl": context.input["before"]}

    @step(timeout_seconds=700_000.0, idempotent=True)
    async def wait(self, context: StepContext) -> Mapping[str, Any]:
        """Until the old time has passed; begins anew where the worker died."""
        clock, seconds = context.clock, context.input["seconds"]
        began = clock.monotonic()
        while (elapsed := clock.monotonic() - began) < seconds:
            await context.checkpoint()
            await context.progress(elapsed, seconds, "seconds")
            await clock.sleep(min(_LOOK_SECONDS, seconds - elapsed))
        return {"seconds": seconds}

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        """Ask the server of the zone."""
        first = context.plan.steps[0].input
        (route,) = self._ground.routes(self._ground.fleet.cluster(first["cluster"]), (first["route"],))
        now = (await route.current()).linger_seconds
        return (Verification(subject=f"{route.name}: ttl", holds=now == first["ttl"], detail=f"{now:g} s"),)

    def _route(self, context: StepContext) -> Route:
        (route,) = self._ground.routes(self._ground.fleet.cluster(context.input["cluster"]), (context.input["route"],))
        return route


def _expiring(route: Route) -> ExpiringRoute:
    if not isinstance(route, ExpiringRoute):
        raise Unsupported(f"{route.name} is a route by {route.kind}, which has no TTL", hint="name a route by dns or route53")
    return route
