"""When will the budget be gone, if things go on as they are?"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from dbre.capabilities.slo.error_budget import Budget
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries
from dbre.capabilities.slo.slice_series import SliceSeries
from dbre.capabilities.slo.window import RollingWindow, Window, WindowSpan

__all__ = ["Exhaustion", "time_to_exhaustion"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhaustion:
    """Seconds until the budget is gone at the present rate of bad events; 0: it is gone. None: never.

    ``simple_seconds`` divides what is left by the rate. ``aged_seconds`` also sees that old bad events leave a rolling
    window, or that a calendar window ends and begins anew.
    """

    simple_seconds: Fraction | None
    aged_seconds: Fraction | None


def time_to_exhaustion(
    budget: Budget,
    series: SlotSeries | SliceSeries,
    *,
    window: Window,
    at: WindowSpan,
    bad_per_second: Fraction,
    units: int = 1,
) -> Exhaustion:
    """Both answers for a window whose bad events keep coming at ``bad_per_second``; one of them is ``units`` in ``series``."""
    if budget.remaining_bad <= 0:
        return Exhaustion(simple_seconds=Fraction(0), aged_seconds=Fraction(0))
    if bad_per_second <= 0:
        return Exhaustion(simple_seconds=None, aged_seconds=None)
    simple = budget.remaining_bad / bad_per_second
    if isinstance(window, RollingWindow):
        bad_runs = (run for run in series.runs(at.start_slot, at.seen_slot) if run.counts.bad)
        width = series.unit_slots
        scaled = ((run.start * width, run.length * width, Fraction(run.counts.bad, units * width)) for run in bad_runs)
        aged = _rolling(budget.remaining_bad, scaled, bad_per_second, at)
    else:
        aged = simple if simple <= Fraction(at.seconds_left) else None
    return Exhaustion(simple_seconds=simple, aged_seconds=aged)


def _rolling(
    left: Fraction, bad_runs: Iterable[tuple[int, int, Fraction]], bad_per_second: Fraction, at: WindowSpan
) -> Fraction | None:
    """Walk forward through the old bad events as they leave; within one run they leave at an even pace.

    Runs are their first slot, their length in slots, and the bad events of each slot.
    """
    elapsed = Fraction(0)
    for start, length, bad in bad_runs:
        leaves_at = Fraction(max(start - at.start_slot, 0) * SLOT_SECONDS)
        if left <= bad_per_second * (leaves_at - elapsed):
            return elapsed + left / bad_per_second
        left -= bad_per_second * (leaves_at - elapsed)
        seconds = Fraction(length * SLOT_SECONDS)
        net = bad_per_second - bad / SLOT_SECONDS  # spent less than comes back where negative
        if net > 0 and left <= net * seconds:
            return leaves_at + left / net
        left -= net * seconds
        elapsed = leaves_at + seconds
    # Behind the last old bad event only new ones are left, and those begin to leave after one whole window.
    rest = at.seconds - elapsed
    return elapsed + left / bad_per_second if left <= bad_per_second * rest else None
