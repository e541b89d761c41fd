"""Charts drawn on the server as SVG, so that they are there without JavaScript. Pure: numbers in, coordinates out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

__all__ = ["Label", "LineChart", "Mark", "RateChart", "axis_moments", "line_chart", "rate_chart"]

_WIDTH, _HEIGHT = 960, 260
_RATE_HEIGHT = 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A tick of an axis."""

    position: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened at a moment: a vertical line with its title."""

    at: datetime
    title: str
    href: str
    kind: str = "operation"  # or incident
    position: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Coordinates in the units of the viewBox; the template draws them."""

    width: int
    height: int
    line: str  # points of a polyline
    area: str  # the same, closed along the zero line
    x_axis: Sequence[Label]
    y_axis: Sequence[Label]
    zero_y: float
    left: int
    right: int
    top: int
    bottom: int
    marks: Sequence[Mark]


def line_chart(
    points: Sequence[tuple[datetime, float]], *, start: datetime, end: datetime, marks: Sequence[Mark] = ()
) -> LineChart:
    """A step line of a ratio over time, drawn as percentages; the scale holds 0 and 100 % and whatever lies beyond.

    ``points`` are in order of time; a value holds until the next point. Marks outside of the time are left out.
    """
    low = min([0.0, *(value for _, value in points)])
    high = max([1.0, *(value for _, value in points)])
    seconds = max((end - start).total_seconds(), 1.0)

    def x(moment: datetime) -> float:
        part = (min(max(moment, start), end) - start).total_seconds() / seconds
        return round(_LEFT + part * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    corners = _steps([(x(moment), y(value)) for moment, value in points], x(end))
    line = " ".join(f"{one},{other}" for one, other in corners)
    area = f"{corners[0][0]},{y(0)} {line} {corners[-1][0]},{y(0)}" if corners else ""
    return LineChart(
        width=_WIDTH,
        height=_HEIGHT,
        line=line,
        area=area,
        x_axis=[Label(position=x(moment), text=text) for moment, text in axis_moments(start, end)],
        y_axis=[Label(position=y(value), text=f"{value:.0%}") for value in _levels(low, high)],
        zero_y=y(0),
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        top=_TOP,
        bottom=_HEIGHT - _BOTTOM,
        marks=[replace(one, position=x(one.at)) for one in marks if start <= one.at <= end],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RateChart:
    """Two lines of rates and the threshold that both must exceed; gaps where nothing was measured."""

    width: int
    height: int
    long: Sequence[str]  # points of polylines, one for each stretch without a gap
    short: Sequence[str]
    threshold_y: float
    x_axis: Sequence[Label]
    y_axis: Sequence[Label]
    zero_y: float
    left: int
    right: int
    bottom: int


def rate_chart(
    points: Sequence[tuple[datetime, float | None, float | None]], *, threshold: float, start: datetime, end: datetime
) -> RateChart:
    """Burn rates over long and short windows; the scale reaches from 0 to above the threshold and the greatest rate."""
    rates = [one for _, *pair in points for one in pair if one is not None]
    high = max([threshold * 1.25, *rates])
    seconds = max((end - start).total_seconds(), 1.0)

    def x(moment: datetime) -> float:
        return round(_LEFT + (moment - start).total_seconds() / seconds * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / high * (_RATE_HEIGHT - _TOP - _BOTTOM), 1)

    def line(position: int) -> list[str]:
        stretches: list[list[str]] = [[]]
        for moment, *pair in points:
            if pair[position] is None:
                stretches.append([])
            else:
                stretches[-1].append(f"{x(moment)},{y(pair[position] or 0.0)}")
        return [" ".join(one) for one in stretches if one]

    return RateChart(
        width=_WIDTH,
        height=_RATE_HEIGHT,
        long=line(0),
        short=line(1),
        threshold_y=y(threshold),
        x_axis=[Label(position=x(moment), text=text) for moment, text in axis_moments(start, end)],
        y_axis=[Label(position=y(value), text=f"{value:g}") for value in _rate_levels(high)],
        zero_y=y(0),
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        bottom=_RATE_HEIGHT - _BOTTOM,
    )


def _rate_levels(high: float) -> list[float]:
    step = next((one * 10.0**power for power in range(-3, 12) for one in (1, 2, 5) if high / (one * 10.0**power) <= 4), high)
    return [round(position * step, 6) for position in range(int(high / step) + 1)]


def _steps(points: Sequence[tuple[float, float]], end_x: float) -> list[tuple[float, float]]:
    corners: list[tuple[float, float]] = []
    for x, y in points:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    if corners:
        corners.append((end_x, corners[-1][1]))
    return corners


def _levels(low: float, high: float) -> list[float]:
    step = next((one for one in (0.25, 0.5, 1, 2, 5, 10, 50, 100, 1000) if (high - low) / one <= 6), (high - low) / 5)
    first = int(low // step)
    levels = [position * step for position in range(first, int(high // step) + 1)]
    return [level for level in levels if low <= level <= high]


def axis_moments(start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Round moments between two, at most ten, each with its text."""
    span = (end - start).total_seconds()
    steps = (1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 86_400, 259_200, 604_800, 2_592_000, 31_536_000)
    step = next((one for one in steps if span / one <= 9), steps[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    first = int(start.timestamp() // step + 1) * step
    moments = [datetime.fromtimestamp(first + position * step, UTC) for position in range(int(span // step) + 1)]
    return [(moment, f"{moment:{form}}") for moment in moments if moment < end - timedelta(seconds=span * 0.02)]
