"""A list-append history, judged."""

from dbre.capabilities.consistency.graphs.append_graph import append_graph, intermediate_reads
from dbre.capabilities.consistency.graphs.cycles import Hop
from dbre.capabilities.consistency.graphs.graph import Kind, TooManyEdges
from dbre.capabilities.consistency.graphs.judging import Judged, judge_graph, too_many_edges
from dbre.capabilities.consistency.report import Budget, Limits
from dbre.capabilities.consistency.transactions.list_append import AppendHistory
from dbre.capabilities.consistency.transactions.micro_ops import Item, shown
from dbre.capabilities.consistency.transactions.versions import Versions, versions_of

__all__ = ["judge_appends"]


def judge_appends(history: AppendHistory, limits: Limits, budget: Budget) -> Judged:
    """Everything that is wrong with a history; its ``found`` grows by what the graph shows."""
    versions = versions_of(history)
    if between := intermediate_reads(history, versions):
        _add_intermediate(history, *between[0], times=len(between))
    try:
        graph = append_graph(history, versions, most=limits.edges)
    except TooManyEdges:
        return too_many_edges(limits)
    return judge_graph(graph, history.found, budget, lambda hop: _reason(hop, history, versions))


def _add_intermediate(history: AppendHistory, row: int, append: int, *, times: int) -> None:
    writer = history.append_row[append]
    key, element = _appended(history, append)
    history.found.add(
        "G1b",
        [history.calls.began[writer], history.calls.began[row]],
        f"{history.calls.name(writer)} appended {shown(element)} to {shown(key)}, and more to it afterwards",
        f"{history.calls.name(row)} read it as it was in between",
        times=times,
    )


def _reason(hop: Hop, history: AppendHistory, versions: Versions) -> str:
    is_seen = hop.about >= 0
    append = versions.append[hop.about] if is_seen else -2 - hop.about
    key, element = _appended(history, append)
    of_key = shown(key)
    if hop.kind is Kind.WR:
        return f"it appended {shown(element)} to {of_key}, which the other read as the last element"
    if hop.kind is Kind.RW:
        return f"it read {of_key} without {shown(element)}, which the other appended"
    if not is_seen:
        return f"it appended an element of {of_key} that was read, where nobody read yet {shown(element)} of the other"
    _, before = _appended(history, versions.append[hop.about - 1])
    return f"it appended {shown(before)} to {of_key}, and reads show {shown(element)} of the other next"


def _appended(history: AppendHistory, append: int) -> tuple[Item, Item]:
    """Key and element of an append; elements are looked up, because only proofs need them."""
    key = history.append_key[append]
    element = next(one for one, made in history.appended[key].items() if made == append)
    return history.keys[key], element
