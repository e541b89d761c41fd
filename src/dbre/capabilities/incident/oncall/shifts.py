"""Who is on call when: layers of people who take turns by the clock on the wall, and overrides on top. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from dbre.core.gates.calendar import Calendar, DailyHours

__all__ = ["Gap", "Layer", "Override", "Schedule", "Shift", "gaps", "on_call_at", "shifts"]

_WEEK = timedelta(days=7)
_NEVER = DailyHours(days=(), begin=time(), end=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """People who take turns. ``starts`` is local time without a zone; ``only`` are the times in which the layer counts."""

    name: str
    people: tuple[str, ...]
    starts: datetime
    every: timedelta
    only: tuple[Calendar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Layers from the lowest to the highest, on the clocks of a zone."""

    name: str
    zone: ZoneInfo
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """Somebody is on call instead of whoever is, or instead of ``replaces`` where that one is."""

    id: UUID
    schedule: str
    contact: str
    replaces: str | None
    starts_at: datetime
    ends_at: datetime
    reason: str = ""
    source: str = ""
    created_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One person from one moment to another, both UTC; ``source`` is the layer, or ``override``."""

    person: str
    begins_at: datetime
    ends_at: datetime
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Nobody is on call."""

    begins_at: datetime
    ends_at: datetime


def shifts(schedule: Schedule, begin: datetime, end: datetime, *, overrides: Sequence[Override] = ()) -> tuple[Shift, ...]:
    """Who is on call from ``begin`` to ``end``, in order; what lies outside is cut off.

    A handoff at a time that occurs twice is its first occurrence, one at a time that does not occur is the moment at which
    clocks go forward. Times in ``only`` begin with the first and end with the last occurrence, so that a night in which an
    hour repeats has no gap.
    """
    begin, end = begin.astimezone(UTC), end.astimezone(UTC)
    found: list[Shift] = []
    for layer in schedule.layers:
        found = _covered(found, _layer_shifts(layer, schedule.zone, begin, end))
    for one in overrides:
        span = (max(one.starts_at.astimezone(UTC), begin), min(one.ends_at.astimezone(UTC), end))
        if span[0] < span[1]:
            found = _overridden(found, one, span)
    return _joined(found)


def on_call_at(schedule: Schedule, moment: datetime, *, overrides: Sequence[Override] = ()) -> Shift | None:
    """Who is on call at a moment, from when to when within a week around it; None: nobody."""
    moment = moment.astimezone(UTC)
    around = shifts(schedule, moment - _WEEK, moment + _WEEK, overrides=overrides)
    return next((one for one in around if one.begins_at <= moment < one.ends_at), None)


def gaps(schedule: Schedule, begin: datetime, end: datetime, *, overrides: Sequence[Override] = ()) -> tuple[Gap, ...]:
    """When nobody is on call."""
    found, moment = [], begin.astimezone(UTC)
    for one in shifts(schedule, begin, end, overrides=overrides):
        if one.begins_at > moment:
            found.append(Gap(begins_at=moment, ends_at=one.begins_at))
        moment = max(moment, one.ends_at)
    if moment < end.astimezone(UTC):
        found.append(Gap(begins_at=moment, ends_at=end.astimezone(UTC)))
    return tuple(found)


def _layer_shifts(layer: Layer, zone: ZoneInfo, begin: datetime, end: datetime) -> list[Shift]:
    clock = Calendar(_NEVER, zone)
    local = begin.astimezone(zone).replace(tzinfo=None)
    number = max((local - layer.starts) // layer.every - 1, 0)  # one before: clocks may have been put back
    found: list[Shift] = []
    starts = clock.edge(layer.starts + number * layer.every, 0)
    while starts < end:
        ends = clock.edge(layer.starts + (number + 1) * layer.every, 0)
        person = layer.people[number % len(layer.people)]
        span = (max(starts, begin), min(ends, end))
        if span[0] < span[1]:  # an hour that is skipped has no length
            found.extend(
                Shift(person=person, begins_at=one, ends_at=other, source=layer.name)
                for one, other in _within(layer.only, *span)
            )
        number, starts = number + 1, ends
    return found


def _within(only: Sequence[Calendar], begin: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    if not only:
        return [(begin, end)]
    pieces: list[tuple[datetime, datetime]] = []
    for piece in sorted(piece for one in only for piece in _inside(one, begin, end)):
        if pieces and piece[0] <= pieces[-1][1]:
            pieces[-1] = (pieces[-1][0], max(pieces[-1][1], piece[1]))
        else:
            pieces.append(piece)
    return pieces


def _inside(calendar: Calendar, begin: datetime, end: datetime) -> Iterable[tuple[datetime, datetime]]:
    moment = begin
    while moment < end:
        standing = calendar.at(moment)
        until = min(standing.until or moment + _WEEK, end)  # None: it stays so for a week at least
        if standing.is_inside:
            yield moment, until
        moment = until


def _covered(below: Sequence[Shift], above: Sequence[Shift]) -> list[Shift]:
    found = list(above)
    for one in below:
        found.extend(_without(one, [(other.begins_at, other.ends_at) for other in above]))
    return sorted(found, key=lambda shift: shift.begins_at)


def _overridden(found: Sequence[Shift], override: Override, span: tuple[datetime, datetime]) -> list[Shift]:
    kept, replaced = [], []
    for one in found:
        inner = (max(one.begins_at, span[0]), min(one.ends_at, span[1]))
        if inner[0] >= inner[1] or override.replaces not in (None, one.person):
            kept.append(one)
            continue
        kept.extend(_without(one, [inner]))
        replaced.append(inner)
    if override.replaces is None:
        replaced = [span]  # also where nobody was on call
    added = [Shift(person=override.contact, begins_at=one, ends_at=other, source="override") for one, other in replaced]
    return sorted([*kept, *added], key=lambda shift: shift.begins_at)


def _without(shift: Shift, spans: Sequence[tuple[datetime, datetime]]) -> list[Shift]:
    left = [shift]
    for begin, end in spans:
        left = [
            replace(one, begins_at=first, ends_at=last)
            for one in left
            for first, last in ((one.begins_at, min(one.ends_at, begin)), (max(one.begins_at, end), one.ends_at))
            if first < last
        ]
    return left


def _joined(found: Sequence[Shift]) -> tuple[Shift, ...]:
    joined: list[Shift] = []
    for one in found:
        last = joined[-1] if joined else None
        if last is not None and (last.person, last.source, last.ends_at) == (one.person, one.source, one.begins_at):
            joined[-1] = replace(last, ends_at=one.ends_at)
        else:
            joined.append(one)
    return tuple(joined)
