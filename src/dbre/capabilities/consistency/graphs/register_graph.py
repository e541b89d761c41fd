"""The graph of a history of registers: edges that follow from what is certain of the order of versions.

Source: Kingsbury and Alvaro, "Elle" (VLDB 2020), 4.1 and 5 (recoverable registers, initial state, writes follow reads).
"""

from dataclasses import dataclass

import numpy as np

from dbre.capabilities.consistency.graphs.graph import (
    Graph,
    Kind,
    Numbers,
    TooManyEdges,
    edges_of,
    joined,
    matches,
    strong_components,
)
from dbre.capabilities.consistency.transactions.calls import FAILED, OK
from dbre.capabilities.consistency.transactions.micro_ops import shown
from dbre.capabilities.consistency.transactions.rw_register import RegisterHistory

__all__ = ["register_graph"]

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Versions:
    """Which happened for certain, by whom, and which follows which."""

    writer: Numbers
    happened: Numbers  # of the initial state, too
    before: Numbers
    after: Numbers


def register_graph(history: RegisterHistory, *, most: int) -> Graph:
    """Who must come before whom. Raises: TooManyEdges beyond ``most`` edges."""
    versions = _versions(history)
    row, version = np.asarray(history.read_row), np.asarray(history.read_version)
    if len(row) + len(versions.before) > most:
        raise TooManyEdges
    writer, count = versions.writer, len(versions.writer)
    read = versions.happened[version] & (writer[version] >= 0)
    known = versions.happened[version]
    row_known, version_known = row[known], version[known]
    one, other = matches(version_known, versions.before, count=count, most=most)
    written = writer[versions.before] >= 0
    edges = joined(
        edges_of(writer[versions.before[written]], writer[versions.after[written]], Kind.WW, versions.after[written]),
        edges_of(writer[version[read]], row[read], Kind.WR, version[read]),
        edges_of(row_known[one], writer[versions.after[other]], Kind.RW, versions.after[other]),
    )
    takes_part = np.asarray(history.calls.outcome) == OK
    takes_part[writer[versions.happened & (writer >= 0)]] = True
    return Graph(calls=history.calls, nodes=np.flatnonzero(takes_part), edges=edges)


def _versions(history: RegisterHistory) -> _Versions:
    writer, key = np.asarray(history.writer), np.asarray(history.version_key)
    outcome, initial = np.asarray(history.calls.outcome), np.asarray(history.initial, dtype=np.int64)
    is_initial = np.zeros(len(writer), dtype=bool)
    is_initial[initial] = True
    wrote = np.flatnonzero(writer >= 0)
    row_happened = outcome == OK
    seen = np.asarray(history.read_version)
    seen = seen[writer[seen] >= 0]
    row_happened[writer[seen]] |= outcome[writer[seen]] != FAILED
    happened = is_initial.copy()
    happened[wrote] = row_happened[writer[wrote]]
    before, after = np.asarray(history.before), np.asarray(history.after)
    mask = happened[before] & happened[after] & (before != after)
    before, after = before[mask], after[mask]
    labels = strong_components(len(writer), before, after)
    sizes = np.bincount(labels, minlength=1)
    turning = sizes[labels] > 1
    _report_turning(history, key, turning)
    sound = ~np.isin(key, key[turning])
    mask = sound[before]
    before, after = before[mask], after[mask]
    follows = np.zeros(len(writer), dtype=bool)
    follows[after] = True
    first = np.flatnonzero(happened & sound & ~is_initial & ~follows)
    return _Versions(
        writer=writer,
        happened=happened,
        before=np.concatenate([before, initial[key[first]]]),
        after=np.concatenate([after, first]),
    )


def _report_turning(history: RegisterHistory, key: Numbers, turning: Numbers) -> None:
    """Versions of a key of which each came before the other."""
    at = np.flatnonzero(turning)
    at = at[np.argsort(key[at], kind="stable")]
    for group in np.split(at, np.flatnonzero(np.diff(key[at])) + 1) if len(at) else []:
        versions = [int(one) for one in group[:_SHOWN]]
        values = ", ".join(shown(history.values[one]) for one in versions)
        history.found.add(
            "cyclic-versions",
            [history.calls.began[history.writer[one]] for one in versions if history.writer[one] >= 0],
            f"what transactions read of {shown(history.keys[int(key[versions[0]])])} before they wrote to it orders its values",
            f"so that each of {values} comes before itself",
        )
