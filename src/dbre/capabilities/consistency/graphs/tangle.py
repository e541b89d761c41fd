"""The part of a graph in which cycles are: what cannot be put in an order. Of a sound history it is empty."""

from dataclasses import dataclass

import numpy as np

from dbre.capabilities.consistency.graphs.graph import Edges, Graph, Kind, Numbers, joined, strong_components
from dbre.capabilities.consistency.graphs.order_in_time import moments, pairs_in_time, process_order

__all__ = ["Tangle", "kinds", "tangle_of", "with_order"]

_FEW = 1_500  # transactions of which every pair in time gets an edge of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Tangle:
    """A small graph; ``rows`` are the names that its nodes have outside. Nodes from ``len(rows)`` on are moments."""

    rows: Numbers
    count: int
    data: Edges
    process: Edges
    realtime: Edges


def tangle_of(graph: Graph) -> Tangle | None:
    """The transactions that are in a cycle of data and real time; None: all is in order, whatever the isolation level."""
    nodes = graph.nodes
    began, ended = np.asarray(graph.calls.began), np.asarray(graph.calls.ended)
    total = len(began)
    in_time, count = moments(began[nodes], ended[nodes], first=len(nodes))
    number = np.full(total, -1, dtype=np.int64)
    number[nodes] = np.arange(len(nodes))
    labels = strong_components(
        len(nodes) + count,
        np.concatenate([number[graph.edges.source], in_time.source]),
        np.concatenate([number[graph.edges.target], in_time.target]),
    )[: len(nodes)]
    is_tangled = np.bincount(labels)[labels] > 1
    if not is_tangled.any():
        return None
    rows = nodes[is_tangled]
    number = np.full(total, -1, dtype=np.int64)
    number[rows] = np.arange(len(rows))
    inner = graph.edges.where((number[graph.edges.source] >= 0) & (number[graph.edges.target] >= 0))
    data = Edges(source=number[inner.source], target=number[inner.target], kind=inner.kind, about=inner.about)
    process = np.asarray(graph.calls.process)[rows]
    if len(rows) <= _FEW:
        realtime, count = pairs_in_time(began[rows], ended[rows]), 0
    else:
        realtime, count = moments(began[rows], ended[rows], first=len(rows))
    return Tangle(
        rows=rows,
        count=len(rows) + count,
        data=data,
        process=process_order(began[rows], ended[rows], process),
        realtime=realtime,
    )


def kinds(edges: Edges, *chosen: Kind) -> Edges:
    """Those of some kinds."""
    return edges.where(np.isin(edges.kind, chosen))


def with_order(data: Edges, order: Edges | None) -> Edges:
    """Edges of data and of time."""
    return data if order is None else joined(data, order)
