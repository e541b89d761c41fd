"""The recovery map as SVG: to which moments one can go back, where the log has gaps, what was proved. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.backup.model import DrillVerdict
from dbre.capabilities.backup.overview import Overview
from dbre.web.charts import Label, axis_moments

__all__ = ["Bar", "Point", "RecoveryMap", "recovery_map"]

_WIDTH, _LEFT, _RIGHT, _TOP, _ROW = 960, 96, 16, 12, 26
_LEAST = 2.0  # units: shorter bars would not be seen
_SHORTEST = timedelta(hours=1)
_Scale = Callable[[datetime], float]
_Row = Callable[[tuple[str, int]], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A stretch of time in which every moment can, or cannot, be recovered."""

    x: float
    width: float
    y: float
    title: str
    is_gap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A set, or a moment that a drill recovered."""

    x: float
    y: float
    title: str
    kind: str  # set, pass, fail, inconclusive


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryMap:
    """Coordinates in the units of the viewBox."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    rows: Sequence[Label]  # names of the timelines, at their heights
    bars: Sequence[Bar]
    points: Sequence[Point]
    x_axis: Sequence[Label]


def recovery_map(found: Overview, *, now: datetime) -> RecoveryMap | None:
    """One row for each timeline of each system; None where there is nothing that has a time."""
    intervals = [one for one in found.intervals if one.start_at is not None and one.end_at is not None]
    if not intervals:
        return None
    start = min([now - _SHORTEST, *(one.start_at for one in intervals if one.start_at is not None)])
    lines = sorted({(one.system_id, one.timeline) for one in intervals})
    height = _TOP + _ROW * len(lines) + 34

    def x(moment: datetime) -> float:
        part = (min(max(moment, start), now) - start) / (now - start)
        return round(_LEFT + part * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(line: tuple[str, int]) -> float:
        return _TOP + _ROW * lines.index(line)

    bars = [_bar(one.start_at, one.end_at, y((one.system_id, one.timeline)), x, "can be recovered") for one in intervals]
    for gap in found.gaps:
        if (gap.system_id, gap.timeline) in lines:
            title = f"gap: {gap.reason}"
            bars.append(_bar(gap.began_at, gap.ended_at or now, y((gap.system_id, gap.timeline)), x, title, is_gap=True))
    return RecoveryMap(
        width=_WIDTH,
        height=height,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        bottom=height - 34,
        rows=[Label(position=y(line) + _ROW / 2, text=f"timeline {line[1]}") for line in lines],
        bars=bars,
        points=_points(found, lines, x, y),
        x_axis=[Label(position=x(moment), text=text) for moment, text in axis_moments(start, now)],
    )


def _bar(start: datetime | None, end: datetime | None, y: float, x: _Scale, what: str, *, is_gap: bool = False) -> Bar:
    assert start is not None and end is not None  # noqa: S101, PT018 -- the caller chose those that have both
    left, right = x(start), x(end)
    title = f"{start:%Y-%m-%d %H:%M:%S} to {end:%Y-%m-%d %H:%M:%S} UTC: {what}"
    return Bar(x=left, width=max(right - left, _LEAST), y=y + 4, title=title, is_gap=is_gap)


def _points(found: Overview, lines: Sequence[tuple[str, int]], x: _Scale, y: _Row) -> list[Point]:
    points = [
        Point(x=x(one.stopped_at), y=y((one.system_id, one.stop.timeline)) + _ROW / 2, title=f"{one.kind} {one.id}", kind="set")
        for one in found.sets
        if one.stopped_at is not None and one.stop is not None and (one.system_id, one.stop.timeline) in lines
    ]
    for drill in found.drills:
        at, where = drill.reached_commit_at, drill.reached
        if at is None or where is None or drill.system_id is None or (drill.system_id, where.timeline) not in lines:
            continue
        kind = "proved" if drill.verdict is DrillVerdict.PASS else drill.verdict.value
        title = f"drill of {drill.ended_at:%Y-%m-%d %H:%M}: {kind}"
        points.append(Point(x=x(at), y=y((drill.system_id, where.timeline)) + _ROW / 2, title=title, kind=drill.verdict.value))
    return points
