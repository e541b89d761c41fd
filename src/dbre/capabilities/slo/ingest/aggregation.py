"""From events to counts: what is written to the log and counted is never the single event."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from dbre.capabilities.slo.counting import CountedSlot
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.ingest.checking import Rejection, TimeLimits, checked, is_clean
from dbre.capabilities.slo.ingest.event_columns import EventColumns
from dbre.capabilities.slo.ingest.histogram import ZERO_MS, LatencyHistogram, bucket_of
from dbre.capabilities.slo.ingest.matching import Matcher, Target

__all__ = ["MAX_REJECTIONS", "Aggregate", "LatencyPart", "aggregate"]

_SLOT_MS = 10_000
_MINUTE_MS = 60_000
_NO_BUCKET = -(10**6)  # of the zero bucket, far below that of any duration
MAX_REJECTIONS = 100
"""Of a batch that are told one by one; the rest is only counted."""


@dataclass(frozen=True, slots=True)
class LatencyPart:
    """Durations of the valid events of one SLO instance in one minute since 1970."""

    slo: str
    cluster: str
    group: str
    minute: int
    histogram: LatencyHistogram


@dataclass(slots=True)
class Aggregate:
    """What a batch comes to."""

    counted: list[CountedSlot] = field(default_factory=list)
    latencies: list[LatencyPart] = field(default_factory=list)
    accepted: int = 0  # rows; those that match no SLO included
    unmatched: int = 0  # rows that are described by attributes which no SLO matches
    rejected: int = 0  # rows
    rejections: list[Rejection] = field(default_factory=list)  # of the first rejected rows

    def add(self, other: "Aggregate") -> None:
        """Take in what another part of the batch came to."""
        self.counted += other.counted
        self.latencies += other.latencies
        self.accepted += other.accepted
        self.unmatched += other.unmatched
        self.rejected += other.rejected
        self.rejections += other.rejections


def aggregate(columns: EventColumns, matcher: Matcher, *, limits: TimeLimits) -> Aggregate:
    """Count the events of a batch by SLO instance and slot, and their durations by instance and minute.

    Rows that make no sense are left out and told. Raises: ValueError where the columns differ in length.
    """
    result = Aggregate()
    rows: Sequence[int] = range(len(columns))
    if not is_clean(columns, limits):
        columns, rows, rejections = checked(columns, limits)
        _reject(result, rejections)
    who = _subjects(columns)
    targets = _targets(columns, matcher, who)
    _judge_subjects(result, rows, who, targets)
    _count(result, columns, who, targets, matcher.limits_ms)
    if columns.duration_ms:
        _measure(result, columns, who, targets)
    return result


def _reject(result: Aggregate, rejections: Iterable[Rejection]) -> None:
    for one in rejections:
        result.rejected += 1
        if len(result.rejections) < MAX_REJECTIONS:
            result.rejections.append(one)


def _subjects(columns: EventColumns) -> Sequence[Any]:
    """What says for each row which SLOs it counts for: a name, or the index of its attributes."""
    if not columns.attributes:
        return columns.slo
    if not columns.slo:
        return columns.attributes
    pairs = zip(columns.slo, columns.attributes, strict=True)
    return [index if name is None else name for name, index in pairs]


def _targets(columns: EventColumns, matcher: Matcher, who: Sequence[Any]) -> dict[Any, tuple[Target, ...] | str]:
    found: dict[Any, tuple[Target, ...] | str] = {}
    for one in set(who):
        if isinstance(one, str):
            named = matcher.named(one)
            found[one] = named if isinstance(named, str) else (named,)
        elif one is None:
            found[one] = "the event neither names an SLO nor has attributes"
        else:
            found[one] = matcher.described(columns.attribute_sets[one])
    return found


def _judge_subjects(
    result: Aggregate, rows: Sequence[int], who: Sequence[Any], targets: dict[Any, tuple[Target, ...] | str]
) -> None:
    result.accepted = len(who)
    if all(targets.values()) and not any(isinstance(one, str) for one in targets.values()):
        return
    for row, one in zip(rows, who, strict=True):
        found = targets[one]
        if isinstance(found, str):
            result.accepted -= 1
            _reject(result, [Rejection(row, found)])
        elif not found:
            result.unmatched += 1


def _count(
    result: Aggregate,
    columns: EventColumns,
    who: Sequence[Any],
    targets: dict[Any, tuple[Target, ...] | str],
    limits_ms: tuple[float, ...],
) -> None:
    slots = [at // _SLOT_MS for at in columns.at_ms]
    valid = repeat(True) if columns.is_valid is None else columns.is_valid
    cells = _tally(zip(who, slots, columns.is_good, valid, _ranks(columns, limits_ms), strict=False), columns.weight)
    counts: dict[tuple[str, str, str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for (subject, slot, is_good, is_valid, rank), times in cells.items():
        found = targets[subject]
        for target in found if not isinstance(found, str) else ():
            counts[target.slo, target.cluster, target.group, slot][_verdict(is_good, is_valid, rank, target.limit)] += times
    result.counted = [
        CountedSlot(slo, cluster, group, slot, Counts(good=good, bad=bad, excluded=excluded))
        for (slo, cluster, group, slot), (good, bad, excluded) in counts.items()
    ]


def _verdict(is_good: bool, is_valid: bool, rank: int | None, limit: int | None) -> int:
    """0: good, 1: bad, 2: no valid event. A good one without a duration says nothing about a latency."""
    if not is_valid:
        return 2
    if not is_good:
        return 1
    if limit is None:
        return 0
    return 2 if rank is None else int(rank > limit)


def _ranks(columns: EventColumns, limits_ms: tuple[float, ...]) -> Iterable[int | None]:
    """How many of all limits each duration exceeds: one number that every latency SLO can judge by."""
    if not limits_ms:
        return repeat(0)
    if not columns.duration_ms:
        return repeat(None)
    return [None if one is None else bisect_left(limits_ms, one) for one in columns.duration_ms]


def _tally(keys: Iterable[Any], weight: Sequence[int]) -> dict[Any, int]:
    if not weight:
        return Counter(keys)
    tally: dict[Any, int] = defaultdict(int)
    for key, times in zip(keys, weight, strict=False):
        tally[key] += times
    return tally


def _measure(
    result: Aggregate, columns: EventColumns, who: Sequence[Any], targets: dict[Any, tuple[Target, ...] | str]
) -> None:
    minutes = [at // _MINUTE_MS for at in columns.at_ms]
    valid = repeat(True) if columns.is_valid is None else columns.is_valid
    buckets = [
        None if one is None or not counts else bucket_of(one) if one > ZERO_MS else _NO_BUCKET
        for one, counts in zip(columns.duration_ms, valid, strict=False)
    ]
    found: dict[tuple[Any, int], LatencyHistogram] = defaultdict(LatencyHistogram)
    for (subject, minute, bucket), times in _tally(zip(who, minutes, buckets, strict=True), columns.weight).items():
        if bucket == _NO_BUCKET:
            found[subject, minute].zero += times
        elif bucket is not None:
            found[subject, minute].put(bucket, times)
    for (subject, minute), histogram in found.items():
        chosen = targets[subject]
        for target in chosen if not isinstance(chosen, str) else ():
            result.latencies.append(LatencyPart(target.slo, target.cluster, target.group, minute, histogram))
