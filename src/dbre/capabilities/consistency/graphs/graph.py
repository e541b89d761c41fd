"""Transactions as nodes, and why one must come before another as edges."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dbre.capabilities.consistency.transactions.calls import Calls

__all__ = ["Edges", "Graph", "Kind", "Numbers", "TooManyEdges", "edges_of", "joined", "matches", "matrix", "strong_components"]

Numbers: TypeAlias = NDArray[Any]


class Kind(IntEnum):
    """Why, the strongest reason first: where two hold between the same transactions, the first is told."""

    WW = 0  # it wrote the version before
    WR = 1  # it wrote what the other read
    RW = 2  # it read what the other overwrote
    PROCESS = 3  # the same client did it before
    REALTIME = 4  # it had ended before the other began


class TooManyEdges(Exception):
    """The graph would not fit; never leaves this capability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edges:
    """Columns of edges; ``about`` says for the proof which version an edge is of (-1: none)."""

    source: Numbers
    target: Numbers
    kind: Numbers
    about: Numbers

    def __len__(self) -> int:
        return len(self.source)

    def where(self, mask: Numbers) -> "Edges":
        """Those that a mask chooses."""
        return Edges(source=self.source[mask], target=self.target[mask], kind=self.kind[mask], about=self.about[mask])


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """``edges`` are those of data; order in time follows from ``calls``. Only ``nodes`` take part."""

    calls: Calls
    nodes: Numbers
    edges: Edges


def edges_of(source: Numbers, target: Numbers, kind: Kind, about: Numbers) -> Edges:
    """Edges of one kind; those from a transaction to itself are left out."""
    mask = source != target
    source, target, about = source[mask], target[mask], about[mask]
    return Edges(
        source=source.astype(np.int32),
        target=target.astype(np.int32),
        kind=np.full(len(source), kind, dtype=np.int8),
        about=about,
    )


def joined(*parts: Edges) -> Edges:
    """All of them."""
    return Edges(
        source=np.concatenate([one.source for one in parts]),
        target=np.concatenate([one.target for one in parts]),
        kind=np.concatenate([one.kind for one in parts]),
        about=np.concatenate([one.about for one in parts]),
    )


def matches(left: Numbers, right: Numbers, *, count: int, most: int) -> tuple[Numbers, Numbers]:
    """Every pair of places that hold the same number below ``count``, one of each side.

    >>> [list(map(int, one)) for one in matches(np.array([7, 5, 7]), np.array([7, 6]), count=8, most=10)]
    [[0, 2], [0, 0]]

    Raises: TooManyEdges beyond ``most`` pairs.
    """
    order = np.argsort(left, kind="stable")
    counts = np.bincount(left, minlength=count)
    first = np.concatenate([[0], np.cumsum(counts)])
    times = counts[right]
    total = int(times.sum())
    if total > most:
        raise TooManyEdges
    step = np.arange(total) - np.repeat(np.cumsum(times) - times, times)
    return order[np.repeat(first[right], times) + step], np.repeat(np.arange(len(right)), times)


def matrix(count: int, source: Numbers, target: Numbers) -> Any:
    """The sparse matrix that scipy's algorithms take."""
    return coo_matrix((np.ones(len(source)), (source, target)), shape=(count, count)).tocsr()


def strong_components(count: int, source: Numbers, target: Numbers) -> Numbers:
    """By node: the number of its strongly connected component."""
    labels: Numbers = connected_components(matrix(count, source, target), directed=True, connection="strong")[1]
    return labels
