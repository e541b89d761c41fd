"""Routes looked at side by side: where they lead, whether they could be turned, who stayed behind."""

import asyncio
from typing import Any

from dbre.capabilities.ha.route.ground import RouteGround
from dbre.capabilities.ha.route.stragglers import client_sessions, straggler_rows
from dbre.capabilities.ha.route.switch_plan import instances_at
from dbre.capabilities.ha.route.switch_route import instance_of
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.text import printable
from dbre.ports.route import Route, RouteCheck

__all__ = ["check_routes", "read_routes", "read_stragglers"]

_Found = tuple[list[dict[str, Any]], list[DbreError]]


async def read_routes(ground: RouteGround, cluster: Cluster, names: tuple[str, ...]) -> _Found:
    """One row a route; an error for each that does not answer, and a row that says so."""
    routes = ground.routes(cluster, names)
    states = await asyncio.gather(*(_tried(one.current()) for one in routes))
    rows, errors = [], []
    for route, state in zip(routes, states, strict=True):
        row: dict[str, Any] = {"route": route.name, "kind": route.kind}
        if isinstance(state, DbreError):
            errors.append(state)
            row |= {"instances": None, "addresses": None, "is_paused": None, "linger_seconds": None}
        else:
            row |= {
                "instances": list(instances_at(cluster, state.addresses)),
                "addresses": [str(one) for one in state.addresses],
                "is_paused": state.is_paused,
                "linger_seconds": state.linger_seconds,
            }
        rows.append(row)
    return rows, errors


async def check_routes(ground: RouteGround, cluster: Cluster, to: str | None, names: tuple[str, ...]) -> _Found:
    """One row a check of each route for each instance."""
    instances = (instance_of(cluster, to),) if to is not None else cluster.instances
    pairs = [(route, instance) for route in ground.routes(cluster, names) for instance in instances]
    found = await asyncio.gather(*(_tried(route.check(instance.address)) for route, instance in pairs))
    rows: list[dict[str, Any]] = []
    errors: dict[str, DbreError] = {}
    for (route, instance), checks in zip(pairs, found, strict=True):
        if isinstance(checks, DbreError):
            errors.setdefault(checks.message, checks)
        else:
            rows += [_row(route, instance, one) for one in checks]
    return rows, list(errors.values())


async def read_stragglers(ground: RouteGround, cluster: Cluster, names: tuple[str, ...]) -> _Found:
    """The clients of some instances; by default of those that no route leads to."""
    if names:
        chosen = [instance_of(cluster, name) for name in names]
    else:
        states = [await one.current() for one in ground.routes(cluster)]
        led = {name for state in states for name in instances_at(cluster, state.addresses)}
        chosen = [one for one in cluster.instances if one.name not in led]
    found = await asyncio.gather(*(_tried(client_sessions(ground.engines, cluster, one)) for one in chosen))
    errors = [one for one in found if isinstance(one, DbreError)]
    return [row for one in found if not isinstance(one, DbreError) for row in straggler_rows(one[1])], errors


def _row(route: Route, instance: Instance, check: RouteCheck) -> dict[str, Any]:
    return {
        "route": route.name,
        "instance": instance.name,
        "check": check.name,
        "status": "ok" if check.is_ok else "advice" if check.is_advice else "fails",
        "seen": printable(check.seen, limit=500),
        "wanted": check.wanted,
        "remedy": None if check.is_ok else check.remedy,
    }


async def _tried(question: Any) -> Any:
    try:
        return await question
    except DbreError as error:
        return error
