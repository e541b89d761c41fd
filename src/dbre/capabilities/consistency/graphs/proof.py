"""A cycle told in words: why each transaction must come before the next, and that it can therefore not be."""

from collections.abc import Callable, Sequence

from dbre.capabilities.consistency.graphs.cycles import Hop
from dbre.capabilities.consistency.graphs.graph import Kind
from dbre.capabilities.consistency.transactions.calls import Calls

__all__ = ["LONGEST", "Telling", "proof_of"]

Telling = Callable[[Hop], str]
"""Says why an edge of data holds."""

LONGEST = 25
"""Edges that are told of a longer cycle."""


def proof_of(cycle: Sequence[Hop], calls: Calls, tell: Telling) -> list[str]:
    """A sentence for each edge, and the conclusion."""
    lines = []
    for hop in cycle[:LONGEST]:
        one, other = calls.name(hop.source), calls.name(hop.target)
        if hop.kind is Kind.PROCESS:
            reason = f"process {calls.process[hop.source]} had its answer before it began the other"
        elif hop.kind is Kind.REALTIME:
            reason = f"it was answered at op {calls.ended[hop.source]}, and the other began at op {calls.began[hop.target]}"
        else:
            reason = tell(hop)
        lines.append(f"{one} comes before {other}: {reason}")
    if len(cycle) > LONGEST:
        lines.append(f"… and so on over {len(cycle) - LONGEST} more transactions")
    first = calls.name(cycle[0].source)
    lines.append(f"so {first} would have to come before itself: there is no such order")
    return lines
