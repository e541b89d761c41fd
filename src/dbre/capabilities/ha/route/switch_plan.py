"""The plan of ``ha.switch_route``: pure rules, no I/O."""

from collections.abc import Iterator, Mapping, Sequence

from dbre.capabilities.ha.route.documents import SwitchRouteInput
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address, Cluster, Instance
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.ports.route import Route, RouteCheck, RouteState

__all__ = ["instances_at", "switch_plan"]


def switch_plan(
    asked: SwitchRouteInput,
    cluster: Cluster,
    instance: Instance,
    routes: Sequence[Route],
    *,
    states: Mapping[str, RouteState],
    checks: Mapping[str, Sequence[RouteCheck]],
) -> Plan:
    """All are paused, turned one after the other, resumed, and watched. Raises: PrecheckFailed with every failed check."""
    _see_that_it_can_be(routes, checks)
    names = [one.name for one in routes]
    changing = [one for one in routes if states[one.name].addresses != (instance.address,)]
    paused = [one.name for one in routes if one.can_pause] if changing else []
    old = sorted({name for one in routes for name in instances_at(cluster, states[one.name].addresses)} - {instance.name})
    return Plan(
        target=f"cluster/{cluster.name}",
        summary=f"lead clients of {cluster.name} to {instance.name} by {counted(len(changing), 'route')}",
        steps=tuple(_steps(asked, instance, changing, names=names, paused=paused, states=states, old=old)) if changing else (),
        risk=Risk.MODERATE if changing else Risk.READ,
        changes=tuple(
            Change(subject=f"{one.name} ({one.kind})", before=_places(cluster, states[one.name]), after=str(instance.address))
            for one in routes
        ),
        blast_radius=tuple(f"every client of {name}" for name in names) if changing else (),
        warnings=tuple(_warnings(routes, checks)),
        observed={name: states[name].as_document() for name in names},
    )


def instances_at(cluster: Cluster, addresses: Sequence[Address]) -> tuple[str, ...]:
    """The instances at some addresses."""
    return tuple(one.name for one in cluster.instances if one.address in addresses)


def _see_that_it_can_be(routes: Sequence[Route], checks: Mapping[str, Sequence[RouteCheck]]) -> None:
    bad = [(one.name, check) for one in routes for check in checks[one.name] if not check.is_ok and not check.is_advice]
    if not bad:
        return
    said = "; ".join(f"{name}: {check.name} is {check.seen}, and should be {check.wanted}" for name, check in bad)
    remedies = dict.fromkeys(check.remedy for _, check in bad if check.remedy)
    raise PrecheckFailed(
        printable(said, limit=2000),
        hint="; ".join(remedies) or "see dbre ha route check",
        context={"failed": [f"{name}: {check.name}" for name, check in bad]},
    )


def _steps(
    asked: SwitchRouteInput,
    instance: Instance,
    changing: Sequence[Route],
    *,
    names: list[str],
    paused: list[str],
    states: Mapping[str, RouteState],
    old: list[str],
) -> Iterator[Step]:
    address = [instance.address.host, instance.address.port]
    limit, settle = asked.pause_limit.total_seconds(), asked.settle.total_seconds()
    if paused:
        yield Step(
            "pause", summary=f"hold clients back on {', '.join(paused)}; give up after {format_duration(limit)}",
            input={"routes": paused, "limit_seconds": limit}, undo="resume", estimate_seconds=0.1,
        )  # fmt: skip
    turned = ", ".join(f"{one.name} ({one.kind})" for one in changing)
    yield Step(
        "turn", summary=f"lead {turned} to {instance.name} at {instance.address}",
        input={"address": address, "before": {one.name: states[one.name].as_document() for one in changing}},
        undo="turn-back", estimate_seconds=0.1 * len(changing),
    )  # fmt: skip
    if paused:
        yield Step(
            "resume", summary=f"let clients go on by {', '.join(paused)}", input={"routes": paused}, estimate_seconds=0.1
        )
    if not asked.keep_sessions:
        yield Step(
            "cut", summary="end connections that still go elsewhere by these routes",
            input={"routes": names, "address": address}, estimate_seconds=0.1,
        )  # fmt: skip
    yield Step(
        "settle", summary=f"watch for {format_duration(settle)} at most who still goes to " + (", ".join(old) or "elsewhere"),
        input={"routes": names, "address": address, "old": old, "seconds": settle}, estimate_seconds=settle,
    )  # fmt: skip


def _places(cluster: Cluster, state: RouteState) -> str:
    known = {one.address: one.name for one in cluster.instances}
    words = [f"{known[one]} at {one}" if one in known else str(one) for one in state.addresses]
    return ", ".join(words) or "nowhere"


def _warnings(routes: Sequence[Route], checks: Mapping[str, Sequence[RouteCheck]]) -> Iterator[str]:
    for route in routes:
        for check in checks[route.name]:
            if not check.is_ok and check.is_advice:
                rest = f"; {check.remedy}" if check.remedy else ""
                yield printable(f"{route.name}: {check.name} is {check.seen}, and should be {check.wanted}{rest}", limit=500)
