"""The plan of a failover: pure rules over a survey."""

from collections.abc import Iterator, Mapping

from dbre.capabilities.ha.failover.candidates import Candidate
from dbre.capabilities.ha.failover.document import FailoverInput
from dbre.capabilities.ha.failover.surveying import Survey
from dbre.capabilities.ha.fencing.rungs import SelfFenceRung
from dbre.core.operation.plan import Change, LockMode, Plan, Risk, Step
from dbre.ports.route import RouteState

__all__ = ["PROMOTE_SECONDS", "plan_of"]

PROMOTE_SECONDS = 120.0


def plan_of(
    asked: FailoverInput, found: Survey, chosen: Candidate, *, can_bar: bool, routes: Mapping[str, RouteState | None]
) -> Plan:
    """See that it is dead, fence it, see what is lost, promote, turn the routes, let the others follow."""
    situation, decision = found.situation, found.decision
    primary, cluster = situation.primary.name, situation.cluster.name
    who = {"primary": primary, "candidate": chosen.name}
    rungs = ", then ".join(one.name for one in found.ladder.rungs)
    to_apply = f" ({found.drain.text})" if found.drain is not None else ""
    steps = [
        Step(
            "confirm", summary=f"see once more that {primary} is dead and {chosen.name} may take over", input=_asked(asked, who)
        ),
        Step("fence", summary=f"fence {primary} ({rungs}) and see that it is", input=who, undo="unfence"),
    ]
    if can_bar:
        summary = f"have every later start of {primary} make it a follower, never a primary"
        steps.append(Step("bar", summary=summary, input=who, undo="unbar"))
    steps += [
        Step(
            "assess", summary=f"let {chosen.name} apply what it has{to_apply}, and see what is lost", input=_asked(asked, who)
        ),
        Step("promote", summary=f"promote {chosen.name}", input=who, irreversible=True),
    ]
    if routes:
        before = {name: state.as_document() if state is not None else None for name, state in routes.items()}
        summary = f"lead clients to {chosen.name} by {', '.join(routes)}"
        steps.append(Step("turn-routes", summary=summary, input=who | {"before": before}))
    others = [one.name for one in situation.others if one.name != chosen.name]
    steps += [
        Step(f"follow:{name}", summary=f"let {name} follow {chosen.name}", input=who | {"follower": name}) for name in others
    ]
    # With a loss that nobody knows to be within the limit it is one person's word against data: four eyes where there are four.
    is_within = decision.loss.is_zero_promised or not asked.accept_loss
    return Plan(
        target=f"cluster/{cluster}",
        summary=f"fail {cluster} over from {primary} to {chosen.name}; loses {decision.loss.text}",
        steps=tuple(steps),
        risk=Risk.SEVERE,
        lock=LockMode.RESCUE,
        gates=(),
        changes=(
            Change(subject=f"{primary}: role", before="primary", after="fenced"),
            Change(subject=f"{chosen.name}: role", before="replica", after="primary"),
        ),
        blast_radius=tuple(_blast_radius(primary, others)),
        warnings=tuple(_warnings(found, can_bar=can_bar)),
        observed={
            "primary": primary,
            "candidate": chosen.name,
            "ranking": [f"{one.name}: {decision.ranked.reasons[one.name]}" for one in decision.ranked.order],
            "fences": [one.name for one in found.ladder.rungs],
            "drain": found.drain.as_document() if found.drain is not None else None,
        },
        tags=("failover",) if is_within else (),
    )


def _asked(asked: FailoverInput, who: Mapping[str, str]) -> dict[str, object]:
    return {**who, "accept_loss": asked.accept_loss, "automatic": asked.automatic}


def _blast_radius(primary: str, others: list[str]) -> Iterator[str]:
    yield f"{primary} is stopped or cut off, whatever it is doing; it comes back as a follower, or not at all"
    for name in others:
        yield f"{name} changes its upstream; who reads there may see a pause"


def _warnings(found: Survey, *, can_bar: bool) -> Iterator[str]:
    name = found.situation.primary.name
    for one in found.decision.reasons:
        if not one.is_met and not one.is_blocking:
            yield f"{one.rule}: {one.value} (wanted: {one.limit})"
    if not can_bar:
        yield f"nothing here keeps {name} from coming back as a primary: keep its fence"
    if any(one.name == SelfFenceRung.name for one in found.ladder.rungs):
        yield f"self_fence is the word of the configuration: nobody here can see whether the watchdog of {name} runs"
    for problem in found.ladder.problems:
        yield f"fence {problem}"
