"""Positions and moments: up to which moment the log that we have reaches. Unknown stays unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.gaps import Coverage
from dbre.capabilities.backup.restoring.lineage import Line
from dbre.ports.backup.model import LogPosition

__all__ = ["Reach", "is_short_at", "reach_of", "value_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What the log says about a moment. ``covers`` is None where nobody can tell."""

    end_at: datetime | None  # everything that was committed until then is there
    covers: bool | None
    is_quiet: bool  # nothing is known to have been committed at or after the moment within the log
    bytes_beyond: int | None  # of log up to the moment that is not there


def _on(line: Line, samples: Sequence[ClockSample]) -> list[ClockSample]:
    return [one for one in samples if one.system_id == line.system_id and line.holds(one.timeline, one.value)]


def value_by(line: Line, samples: Sequence[ClockSample], at: datetime) -> int | None:
    """A position that the log had not passed before ``at``: of the first sample at or after it; None: none is that late."""
    return next((one.value for one in _on(line, samples) if one.at >= at), None)


def is_short_at(coverage: Coverage, line: Line, samples: Sequence[ClockSample], moment: datetime) -> bool:
    """Whether it is known that the log lacks something that was written by a moment."""
    return any(one.at <= moment and one.value > coverage.end.value for one in _on(line, samples))


def reach_of(
    coverage: Coverage,
    line: Line,
    samples: Sequence[ClockSample],
    *,
    at: datetime | None,
    stop: LogPosition,
    stopped_at: datetime,
) -> Reach:
    """What the log covers of the time up to ``at``.

    A sample at or after ``at`` whose position we have proves that everything until ``at`` is there, also in a quiet time; so
    does a commit at or after it. A sample at or before ``at`` whose position we lack proves a loss.
    """
    known = _on(line, samples)
    held = [one for one in known if one.value <= coverage.end.value]
    moments = [one.at for one in held[-1:]]
    commits = [one.last_commit_at for one in coverage.files if one.last_commit_at and one.file.end <= coverage.end.value]
    moments += commits[-1:] and [max(commits)]
    if coverage.end.value >= stop.value:
        moments.append(stopped_at)
    end_at = max(moments, default=None)
    if at is None:
        return Reach(end_at=end_at, covers=None, is_quiet=False, bytes_beyond=None)
    beyond = [one for one in known if one.at <= at and one.value > coverage.end.value]
    covers = True if end_at is not None and end_at >= at else False if beyond else None
    is_quiet = not any(one >= at for one in commits)
    missing = beyond[-1].value - coverage.end.value if beyond else None
    return Reach(end_at=end_at, covers=covers, is_quiet=is_quiet, bytes_beyond=missing)
