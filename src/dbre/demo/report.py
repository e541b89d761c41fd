"""The story as one self-contained HTML file: no script, no network, fit for a mail or a ticket."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dbre import __version__
from dbre.core.errors import UsageError
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.demo.story import Story

__all__ = ["require_writable", "write_report"]

_WIDTH, _LEFT, _LANE, _TOP = 960, 150, 34, 20


@dataclass(frozen=True, slots=True)
class _Bar:
    x: float
    y: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class _Tick:
    x: float
    label: str
    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timeline:
    """Coordinates of the drawing, in the units of its viewBox."""

    width: int
    height: int
    axis_y: float
    lanes: Sequence[tuple[str, float]]
    bars: Sequence[_Bar]
    ticks: Sequence[_Tick]
    marks: Sequence[_Tick]


def require_writable(path: Path) -> None:
    """Refuse before the demonstration rather than after it. Raises: UsageError if the report cannot be written there."""
    if path.is_dir() or not path.parent.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"the report cannot be written to {path}", hint="name a file in a directory of yours: --report FILE")


def write_report(story: Story, path: Path) -> None:
    """Render and write; the parent directory exists. Raises: OSError where the file cannot be written."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
    )
    environment.filters["duration"] = lambda seconds: "unknown" if seconds is None else format_duration(seconds)
    environment.filters["clock"] = lambda moment: f"{moment.astimezone():%H:%M:%S.%f}"[:-5]
    page = environment.get_template("report.html").render(story=story, timeline=_timeline(story), version=__version__)
    path.write_text(page, encoding="utf-8")


def _timeline(story: Story) -> _Timeline:
    seconds = max((story.ended_at - story.started_at).total_seconds(), 1.0)
    scale = (_WIDTH - _LEFT - 20) / seconds

    def x(moment: datetime) -> float:
        return round(_LEFT + (moment - story.started_at).total_seconds() * scale, 1)

    names = list(dict.fromkeys(span.lane for span in story.spans))
    lanes = [(name, float(_TOP + position * _LANE)) for position, name in enumerate(names)]
    rows = dict(lanes)
    bars = [_Bar(x(one.start), rows[one.lane], max(x(one.end) - x(one.start), 2.0), one.label) for one in story.spans]
    axis_y = float(_TOP + len(names) * _LANE + 8)
    step = next(one for one in (5, 10, 20, 30, 60, 120, 300, 600, 3600) if seconds / one <= 14 or one == 3600)
    ticks = [_Tick(round(_LEFT + second * scale, 1), f"{second} s") for second in range(0, int(seconds) + 1, step)]
    marks = [_Tick(x(one.at), one.label, level=position % 3) for position, one in enumerate(story.marks)]
    return _Timeline(width=_WIDTH, height=int(axis_y) + 90, axis_y=axis_y, lanes=lanes, bars=bars, ticks=ticks, marks=marks)
