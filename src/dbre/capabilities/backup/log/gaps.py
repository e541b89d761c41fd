"""Which parts of the log are there, along a line of timelines, and which are missing; arithmetic only."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbre.capabilities.backup.log.position_text import text_like
from dbre.capabilities.backup.model import LogState, StoredLog, TimelineSwitch
from dbre.core.errors import Conflict
from dbre.ports.backup.model import LogKind, LogPosition

__all__ = ["Coverage", "MissingLog", "Span", "ancestry", "coverage", "stretches"]

_USABLE = frozenset({LogState.RECEIVED, LogState.VAULTED, LogState.VERIFIED})


@dataclass(frozen=True, slots=True)
class Span:
    """The part of a line of descent that one timeline wrote: ``start`` <= position < ``end`` (None: it is the last one)."""

    timeline: int
    start: int
    end: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingLog:
    """A part of the log that no file covers: ``start`` <= position < ``end``."""

    timeline: int
    start: LogPosition
    end: LogPosition


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How far recovery gets from one position along the line to one timeline."""

    end: LogPosition  # replay gets here without a hole; never behind ``until``
    missing: tuple[MissingLog, ...]  # every hole up to ``until``, or up to the last file; empty: all is there
    files: tuple[StoredLog, ...]  # what replay up to ``end`` needs, in the order in which it is read

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def ancestry(switches: Iterable[TimelineSwitch], timeline: int) -> tuple[Span, ...]:
    """The line of timelines that ends in ``timeline``, oldest first, each with the part of the log that it wrote.

    A timeline whose history nobody knows counts as the first one; ``switches`` are of one system.

    >>> ancestry([TimelineSwitch(system_id="1", timeline=2, parent=1, at=0x3000060)], 2)
    (Span(timeline=1, start=0, end=50331744), Span(timeline=2, start=50331744, end=None))

    Raises: Conflict where the switches go round in a circle, or a child left its parent before the parent began.
    """
    by_timeline = {one.timeline: one for one in switches}
    line: list[Span] = []
    end: int | None = None
    current = timeline
    for _ in range(len(by_timeline) + 1):
        switch = by_timeline.get(current)
        start = switch.at if switch is not None else 0
        if end is not None and start > end:
            raise Conflict(
                f"timeline {current} began at {start} but a child left it before that, at {end}",
                hint="the history files contradict each other: are they of one system?",
            )
        line.append(Span(current, start, end))
        if switch is None:
            return tuple(reversed(line))
        current, end = switch.parent, switch.at
    raise Conflict(
        f"the histories of the timelines go round in a circle at timeline {current}",
        hint="the history files contradict each other: are they of one system?",
    )


def coverage(
    logs: Iterable[StoredLog],
    switches: Iterable[TimelineSwitch],
    *,
    start: LogPosition,
    timeline: int,
    until: int | None = None,
    system_id: str | None = None,
) -> Coverage:
    """Which log there is from ``start`` along the line to ``timeline``, up to ``until`` (None: as far as there is any).

    Files that are lost, deleted or partial do not count. A file of a child that begins before the switch holds its
    parent's log up to there, so it covers that too; a file of a parent covers nothing beyond the switch.

    Raises: Conflict where ``start`` does not lie on the line, where the histories contradict each other, or where files
    of several systems are mixed and ``system_id`` does not say which.
    """
    chosen = _of_one_system(logs, system_id)
    line = ancestry((one for one in switches if system_id is None or one.system_id == system_id), timeline)
    if not _lies_on(start, line):
        raise Conflict(
            f"position {start.text} of timeline {start.timeline} is not on the way to timeline {timeline}",
            hint="choose a set that was taken before the timelines parted, or another timeline",
        )
    pieces = sorted(_pieces(chosen, line, start.value, until), key=lambda piece: (piece[0], -piece[1], -piece[2].file.timeline))
    reached, holes, files = _walk(pieces, start.value, until)
    missing = tuple(
        MissingLog(timeline=part.timeline, start=_at(part.timeline, part.start, start), end=_at(part.timeline, end, start))
        for hole in holes
        for part, end in _parts(hole, line)
    )
    end = holes[0][0] if holes else reached
    return Coverage(end=_at(_timeline_at(line, end), end, start), missing=missing, files=tuple(files))


def stretches(logs: Iterable[StoredLog], line: Sequence[Span]) -> tuple[tuple[int, int], ...]:
    """The parts of a line (from ``ancestry``) of which every byte of log is there, in order; ``logs`` are of one system."""
    found: list[tuple[int, int]] = []
    usable = (one for one in logs if _counts(one))
    for begin, end in sorted((begin, end) for begin, end, _ in _pieces(usable, line, 0, None)):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return tuple(found)


def _counts(one: StoredLog) -> bool:
    return one.state in _USABLE and one.file.kind is LogKind.SEGMENT


def _of_one_system(logs: Iterable[StoredLog], system_id: str | None) -> list[StoredLog]:
    chosen = [one for one in logs if _counts(one)]
    if system_id is not None:
        return [one for one in chosen if one.system_id == system_id]
    systems = {one.system_id for one in chosen}
    if len(systems) > 1:
        raise Conflict(f"log files of {len(systems)} systems are mixed", hint="say whose: coverage(..., system_id=...)")
    return chosen


def _lies_on(position: LogPosition, line: Sequence[Span]) -> bool:
    # the end counts as well: a copy may stop exactly where a child begins
    return any(
        span.timeline == position.timeline and span.start <= position.value and (span.end is None or position.value <= span.end)
        for span in line
    )


def _pieces(
    logs: Iterable[StoredLog], line: Sequence[Span], start: int, until: int | None
) -> Iterator[tuple[int, int, StoredLog]]:
    spans = {span.timeline: span for span in line}
    for one in logs:
        span = spans.get(one.file.timeline)
        if span is None or one.file.end <= span.start:
            continue
        end = one.file.end if span.end is None else min(one.file.end, span.end)
        begin = max(one.file.start, start)
        if begin < end and (until is None or begin < until):
            yield begin, end, one


def _walk(
    pieces: Sequence[tuple[int, int, StoredLog]], start: int, until: int | None
) -> tuple[int, list[tuple[int, int]], list[StoredLog]]:
    """How far they reach in all, the holes between them, and the files up to the first hole."""
    reached, holes, files = start, [], []
    for begin, end, log in pieces:
        if begin > reached:
            holes.append((reached, begin))
        elif end <= reached:
            continue
        if not holes:
            files.append(log)
        reached = max(reached, end)
    if until is None:
        return reached, holes, files
    if reached < until:
        holes.append((reached, until))
    return max(start, min(reached, until)), holes, files


def _parts(hole: tuple[int, int], line: Sequence[Span]) -> Iterator[tuple[Span, int]]:
    for span in line:
        start = max(hole[0], span.start)
        end = hole[1] if span.end is None else min(hole[1], span.end)
        if start < end:
            yield Span(span.timeline, start, end), end


def _timeline_at(line: Sequence[Span], value: int) -> int:
    # at a switch the log up to there is the parent's: that is where recovery stands
    for span in line:
        if span.end is None or value <= span.end:
            return span.timeline
    return line[-1].timeline


def _at(timeline: int, value: int, like: LogPosition) -> LogPosition:
    return LogPosition(timeline, value, text_like(like.text, value))
