"""What a graph of transactions shows, whichever workload it is of."""

from dataclasses import dataclass

from dbre.capabilities.consistency.found import Found
from dbre.capabilities.consistency.graphs.cycles import find_cycles
from dbre.capabilities.consistency.graphs.graph import Graph
from dbre.capabilities.consistency.graphs.proof import LONGEST, Telling, proof_of
from dbre.capabilities.consistency.graphs.tangle import tangle_of
from dbre.capabilities.consistency.report import Budget, Limits

__all__ = ["Judged", "judge_graph", "too_many_edges"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was not decided: cycles at all, or only those with exactly one anti-dependency."""

    edges: int
    no_graph: str | None = None
    no_single: str | None = None


def too_many_edges(limits: Limits) -> Judged:
    """Nothing is known of cycles."""
    return Judged(edges=0, no_graph=f"cycles were not looked for: the graph has more than {limits.edges:,} edges")


def judge_graph(graph: Graph, found: Found, budget: Budget, tell: Telling) -> Judged:
    """Add the cycles of a graph to what was found."""
    tangle = tangle_of(graph)
    if tangle is None:
        return Judged(edges=len(graph.edges))
    cycles = find_cycles(tangle, budget)
    for name, cycle in cycles.shortest.items():
        found.add(name, [graph.calls.began[hop.source] for hop in cycle[:LONGEST]], *proof_of(cycle, graph.calls, tell))
        found.counts[name] = cycles.counts[name]
    cut = f"the search for G-single took longer than {budget.seconds:g} s" if cycles.is_cut_short else None
    return Judged(edges=len(graph.edges), no_single=cut)
