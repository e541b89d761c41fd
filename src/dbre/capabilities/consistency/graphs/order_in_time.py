"""What ended before what began, with few edges.

Instead of an edge from each transaction to each later one, there is a chain of moments: a transaction leads to the moment of
its end, each moment to the next, and the last moment before a transaction began to that transaction. Paths are the same, and
there are three edges a transaction, whatever the concurrency.
"""

import numpy as np

from dbre.capabilities.consistency.graphs.graph import Edges, Kind, Numbers, edges_of

__all__ = ["moments", "pairs_in_time", "process_order"]


def moments(began: Numbers, ended: Numbers, *, first: int) -> tuple[Edges, int]:
    """The edges through moments, which are nodes from ``first`` on, and how many moments there are.

    ``ended`` is -1 where nobody knows that a transaction ended.
    """
    done = np.flatnonzero(ended >= 0)
    done = done[np.argsort(ended[done], kind="stable")]
    count = len(done)
    moment = first + np.arange(count)
    last = np.searchsorted(ended[done], began) - 1
    late = np.flatnonzero(last >= 0)
    source = np.concatenate([done, moment[:-1], first + last[late]])
    target = np.concatenate([moment, moment[1:], late])
    return edges_of(source, target, Kind.REALTIME, np.full(len(source), -1)), count


def pairs_in_time(began: Numbers, ended: Numbers) -> Edges:
    """An edge for every pair; for few transactions, because a shortest cycle needs the direct way."""
    source, target = np.nonzero((ended[:, None] >= 0) & (ended[:, None] < began[None, :]))
    return edges_of(source, target, Kind.REALTIME, np.full(len(source), -1))


def process_order(began: Numbers, ended: Numbers, process: Numbers) -> Edges:
    """From each transaction that ended to the next of the same process."""
    order = np.lexsort((began, process))
    source, target = order[:-1], order[1:]
    mask = (process[source] == process[target]) & (ended[source] >= 0)
    source, target = source[mask], target[mask]
    return edges_of(source, target, Kind.PROCESS, np.full(len(source), -1))
