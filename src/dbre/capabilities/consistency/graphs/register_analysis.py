"""A history of registers in transactions, judged."""

from dbre.capabilities.consistency.graphs.cycles import Hop
from dbre.capabilities.consistency.graphs.graph import Kind, TooManyEdges
from dbre.capabilities.consistency.graphs.judging import Judged, judge_graph, too_many_edges
from dbre.capabilities.consistency.graphs.register_graph import register_graph
from dbre.capabilities.consistency.report import Budget, Limits
from dbre.capabilities.consistency.transactions.micro_ops import shown
from dbre.capabilities.consistency.transactions.register_reads import examine_reads
from dbre.capabilities.consistency.transactions.rw_register import RegisterHistory

__all__ = ["judge_registers"]


def judge_registers(history: RegisterHistory, limits: Limits, budget: Budget) -> Judged:
    """Everything that is wrong with a history; its ``found`` grows by what the graph shows."""
    examine_reads(history)
    try:
        graph = register_graph(history, most=limits.edges)
    except TooManyEdges:
        return too_many_edges(limits)
    return judge_graph(graph, history.found, budget, lambda hop: _reason(hop, history))


def _reason(hop: Hop, history: RegisterHistory) -> str:
    key, value = shown(history.keys[history.version_key[hop.about]]), shown(history.values[hop.about])
    if hop.kind is Kind.WR:
        return f"it wrote {value} to {key}, which the other read"
    if hop.kind is Kind.RW:
        return f"it read {key} as it was before the other wrote {value}"
    return f"it wrote to {key} what the other read before it wrote {value}"
