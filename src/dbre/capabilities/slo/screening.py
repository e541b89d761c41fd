"""Whether any burn rule of an instance can be met at all: a few whole numbers, where an assessment takes a hundred times that.

A screen never misses a rule that the assessment would meet: it leaves out what can only hold a rule back (warm-up, guard).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.slo.alert_rules import BurnRule
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries
from dbre.capabilities.slo.slice_series import SliceSeries

__all__ = ["Screen", "screen_of"]


@dataclass(frozen=True, slots=True)
class _Limit:
    """A rule: met only where ``bad * scale > total * limit`` over both windows."""

    long_slots: int
    short_slots: int
    limit: int
    scale: int


class Screen:
    """The limits of one instance, ready to be compared."""

    __slots__ = ("_limits", "_longest_short", "_shortest")

    def __init__(self, limits: Sequence[_Limit]) -> None:
        self._limits = tuple((one.short_slots, one.long_slots, one.limit, one.scale) for one in limits)
        self._longest_short = max((one.short_slots for one in limits), default=0)
        self._shortest = min((one.short_slots for one in limits), default=0)

    def may_fire(self, series: SlotSeries | SliceSeries, end: int) -> bool:
        """Whether a rule may be met over the windows that end before a slot."""
        return series.newest_bad > end - self._longest_short and series.exceeds(end, self._limits)

    def calm_until(self, series: SlotSeries, end: int) -> int:
        """Up to which slot no rule can be met unless bad events come.

        Bad events only leave a window. Of its good ones those of its newer half stay in it for half its length: if they
        alone keep the ratio below the limit, it stays below for as long. Bad events of slots that are still ahead (a clock
        that is) count as if they had come.
        """
        for short, _, limit, scale in self._limits:
            bad, _ = series.bad_and_total(end - short, end + short)
            _, total = series.bad_and_total(end - short // 2, end)
            if bad * scale > total * limit:
                return end
        return end + self._shortest // 2


def screen_of(definition: Definition, period_seconds: int) -> Screen:
    """The screen for a compliance period of that many seconds."""
    return Screen([_limit(rule, definition) for rule in definition.rules_for(period_seconds)])


def _limit(rule: BurnRule, definition: Definition) -> _Limit:
    ratio = rule.factor * allowed_ratio(definition.target)
    return _Limit(rule.long_seconds // SLOT_SECONDS, rule.short_seconds // SLOT_SECONDS, ratio.numerator, ratio.denominator)
