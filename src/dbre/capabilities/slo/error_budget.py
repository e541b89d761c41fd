"""The error budget of one window: what may be bad, what was, what is left. Exact, and never clamped."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.objective import allowed_ratio

__all__ = ["Budget", "BudgetHealth", "error_budget", "scheduled_events"]


class BudgetHealth(StrEnum):
    """How much budget is left, in four words; limits are inclusive: exactly 50 % left is healthy, exactly 0 is exhausted."""

    HEALTHY = "healthy"  # 50 % or more is left
    WARNING = "warning"  # less than 50 %
    CRITICAL = "critical"  # less than 25 %
    EXHAUSTED = "exhausted"  # nothing, or less than nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The error budget of one window.

    ``allowed_bad`` counts on the volume that the whole window is expected to have, so that one bad event in the first
    minute of a new service does not exhaust it. ``raw_`` numbers count only on the events that were seen.
    """

    allowed_bad: Fraction
    raw_allowed_bad: Fraction
    bad: int | Fraction  # a fraction where slices of time count with their ratio
    carried_ratio: Fraction = field(default=Fraction(0), kw_only=True)  # spent under earlier versions of the SLO
    seconds: Fraction  # the whole budget as time of total outage: window * (1 - target)

    @property
    def consumed_ratio(self) -> Fraction:
        """Part of the budget that is spent; above 1 where it is overspent. Nothing is spent before the first event."""
        return self.carried_ratio + (Fraction(self.bad) / self.allowed_bad if self.allowed_bad else Fraction(0))

    @property
    def remaining_ratio(self) -> Fraction:
        """Part of the budget that is left; negative where it is overspent."""
        return 1 - self.consumed_ratio

    @property
    def raw_consumed_ratio(self) -> Fraction | None:
        """Part of the budget of the events seen so far that is spent; None before the first event."""
        return Fraction(self.bad) / self.raw_allowed_bad if self.raw_allowed_bad else None

    @property
    def remaining_bad(self) -> Fraction:
        """How many more events may be bad; negative where the budget is overspent."""
        return self.allowed_bad * self.remaining_ratio

    @property
    def remaining_seconds(self) -> Fraction:
        """What is left as time of total outage; negative where the budget is overspent."""
        return self.seconds * self.remaining_ratio

    @property
    def health(self) -> BudgetHealth:
        """How much is left, in a word."""
        left = self.remaining_ratio
        if left <= 0:
            return BudgetHealth.EXHAUSTED
        if left < Fraction(1, 4):
            return BudgetHealth.CRITICAL
        return BudgetHealth.WARNING if left < Fraction(1, 2) else BudgetHealth.HEALTHY


def scheduled_events(window_seconds: int, *, interval_ms: int) -> Fraction:
    """How many probes a window of that length is to hold, one each ``interval_ms``; 0: nothing is scheduled.

    >>> scheduled_events(3600, interval_ms=10_000)
    Fraction(360, 1)
    """
    return Fraction(window_seconds * 1000, interval_ms) if interval_ms else Fraction(0)


def error_budget(
    counts: Counts, *, target: Decimal, window_seconds: int, interval_ms: int = 0, expected: Fraction | None = None
) -> Budget:
    """The budget of a window: ``(1 - target) * max(events seen, events expected in the whole window)`` may be bad.

    Where events come one each ``interval_ms`` that says how many are expected.

    99.9 % over 30 days of probes each 10 s allows 259.2 bad ones, 43.2 minutes:

    >>> budget = error_budget(Counts(good=9_990, bad=10), target=Decimal("0.999"), window_seconds=2_592_000, interval_ms=10_000)
    >>> budget.allowed_bad, budget.seconds
    (Fraction(1296, 5), Fraction(2592, 1))
    """
    allowed = allowed_ratio(target)
    volume = max(
        Fraction(counts.total), scheduled_events(window_seconds, interval_ms=interval_ms) if expected is None else expected
    )
    return Budget(
        allowed_bad=allowed * volume,
        raw_allowed_bad=allowed * counts.total,
        bad=counts.bad,
        seconds=allowed * window_seconds,
    )
