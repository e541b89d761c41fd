"""Which moment a drill brings back; the same operation always draws the same."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from dbre.capabilities.backup.model import RecoveryInterval
from dbre.ports.backup.model import RecoveryTarget, TargetKind

__all__ = ["draw_moment"]

_MICROSECOND = timedelta(microseconds=1)


def draw_moment(intervals: Sequence[RecoveryInterval], *, seed: UUID, not_after: datetime) -> RecoveryTarget:
    """A moment out of all that can be recovered, every microsecond as likely as any other.

    Where no interval is known in time (an engine without log, no clock samples) it is the newest state.
    """
    spans = [
        (one, begin, (min(end, not_after) - begin) // _MICROSECOND)
        for one in intervals
        for begin, end in [(one.start_at, one.end_at)]
        if begin is not None and end is not None and begin < min(end, not_after)
    ]
    total = sum(length for _, _, length in spans)
    if not total:
        return RecoveryTarget(kind=TargetKind.LATEST)
    place = random.Random(seed.int).randint(1, total)  # noqa: S311 -- a sample that is the same each time, not a secret
    for one, begin, length in spans:
        if place <= length:
            return RecoveryTarget(kind=TargetKind.TIME, at=begin + place * _MICROSECOND, timeline=one.timeline)
        place -= length
    raise AssertionError("the place lies within the total")
