"""A question about an operation that nobody planned: what would the gates say?"""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates, question_for
from dbre.core.gates.model import GateDecision, GateQuestion
from dbre.core.operation.plan import Plan, PlannedOperation, Risk
from dbre.core.text import printable, quoted

__all__ = ["Supposed", "ask_supposing", "supposed_question"]

_LONGEST_KIND = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """Just enough of an operation for gates to judge it."""

    cluster: str
    kind: str = "change"
    risk: Risk = Risk.MODERATE
    tags: tuple[str, ...] = ()
    estimate_seconds: float | None = None


def supposed_question(
    supposed: Supposed, fleet: Fleet, clock: Clock, *, requested_by: str, gates: Sequence[str] = ()
) -> GateQuestion:
    """The question. Raises: UnknownCluster; UsageError for a kind that is no name."""
    if not supposed.kind or len(supposed.kind) > _LONGEST_KIND or printable(supposed.kind) != supposed.kind:
        raise UsageError(
            f"{quoted(supposed.kind, limit=100)} is not a kind of operation", hint="write one such as settings.apply"
        )
    cluster = fleet.cluster(supposed.cluster)
    plan = Plan(
        target=f"cluster/{cluster.name}",
        summary="supposed, to see what the gates say",
        steps=(),
        risk=supposed.risk,
        gates=tuple(gates),
        tags=supposed.tags,
        estimate_seconds=supposed.estimate_seconds,
    )
    planned = PlannedOperation(kind=supposed.kind, definition_version=1, input={}, plan=plan)
    return question_for(planned, fleet, requested_by=requested_by, at=clock.now())


async def ask_supposing(
    gates: Gates, supposed: Supposed, fleet: Fleet, clock: Clock, *, requested_by: str
) -> tuple[GateDecision, ...]:
    """What every gate says, the worst first."""
    # A gate that is always asked needs no naming, and may judge a plan that names it more strictly than one that does not.
    names = [gate.name for gate in gates.all() if not gate.asks_always]
    return await gates.ask(supposed_question(supposed, fleet, clock, requested_by=requested_by, gates=names))
