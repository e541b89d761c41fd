"""The outage of each run of a drill as bars, beside what the settings promised. Pure: a drill in, coordinates out."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.drills.measures import problems_of
from dbre.capabilities.ha.drills.summary import DrillSummary
from dbre.core.text import counted
from dbre.core.units import format_duration
from dbre.web.charts import Label

__all__ = ["Bar", "DrillChart", "drill_chart"]

_WIDTH, _HEIGHT = 960, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 34
_WIDEST = 60.0
_EVERY = 10  # with more runs than this, only each tenth has its number below


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One run."""

    x: float
    y: float
    width: float
    height: float
    title: str
    is_bad: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillChart:
    """Coordinates in the units of the viewBox; the template draws them."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    bars: Sequence[Bar]
    x_axis: Sequence[Label]
    y_axis: Sequence[Label]
    promised_y: float | None
    summary: str


def drill_chart(drill: DrillSummary) -> DrillChart | None:
    """None where no outage was measured."""
    most, promised = drill.outages.most, drill.promised_seconds
    if most is None:
        return None
    top = max(most, promised or 0.0) or 1.0
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    place = (right - _LEFT) / len(drill.runs)

    def down_to(seconds: float) -> float:
        return round(floor - (floor - _TOP) * seconds / top, 1)

    bars, below = list[Bar](), list[Label]()
    for index, run in enumerate(drill.runs):
        middle, width = _LEFT + place * (index + 0.5), min(place * 0.6, _WIDEST)
        if len(drill.runs) <= _EVERY or run.number % _EVERY == 0:
            below.append(Label(position=round(middle, 1), text=str(run.number)))
        if run.outage_seconds is None:
            continue
        y, wrong = down_to(run.outage_seconds), problems_of(run)
        title = "; ".join([f"run {run.number}: {format_duration(run.outage_seconds)}", *wrong])
        x = round(middle - width / 2, 1)
        bar = Bar(x=x, y=y, width=round(width, 1), height=round(floor - y, 1), title=title, is_bad=bool(wrong))
        bars.append(bar)
    ticks = [Label(position=down_to(top * part / 4), text=format_duration(top * part / 4)) for part in range(5)]
    return DrillChart(
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        right=right,
        bottom=floor,
        bars=bars,
        x_axis=below,
        y_axis=ticks,
        promised_y=down_to(promised) if promised is not None else None,
        summary=_words(drill),
    )


def _words(drill: DrillSummary) -> str:
    """What the bars show, for who does not see them."""
    found = drill.outages
    p50, p95, most = ("not known" if one is None else format_duration(one) for one in (found.p50, found.p95, found.most))
    promised = "nothing" if drill.promised_seconds is None else f"at most {format_duration(drill.promised_seconds)}"
    quantiles = f"median {p50}, 95th percentile {p95}, longest {most}"
    return f"Outage of {found.count} of {counted(len(drill.runs), 'run')}: {quantiles}; promised was {promised}"
