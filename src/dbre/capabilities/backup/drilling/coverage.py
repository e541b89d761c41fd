"""How much of what can be recovered was ever proved; arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from dbre.capabilities.backup.model import Drill, DrillVerdict, RecoveryInterval
from dbre.ports.backup.model import TargetKind

__all__ = ["ProvenCoverage", "ProvenPoint", "proven_coverage", "proven_points"]

_PARTS = 100


@dataclass(frozen=True, slots=True, order=True)
class ProvenPoint:
    """A moment that was brought back and found right."""

    at: datetime
    drill_id: str
    proved_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenCoverage:
    """Proven points over the intervals of which the moments are known."""

    points: tuple[ProvenPoint, ...]  # those that lie in an interval
    seconds: float  # of all intervals
    longest_unproven_seconds: float
    parts_proven: int  # of a hundred equal parts of the intervals, those with a point in them
    parts: int


def proven_points(drills: Sequence[Drill]) -> tuple[ProvenPoint, ...]:
    """The moments that passed drills brought back: their target in time, else the newest commit, by time."""
    found = []
    for one in drills:
        at = _moment(one)
        if one.verdict is DrillVerdict.PASS and at is not None:
            found.append(ProvenPoint(at, str(one.id), one.ended_at))
    return tuple(sorted(found))


def _moment(drill: Drill) -> datetime | None:
    if drill.target_kind == TargetKind.TIME.value and drill.target_value is not None:
        return datetime.fromisoformat(drill.target_value)
    return drill.reached_commit_at


def proven_coverage(intervals: Sequence[RecoveryInterval], points: Sequence[ProvenPoint]) -> ProvenCoverage:
    """Where the points lie in the intervals, and how long the longest stretch without one is."""
    spans = [
        (one.start_at, one.end_at) for one in intervals if one.start_at and one.end_at and one.start_at < one.end_at
    ]  # what is not known in time cannot be measured in it
    total = sum((end - start).total_seconds() for start, end in spans)
    inside: set[ProvenPoint] = set()
    hit: set[int] = set()
    longest, before = 0.0, 0.0
    for start, end in spans:
        mine = sorted(one for one in points if start <= one.at <= end)
        inside.update(mine)
        marks = [start, *(one.at for one in mine), end]
        longest = max([longest, *((later - sooner).total_seconds() for sooner, later in pairwise(marks))])
        places = (before + (one.at - start).total_seconds() for one in mine)
        hit.update(min(_PARTS - 1, int(place / total * _PARTS)) for place in places)
        before += (end - start).total_seconds()
    return ProvenCoverage(
        points=tuple(sorted(inside)),
        seconds=total,
        longest_unproven_seconds=longest,
        parts_proven=len(hit),
        parts=_PARTS if total else 0,
    )
