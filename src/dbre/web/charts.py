"""Charts drawn on the server as SVG, so that they are there without JavaScript. Pure: numbers in, coordinates out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["LineChart", "line_chart"]

_WIDTH, _HEIGHT = 960, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 12, 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A tick of an axis."""

    position: float
    text: str


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
    bottom: int


def line_chart(points: Sequence[tuple[datetime, float]], *, start: datetime, end: datetime) -> LineChart:
    """A step line of a ratio over time, drawn as percentages; the scale holds 0 and 100 % and whatever lies beyond.

    ``points`` are in order of time; a value holds until the next point.
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
        x_axis=[Label(position=x(moment), text=text) for moment, text in _moments(start, end)],
        y_axis=[Label(position=y(value), text=f"{value:.0%}") for value in _levels(low, high)],
        zero_y=y(0),
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        bottom=_HEIGHT - _BOTTOM,
    )


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


def _moments(start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    span = (end - start).total_seconds()
    steps = (1, 5, 15, 60, 300, 900, 3600, 10_800, 21_600, 86_400, 259_200, 604_800, 2_592_000, 31_536_000)
    step = next((one for one in steps if span / one <= 9), steps[-1])
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < 86_400 else "%d %b"
    first = int(start.timestamp() // step + 1) * step
    moments = [datetime.fromtimestamp(first + position * step, UTC) for position in range(int(span // step) + 1)]
    return [(moment, f"{moment:{form}}") for moment in moments if moment < end - timedelta(seconds=span * 0.02)]
