"""How fast the budget burned over the past, as one alert rule saw it: for the graph of its row."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import BurnRule
from dbre.capabilities.slo.burn_rate import burn_rate
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at, slot_start

__all__ = ["WINDOWS_SHOWN", "BurnHistory", "BurnPoint", "burn_history"]

WINDOWS_SHOWN = 3
"""Long windows in a graph: what led to an alert, and what came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnPoint:
    """The burn rates that the rule looked at; None: no valid event in that window."""

    at: datetime
    long: Fraction | None
    short: Fraction | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnHistory:
    """The past of one rule."""

    rule: BurnRule
    start: datetime
    end: datetime
    points: tuple[BurnPoint, ...]


def burn_history(series: SlotSeries, definition: Definition, rule: BurnRule, now: datetime, *, limit: int = 240) -> BurnHistory:
    """At most ``limit`` moments over three long windows until ``now``; between two of them the peaks of both windows survive.

    Each stretch shows the greatest burn of the moments in it at which a run of bad slots ends, and of its own end: a short
    window burns most exactly then.
    """
    end = slot_at(now) + 1
    start = end - WINDOWS_SHOWN * rule.long_seconds // SLOT_SECONDS
    width = max(-(-(end - start) // limit), 1)
    longs, shorts = rule.long_seconds // SLOT_SECONDS, rule.short_seconds // SLOT_SECONDS
    peaks: dict[int, set[int]] = {}
    for run in series.runs(start, end):
        if run.counts.bad:
            peaks.setdefault((run.end - start - 1) // width, set()).add(run.end)
    points = []
    for index, stop in enumerate(range(start + width, end + width, width)):
        moments = sorted({min(stop, end), *(one for one in peaks.get(index, ()) if one <= end)})
        points.append(
            BurnPoint(
                at=slot_start(min(stop, end)),
                long=_greatest(series, definition, moments, longs),
                short=_greatest(series, definition, moments, shorts),
            )
        )
    return BurnHistory(rule=rule, start=slot_start(start), end=slot_start(end), points=tuple(points))


def _greatest(series: SlotSeries, definition: Definition, moments: Sequence[int], slots: int) -> Fraction | None:
    rates = []
    for moment in moments:
        counts = series.window(moment - slots, moment)
        if counts.total:
            rates.append(burn_rate(counts.bad, counts.total, target=definition.target))
    return max(rates, default=None)
