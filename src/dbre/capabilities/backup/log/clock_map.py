"""When the log had which position: samples of the clock, read along one line of timelines."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.gaps import Span

__all__ = ["ClockMap"]

_TIGHT = timedelta(seconds=3)
"""Samples are taken every second: further apart, nobody looked in between."""


@dataclass(frozen=True, slots=True)
class ClockMap:
    """Samples of one system along one line, by time; positions never fall along it."""

    moments: tuple[datetime, ...]
    values: tuple[int, ...]

    @classmethod
    def along(cls, samples: Iterable[ClockSample], line: Sequence[Span], *, system_id: str) -> "ClockMap":
        """The samples that lie on the line: what a server wrote after its child had left it is of another branch."""
        spans = {span.timeline: span for span in line}
        moments: list[datetime] = []
        values: list[int] = []
        for one in sorted(samples, key=lambda one: one.at):
            span = spans.get(one.timeline)
            on_line = span is not None and span.start <= one.value and (span.end is None or one.value <= span.end)
            if one.system_id == system_id and on_line and (not values or one.value >= values[-1]):
                moments.append(one.at)
                values.append(one.value)
        return cls(tuple(moments), tuple(values))

    def all_before(self, value: int) -> datetime | None:
        """A moment up to which every change lies before ``value``; None: not known.

        It is the newest sample that does not go beyond: never later than the truth, and earlier by less than a sample.
        """
        found = bisect_right(self.values, value)
        return self.moments[found - 1] if found else None

    def exceeded_at(self, value: int) -> datetime | None:
        """When the log first went beyond ``value``; None: not known, or it has not.

        Where nobody looked for a while, the last moment at which it is known not to have been so: exposure is rather
        told too long than too short.
        """
        found = bisect_right(self.values, value)
        if found == len(self.values) or found == 0:
            return None
        before, after = self.moments[found - 1], self.moments[found]
        return after if after - before <= _TIGHT else before

    def value_at(self, moment: datetime) -> tuple[int | None, int | None]:
        """Positions at or before and at or after a moment; None on a side where nobody had looked."""
        left, right = bisect_right(self.moments, moment), bisect_left(self.moments, moment)
        return (self.values[left - 1] if left else None), (self.values[right] if right < len(self.values) else None)
