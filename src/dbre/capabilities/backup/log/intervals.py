"""To which moments one can go back: the reach of usable sets through the log that is there."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.clock_map import ClockMap
from dbre.capabilities.backup.log.gaps import Span, ancestry, stretches
from dbre.capabilities.backup.log.position_text import text_like
from dbre.capabilities.backup.model import BackupSet, Catalog, RecoveryInterval, SetState
from dbre.ports.backup.model import LogPosition

__all__ = ["recovery_intervals", "usable_sets"]


@dataclass(frozen=True, slots=True)
class _Reach:
    """What one set gives of one timeline."""

    start: LogPosition
    end: int
    from_set: BackupSet
    begins_at_set: bool


def usable_sets(catalog: Catalog) -> tuple[BackupSet, ...]:
    """Sealed sets with a place in the log whose parents are all sealed, by the time at which they were begun."""
    by_id = {one.id: one for one in catalog.sets}
    return tuple(one for one in catalog.sets if one.start is not None and one.stop is not None and _is_closed(one, by_id))


def _is_closed(one: BackupSet, by_id: dict[str, BackupSet]) -> bool:
    seen: set[str] = set()
    current: BackupSet | None = one
    while current is not None and current.state is SetState.SEALED and current.id not in seen:
        if current.parent_id is None:
            return True
        seen.add(current.id)
        current = by_id.get(current.parent_id)
    return False


def recovery_intervals(catalog: Catalog, clock_samples: Iterable[ClockSample]) -> tuple[RecoveryInterval, ...]:
    """Every stretch of every timeline in which each moment can be recovered, by system, timeline and position.

    On a timeline, a set reaches from where it is consistent to the first hole of the log behind where it begins.
    Overlapping reaches are one interval. Moments come from ``clock_samples`` and from the sets' own; they are never guessed.
    """
    samples = list(clock_samples)
    usable = usable_sets(catalog)
    found: list[RecoveryInterval] = []
    for system_id in sorted({one.system_id for one in usable}):
        switches = [one for one in catalog.switches if one.system_id == system_id]
        mine = [one for one in usable if one.system_id == system_id]
        logs = [one for one in catalog.logs if one.system_id == system_id]
        timelines = {one.timeline for one in switches} | {one.parent for one in switches} | {one.file.timeline for one in logs}
        for timeline in sorted(timelines | {one.stop.timeline for one in mine if one.stop is not None}):
            line = ancestry(switches, timeline)
            parts = stretches(logs, line)
            reaches = sorted(_reaches(mine, line, parts), key=lambda one: (one.start.value, -one.end))
            clock = ClockMap.along(samples, line, system_id=system_id)
            found.extend(_interval(one, clock) for one in _merged(reaches))
    return tuple(found)


def _reaches(sets: Iterable[BackupSet], line: Sequence[Span], parts: Sequence[tuple[int, int]]) -> Iterator[_Reach]:
    last = line[-1]
    spans = {span.timeline: span for span in line}
    for one in sets:
        start, stop = one.start, one.stop
        span = spans.get(stop.timeline) if stop is not None else None
        if start is None or stop is None or span is None or (span.end is not None and stop.value > span.end):
            continue
        end = _end_of_log(one, start, stop, parts)
        if end is None:
            continue
        if stop.timeline == last.timeline:
            yield _Reach(stop, end, one, begins_at_set=True)
        elif end > last.start:
            begin = LogPosition(last.timeline, last.start, text_like(stop.text, last.start))
            yield _Reach(begin, end, one, begins_at_set=False)


def _end_of_log(one: BackupSet, start: LogPosition, stop: LogPosition, parts: Sequence[tuple[int, int]]) -> int | None:
    """Up to where one gets from a set; None where it cannot even become consistent."""
    if one.holds_its_log or start.value == stop.value:  # consistent without any log of the vaults
        return next((high for low, high in parts if low <= stop.value < high), stop.value)
    end = next((high for low, high in parts if low <= start.value < high), None)
    return end if end is not None and end >= stop.value else None


def _merged(reaches: Sequence[_Reach]) -> Iterator[list[_Reach]]:
    group: list[_Reach] = []
    end = 0
    for one in reaches:
        if group and one.start.value > end:
            yield group
            group = []
        end = max(end, one.end) if group else one.end
        group.append(one)
    if group:
        yield group


def _interval(group: Sequence[_Reach], clock: ClockMap) -> RecoveryInterval:
    first, end = group[0], max(one.end for one in group)
    sets = sorted({one.from_set.id: one.from_set for one in group}.values(), key=lambda one: (one.started_at, one.id))
    stops = [one.stopped_at for one in sets if one.stopped_at is not None and one.stop is not None and one.stop.value <= end]
    known_end = clock.all_before(end)
    return RecoveryInterval(
        cluster=first.from_set.cluster,
        system_id=first.from_set.system_id,
        timeline=first.start.timeline,
        start=first.start,
        end=LogPosition(first.start.timeline, end, text_like(first.start.text, end)),
        start_at=first.from_set.stopped_at if first.begins_at_set else clock.exceeded_at(first.start.value),
        end_at=max([*stops, *([] if known_end is None else [known_end])], default=None),
        set_ids=tuple(one.id for one in sets),
    )
