"""Which timeline a target lies on: the one that the service lived on at that moment, not simply the newest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.gaps import Span, ancestry
from dbre.capabilities.backup.model import Catalog, TimelineSwitch

__all__ = ["Line", "choose_line", "newest_timeline", "switches_of"]


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

    Raises: Conflict where the histories contradict each other.
    """
    switches = switches_of(catalog, system_id)
    if timeline is not None:
        return Line(system_id=system_id, timeline=timeline, spans=ancestry(switches, timeline))
    newest = newest_timeline(catalog, system_id)
    line = Line(system_id=system_id, timeline=newest, spans=ancestry(switches, newest))
    before = [one for one in samples if at is not None and one.system_id == system_id and one.at <= at]
    if not before or line.holds(before[-1].timeline, before[-1].value):
        return line
    lived = before[-1].timeline
    note = f"the service lived on timeline {lived} at that moment, which is not on the way to the newest timeline {newest}"
    return Line(system_id=system_id, timeline=lived, spans=ancestry(switches, lived), note=note)
