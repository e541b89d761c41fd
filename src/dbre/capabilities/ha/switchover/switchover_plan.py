"""The plan of ``ha.switchover``: pure rules over an assessment. Nothing that moves by itself stands in it."""

from collections.abc import Iterator
from typing import Any

from dbre.capabilities.ha.switchover.assessment import Assessment
from dbre.capabilities.ha.switchover.checks import CheckState
from dbre.capabilities.ha.switchover.config_document import SwitchoverDocument
from dbre.capabilities.ha.switchover.follower_rules import direct_followers
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.ports.succession import GivesUp

__all__ = ["plan_of", "slot_name"]

_UNMEASURED_SECONDS = 1.0
_LONGEST_SLOT = 63  # NAMEDATALEN - 1


def plan_of(seen: Assessment, limits: SwitchoverDocument) -> Plan:
    """Raises: PrecheckFailed where something is in the way."""
    old, new = seen.primary, seen.candidate
    if seen.failed or old is None or new is None:
        raise _refusal(seen)
    cluster = seen.survey.cluster
    steps = tuple(_steps(seen, old, new.name))
    warned = [one for one in seen.checks if one.state is CheckState.WARN]
    return Plan(
        target=f"cluster/{cluster.name}",
        summary=f"make {new.name} the primary of {cluster.name} in place of {old}",
        steps=steps,
        risk=Risk.SEVERE,
        changes=(
            Change(subject=f"{new.name}: role", before="replica", after="primary"),
            Change(subject=f"{old}: role", before="primary", after="replica"),
            *(Change(subject=f"route {one.name}", before=old, after=new.name) for one in seen.survey.routes),
        ),
        blast_radius=tuple(_blast_radius(seen, old, limits)),
        warnings=tuple(f"{one.subject}: {one.rule.replace('_', ' ')}: {printable(one.value, limit=300)}" for one in warned),
        observed={"primary": old, "candidate": new.name, "followers": direct_followers(seen.survey, old, new.name)},
        estimate_seconds=None if seen.timing is None else round(seen.timing.seconds, 3),
    )


def slot_name(instance: str) -> str:
    """The place in the log of a follower that has none of its own name yet.

    >>> slot_name("Orders-1")
    'dbre_orders_1'
    """
    word = "".join(one if one.isascii() and (one.isalnum() or one == "_") else "_" for one in instance.lower())
    return f"dbre_{word}"[:_LONGEST_SLOT]


def _refusal(seen: Assessment) -> PrecheckFailed:
    cluster = seen.survey.cluster.name
    first = seen.failed[:5]
    told = "; ".join(f"{one.subject}: {one.rule.replace('_', ' ')}: {one.value} (wanted: {one.limit})" for one in first)
    more = f", and {len(seen.failed) - 5} more" if len(seen.failed) > 5 else ""
    to = f" --to {printable(seen.asked, limit=100)}" if seen.asked is not None else ""
    return PrecheckFailed(
        f"the primary of {cluster} is not changed: {told}{more}",
        hint=f"every check with its remedy: dbre ha switchover {cluster}{to} --check",
        context={"cluster": cluster, "failed": [one.rule for one in seen.failed]},
    )


def _steps(seen: Assessment, old: str, new: str) -> Iterator[Step]:
    names, routes = {"from": old, "to": new}, [one.name for one in seen.survey.routes]
    nodes = seen.survey.nodes
    standing = nodes[old].standing
    is_whole = seen.hand_over is not None or (standing is not None and standing.can_hand_over)
    slots = _slots(seen, old, new)
    if not is_whole:
        yield Step("prepare", summary=f"write out what {old} and {new} hold in memory", input=names | {"slots": slots},
                   undo="unprepare")  # fmt: skip
    if any(one.can_pause for one in seen.survey.routes):
        yield Step("pause-routes", summary=f"hold clients back at {', '.join(routes)}", input=names | {"routes": routes},
                   undo="resume-routes")  # fmt: skip
    if is_whole:
        who = seen.hand_over.name if seen.hand_over is not None else "the engine"
        yield Step("hand-over", summary=f"{who} makes {new} the primary, or {old} goes on", input=names, irreversible=True)
    else:
        yield from _own_steps(old, new, names | {"slots": slots}, standing.gives_up if standing is not None else None)
    if routes:
        before = {one.name: one.state.as_document() for one in seen.survey.routes if one.state is not None}
        yield Step("turn-routes", summary=f"lead {', '.join(routes)} to {new}, and let clients go on",
                   input=names | {"routes": routes, "before": before})  # fmt: skip
    if seen.hand_over is not None:
        return
    for name in direct_followers(seen.survey, old, new):
        yield Step(f"follow:{name}", summary=f"{name} follows {new}", input=names | {"instance": name, "slot": slots.get(name)})
    if not is_whole:
        yield Step("rejoin", summary=f"{old} follows {new}", input=names | {"slot": slots.get(old)})
        yield Step("settle", summary=f"checkpoint of {new}; {old} keeps its log for nobody any more",
                   input=names | {"drop": [one.slot for one in nodes.values() if one.slot]})  # fmt: skip


def _own_steps(old: str, new: str, given: dict[str, Any], gives_up: GivesUp | None) -> Iterator[Step]:
    verb = "stop" if gives_up is GivesUp.BY_STOPPING else "close"
    yield Step("give-up", summary=f"{verb} {old}: from here on nobody writes", input=given, undo="take-back")
    yield Step("catch-up", summary=f"wait until {new} has everything that {old} wrote", input=given)
    yield Step("promote", summary=f"promote {new}: from here on there is no way back", input=given, irreversible=True)


def _slots(seen: Assessment, old: str, new: str) -> dict[str, str]:
    """Names for the places in the new primary's log, where the candidate has one in the old one's."""
    if seen.survey.nodes[new].slot is None:
        return {}
    followers = direct_followers(seen.survey, old, new)
    own = {name: seen.survey.nodes[name].slot or slot_name(name) for name in followers}
    return own | {old: seen.survey.nodes[old].slot or slot_name(old)}


def _blast_radius(seen: Assessment, old: str, limits: SwitchoverDocument) -> Iterator[str]:
    routes = seen.survey.routes
    if seen.timing is not None:
        took = f"{format_duration(round(seen.timing.seconds, 3))}, as long as the last time"
    else:
        took = "a time that was not measured on this cluster yet"
    slow = seen.hand_over.why_slow if seen.hand_over is not None else None
    yield f"no client can write for {took}{'; ' + slow if slow else ''}"
    yield "nothing that was acknowledged is lost: nobody is promoted before it has everything"
    if any(one.can_pause for one in routes):
        pausing = [one.name for one in routes if one.can_pause]
        yield f"clients of {', '.join(pausing)} wait; those of other ways are cut off and must connect again"
    else:
        yield f"every client of {old} is cut off and must connect again"
    lingering = [one for one in routes if one.state is not None and one.state.linger_seconds]
    for one in lingering:
        seconds = one.state.linger_seconds if one.state is not None else 0.0
        yield f"clients of {one.name} may look for {old} for {format_duration(seconds)} more"
    if limits.never:
        yield f"never primary: {counted(len(limits.never), 'instance')}"
