"""How events become the budget: one by one, or by slices of time."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import SLOT_SECONDS

__all__ = ["DEFICIT_UNITS", "Method", "NoSliceData", "TimeSlices"]

DEFICIT_UNITS = 10**12
"""Parts into which one slice is divided where its ratio counts: sums of ratios stay whole numbers, to a millionth of a ppm."""


class Method(StrEnum):
    """The three of OpenSLO."""

    OCCURRENCES = "occurrences"  # each event counts
    TIMESLICES = "timeslices"  # each slice is good or bad, however many events it holds
    RATIO_TIMESLICES = "ratio_timeslices"  # each slice counts with its ratio of good events


class NoSliceData(StrEnum):
    """What a slice without a valid event is."""

    GOOD = "good"
    BAD = "bad"
    IGNORE = "ignore"  # no slice at all: the budget is that of the others
    CARRY = "carry"  # what the slice before it was


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSlices:
    """Slices of equal length since 1970; ``target`` is what a good slice needs, None where its ratio counts."""

    seconds: int
    target: Decimal | None
    no_data: NoSliceData = NoSliceData.IGNORE

    @property
    def slots(self) -> int:
        """How many slots a slice has."""
        return self.seconds // SLOT_SECONDS

    @property
    def units(self) -> int:
        """What one slice is worth."""
        return 1 if self.target is not None else DEFICIT_UNITS

    def judge(self, counts: Counts) -> Counts | None:
        """What a slice with these events is worth; None: it has no valid event.

        >>> TimeSlices(seconds=60, target=Decimal("0.95")).judge(Counts(94, 6))
        Counts(good=0, bad=1, missed=0, excluded=0)
        """
        if not counts.total:
            return None
        if self.target is not None:
            is_good = counts.good * self.target.as_integer_ratio()[1] >= self.target.as_integer_ratio()[0] * counts.total
            return Counts(good=1) if is_good else Counts(bad=1)
        bad = round(Fraction(counts.bad * DEFICIT_UNITS, counts.total))
        return Counts(good=DEFICIT_UNITS - bad, bad=bad)

    def as_document(self) -> dict[str, object]:
        """What is stored of them."""
        target = None if self.target is None else f"{self.target.normalize():f}"
        return {"seconds": self.seconds, "target": target, "no_data": self.no_data.value}
