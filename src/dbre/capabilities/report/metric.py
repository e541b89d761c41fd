"""One number of a report, and whether it is as good as it should be."""

from dataclasses import dataclass
from enum import StrEnum

from dbre.capabilities.report.statistics import Summary, Trend
from dbre.core.units import format_duration
from dbre.core.view import Row

__all__ = ["Metric", "Unit", "metric_row"]


class Unit(StrEnum):
    """What a number counts."""

    SECONDS = "seconds"
    RATIO = "ratio"
    COUNT = "count"
    PER_WEEK = "per_week"
    HOURS = "hours"  # a person and week
    FACTOR = "factor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """``value`` None: undefined, which is not 0. ``target`` is a limit from above or, with ``is_floor``, from below."""

    name: str  # snake_case, with its unit where that is no ratio
    title: str
    unit: Unit
    value: float | None
    summary: Summary | None = None  # whose mean the value is
    before: float | None = None  # of the span before
    trend: Trend | None = None
    target: float | None = None
    is_floor: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met; None without a value, or without a target."""
        if self.value is None or self.target is None:
            return None
        return self.value >= self.target if self.is_floor else self.value <= self.target

    def text(self, value: float | None) -> str:
        """A value of this unit for people; ``-`` where it is not known."""
        if value is None:
            return "-"
        match self.unit:
            case Unit.SECONDS:
                return format_duration(value)
            case Unit.RATIO:
                return f"{value * 100:.4g} %"
            case Unit.COUNT:
                return f"{value:.0f}"
            case _:
                return f"{value:.4g}"


def metric_row(metric: Metric) -> Row:
    """One number as it stands in JSON."""
    summary = metric.summary
    return {
        "metric": metric.name,
        "title": metric.title,
        "unit": metric.unit.value,
        "value": metric.value,
        "n": None if summary is None else summary.n,
        "median": None if summary is None else summary.median,
        "p90": None if summary is None else summary.p90,
        "mean_low": None if summary is None else summary.low,
        "mean_high": None if summary is None else summary.high,
        "before": metric.before,
        "trend": None if metric.trend is None else metric.trend.value,
        "target": metric.target,
        "is_met": metric.is_met,
        "note": metric.note,
    }
