"""The graph of a list-append history: every edge follows from what reads saw.

Source: Kingsbury and Alvaro, "Elle" (VLDB 2020), 4.3 to 4.5.
"""

import numpy as np

from dbre.capabilities.consistency.graphs.graph import Edges, Graph, Kind, Numbers, TooManyEdges, edges_of, joined, matches
from dbre.capabilities.consistency.transactions.calls import OK
from dbre.capabilities.consistency.transactions.list_append import AppendHistory
from dbre.capabilities.consistency.transactions.versions import Versions

__all__ = ["append_graph", "intermediate_reads"]


def append_graph(history: AppendHistory, versions: Versions, *, most: int) -> Graph:
    """Who must come before whom. Raises: TooManyEdges beyond ``most`` edges."""
    offset, append = np.asarray(versions.offset), np.asarray(versions.append)
    append_row = np.asarray(history.append_row)
    writer = append_row[append] if len(append) else np.empty(0, dtype=np.int64)
    read_row, read_key = np.asarray(history.read_row), np.asarray(history.read_key)
    next_version = offset[read_key] + np.asarray(versions.read_length)
    if len(writer) + 2 * len(read_row) > most:
        raise TooManyEdges
    chained = np.ones(max(len(writer) - 1, 0), dtype=bool)
    ends = offset[1:-1]  # the first version of a key follows no version of the key before
    chained[ends[(ends > 0) & (ends <= len(chained))] - 1] = False
    at = np.flatnonzero(chained) + 1
    seen = next_version > offset[read_key]
    old = next_version < offset[read_key + 1]
    parts = [
        edges_of(writer[at - 1], writer[at], Kind.WW, at),
        edges_of(writer[next_version[seen] - 1], read_row[seen], Kind.WR, next_version[seen] - 1),
        edges_of(read_row[old], writer[next_version[old]], Kind.RW, next_version[old]),
        *_of_unseen(history, versions, writer, next_version, most=most),
    ]
    edges = joined(*parts)
    outcome = np.asarray(history.calls.outcome)
    takes_part = outcome == OK
    takes_part[writer] = True
    takes_part[append_row[np.asarray(versions.later)]] = True
    return Graph(calls=history.calls, nodes=np.flatnonzero(takes_part), edges=edges)


def _of_unseen(history: AppendHistory, versions: Versions, writer: Numbers, next_version: Numbers, *, most: int) -> list[Edges]:
    """Appends that nobody saw come after the last version, and after whoever read that version."""
    later = np.asarray(versions.later)
    if not len(later):
        return []
    offset, read_key = np.asarray(versions.offset), np.asarray(history.read_key)
    row, key = np.asarray(history.append_row)[later], np.asarray(history.append_key)[later]
    has_version = offset[key + 1] > offset[key]
    about = -2 - later
    parts = [edges_of(writer[offset[key + 1][has_version] - 1], row[has_version], Kind.WW, about[has_version])]
    newest = np.flatnonzero(next_version == offset[read_key + 1])
    one, other = matches(read_key[newest], key, count=len(history.keys), most=most)
    parts.append(edges_of(np.asarray(history.read_row)[newest][one], row[other], Kind.RW, about[other]))
    return parts


def intermediate_reads(history: AppendHistory, versions: Versions) -> list[tuple[int, int]]:
    """Reads that end with an element after which its transaction appended more to the same list: row of the read, append."""
    append_row, append_key = np.asarray(history.append_row), np.asarray(history.append_key)
    if not len(append_row):
        return []
    name = append_row * len(history.keys) + append_key
    _, last = np.unique(name[::-1], return_index=True)
    is_final = np.zeros(len(name), dtype=bool)
    is_final[len(name) - 1 - last] = True
    offset, read_key = np.asarray(versions.offset), np.asarray(history.read_key)
    length = np.asarray(versions.read_length)
    seen = np.flatnonzero(length > 0)
    newest = np.asarray(versions.append)[offset[read_key[seen]] + length[seen] - 1]
    read_row = np.asarray(history.read_row)[seen]
    mask = ~is_final[newest] & (append_row[newest] != read_row)
    return [(int(one), int(other)) for one, other in zip(read_row[mask], newest[mask], strict=True)]
