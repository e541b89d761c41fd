"""Which timeline a target lies on: the one that the service lived on at that moment, not simply the newest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.gaps import Span, ancestry
from dbre.capabilities.backup.model import Catalog, TimelineSwitch
from dbre.capabilities.backup.restoring.errors import NoSetForTarget

__all__ = ["LeftBehind", "Line", "choose_line", "left_behind", "newest_timeline", "switches_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A system and a line of its timelines, oldest first."""

    system_id: str
    timeline: int
    spans: tuple[Span, ...]
    note: str | None = None  # why it is not the newest

    def holds(self, timeline: int, value: int) -> bool:
        """Whether a position lies on the line; where a child begins it lies on both."""
        return any(
            one.timeline == timeline and one.start <= value and (one.end is None or value <= one.end) for one in self.spans
        )


def _newest_with_beginning(catalog: Catalog, system_id: str) -> tuple[int, str | None]:
    """The newest timeline that can be recovered along: just after a promotion its history may not have come in yet."""
    newest, begun = newest_timeline(catalog, system_id), _begun(catalog, system_id)
    if newest in begun or not begun:
        return newest, None
    return max(begun), f"log of timeline {newest} came in, and its history file, which says where it began, did not"


def _begun(catalog: Catalog, system_id: str) -> set[int]:
    """Timelines of which it is known where they began, or which have sets of their own."""
    switches = switches_of(catalog, system_id)
    sets = {one.timeline for one in catalog.sets if one.system_id == system_id and one.timeline is not None}
    return sets | {one.timeline for one in switches} | {one.parent for one in switches}


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """What a server wrote on a timeline after the line had left it: the tail of an old primary that lived on."""

    timeline: int
    value: int  # where the line left it
    bytes: int  # of log that are known to have been written behind that
    until: datetime | None  # when it is known to have been written last


def switches_of(catalog: Catalog, system_id: str) -> tuple[TimelineSwitch, ...]:
    """Where the timelines of one system parted."""
    return tuple(one for one in catalog.switches if one.system_id == system_id)


def newest_timeline(catalog: Catalog, system_id: str) -> int:
    """The highest timeline of a system that anything is known of; 0 where it has none."""
    known = [one.timeline for one in switches_of(catalog, system_id)]
    known += [one.file.timeline for one in catalog.logs if one.system_id == system_id]
    known += [one.timeline or 0 for one in catalog.sets if one.system_id == system_id]
    return max(known, default=0)


def choose_line(
    catalog: Catalog,
    system_id: str,
    *,
    timeline: int | None,
    at: datetime | None = None,
    samples: Sequence[ClockSample] = (),
) -> Line:
    """The line to recover along: as asked, else the newest, else that on which the service lived at the moment ``at``.

    A server that was itself once restored to an earlier moment left a branch behind: what was written there lies on no way
    to the newest timeline, and going along the newest one would silently recover something else.

    Raises: Conflict where the histories contradict each other; NoSetForTarget where nobody knows yet where that one began.
    """
    switches = switches_of(catalog, system_id)
    if timeline is not None:
        return Line(system_id=system_id, timeline=timeline, spans=ancestry(switches, timeline))
    newest, note = _newest_with_beginning(catalog, system_id)
    line = Line(system_id=system_id, timeline=newest, spans=ancestry(switches, newest), note=note)
    before = [one for one in samples if at is not None and one.system_id == system_id and one.at <= at]
    if not before or line.holds(before[-1].timeline, before[-1].value):
        return line
    lived, begun = before[-1].timeline, _begun(catalog, system_id)
    if begun and lived not in begun:
        raise NoSetForTarget(
            f"the service lived on timeline {lived} at that moment, and what says where that began did not come in yet",
            hint=f"wait until its history file is stored (dbre backup log status); --timeline {newest} goes without it",
            context={"timeline": lived},
        )
    note = f"the service lived on timeline {lived} at that moment, which is not on the way to the newest timeline {newest}"
    return Line(system_id=system_id, timeline=lived, spans=ancestry(switches, lived), note=note)


def left_behind(
    catalog: Catalog, line: Line, *, at: datetime | None = None, samples: Sequence[ClockSample] = ()
) -> tuple[LeftBehind, ...]:
    """What lies on none of the line's own stretches, although it was written before ``at`` (None: whenever)."""
    return tuple(
        found
        for span in line.spans
        if span.end is not None and (found := _left_of(catalog, line, span, span.end, at, samples)) is not None
    )


def _left_of(
    catalog: Catalog, line: Line, span: Span, end: int, at: datetime | None, samples: Sequence[ClockSample]
) -> LeftBehind | None:
    seen = [
        one
        for one in samples
        if (one.system_id, one.timeline) == (line.system_id, span.timeline) and one.value > end and (at is None or one.at <= at)
    ]
    whole = [
        one.file.end
        for one in catalog.logs
        if at is None and (one.system_id, one.file.timeline) == (line.system_id, span.timeline) and one.file.start >= end
    ]
    highest = max((*(one.value for one in seen), *whole), default=end)
    if highest == end:
        return None
    until = max((one.at for one in seen), default=None)
    return LeftBehind(timeline=span.timeline, value=end, bytes=highest - end, until=until)
