"""Acknowledged writes held against what is there afterwards: the account of a failover, a partition, a restore.

An answer after sending may be missing: such a write is unknown, and both of its outcomes are right. A write counts as failed
only where the error proves that it was not committed.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Account", "LedgerRead", "LedgerWrite", "NodeSpan", "Overlap", "Stale", "WriteOutcome", "balance"]


class WriteOutcome(StrEnum):
    """What the client of a write knows."""

    OK = "ok"
    FAILED = "failed"  # definitely: the error came before a commit was possible
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerWrite:
    """One write. Times are of one clock, or places in a history; ``acked_at`` is None where no acknowledgement came."""

    id: Any
    sent_at: float
    acked_at: float | None
    outcome: WriteOutcome
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRead:
    """What a read that began and ended at these times saw, an id as often as it was there."""

    began_at: float
    ended_at: float
    seen: Sequence[Any]
    node: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A write that a read lacked although it was acknowledged before the read began, and that is there in the end."""

    id: Any
    read: LedgerRead


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSpan:
    """When a node acknowledged for the first and for the last time, and how often."""

    node: str
    first_at: float
    last_at: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlap:
    """A node went on acknowledging what was sent after another one had begun to: two primaries, or a way back."""

    old: str
    new: str
    new_first_at: float
    after: Sequence[Any]  # ids that the old node acknowledged, sent after the new one's first acknowledgement


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The balance. ``phantom`` is no fault: those are unknown writes that turned out to be there."""

    acknowledged: int
    lost: Sequence[Any]
    phantom: Sequence[Any]
    duplicate: Sequence[Any]
    resurrected: Sequence[Any]
    unexpected: Sequence[Any]
    stale: Sequence[Stale]
    nodes: Sequence[NodeSpan]
    overlaps: Sequence[Overlap]


def balance(writes: Sequence[LedgerWrite], final: Iterable[Any], *, reads: Sequence[LedgerRead] = ()) -> Account:
    """Hold writes against ``final``, the ids that are there when all is over; ``reads`` were made while it lasted.

    >>> writes = [LedgerWrite(id=1, sent_at=0, acked_at=1, outcome=WriteOutcome.OK, node="pg1")]
    >>> balance(writes, []).lost
    [1]
    """
    times = Counter(final)
    by_outcome: dict[WriteOutcome, dict[Any, LedgerWrite]] = {one: {} for one in WriteOutcome}
    for write in writes:
        by_outcome[write.outcome][write.id] = write
    acknowledged = by_outcome[WriteOutcome.OK]
    known = {write.id for write in writes}
    nodes = _spans(acknowledged.values())
    return Account(
        acknowledged=len(acknowledged),
        lost=[one for one in acknowledged if one not in times],
        phantom=[one for one in by_outcome[WriteOutcome.UNKNOWN] if one in times],
        duplicate=[one for one, count in times.items() if count > 1],
        resurrected=[one for one in by_outcome[WriteOutcome.FAILED] if one in times],
        unexpected=[one for one in times if one not in known],
        stale=_stale(acknowledged.values(), times, reads),
        nodes=nodes,
        overlaps=_overlaps(list(acknowledged.values()), nodes),
    )


def _stale(acknowledged: Iterable[LedgerWrite], final: Counter[Any], reads: Sequence[LedgerRead]) -> list[Stale]:
    """The first stale read of each write."""
    ordered = sorted((one.acked_at, at, one.id) for at, one in enumerate(acknowledged) if one.acked_at is not None)
    found: dict[Any, Stale] = {}
    due: set[Any] = set()
    at = 0
    for read in sorted(reads, key=lambda one: one.began_at):
        while at < len(ordered) and ordered[at][0] < read.began_at:
            if ordered[at][2] in final:
                due.add(ordered[at][2])
            at += 1
        missing = due.difference(read.seen)
        due -= missing  # only the first is told, and thousands of reads of an empty table are compared in no time
        found |= {one: Stale(id=one, read=read) for one in missing}
    return list(found.values())


def _spans(acknowledged: Iterable[LedgerWrite]) -> list[NodeSpan]:
    times: dict[str, list[float]] = {}
    for write in acknowledged:
        if write.node is not None and write.acked_at is not None:
            times.setdefault(write.node, []).append(write.acked_at)
    spans = [NodeSpan(node=node, first_at=min(all_), last_at=max(all_), count=len(all_)) for node, all_ in times.items()]
    return sorted(spans, key=lambda span: (span.first_at, span.node))


def _overlaps(acknowledged: Sequence[LedgerWrite], nodes: Sequence[NodeSpan]) -> list[Overlap]:
    """For each pair of nodes in the order in which they began: what the older one took on after the newer one had begun."""
    found = []
    for place, old in enumerate(nodes):
        for new in nodes[place + 1 :]:
            if old.last_at <= new.first_at:
                continue
            after = [one.id for one in acknowledged if one.node == old.node and one.sent_at > new.first_at]
            if after:
                found.append(Overlap(old=old.node, new=new.node, new_first_at=new.first_at, after=after))
    return found
