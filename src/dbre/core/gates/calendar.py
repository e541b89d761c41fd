"""Recurring and fixed times of a civil calendar, in elapsed time: when does one begin, and when is it over?

A span is written in local time. It begins with the first moment that is at or past its beginning, and ends after the last
moment before its end: an hour that occurs twice belongs to it both times, and one that is skipped has no length.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["WEEKDAYS", "Calendar", "DailyHours", "Dates", "FixedSpan", "Pattern", "Standing", "WeekSpan", "time_zone"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_TICK = timedelta(microseconds=1)
_LOOK_BACK, _LOOK_AHEAD = timedelta(days=9), timedelta(days=17)  # a week that touches the next one shows as endless
_YEARS_AHEAD = 9  # 29 February may be eight years away

Span = tuple[datetime, datetime]
"""Beginning and end in local time, without a zone."""


class Pattern(Protocol):
    """Which spans of local time are meant."""

    def spans(self, near: date) -> Iterator[Span]:
        """Those around a date, in the order of their beginnings: enough to know the present one and the next."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyHours:
    """From a time to a time on some days of the week; past midnight where the end is not after the beginning."""

    days: tuple[int, ...]  # 0 is Monday
    begin: time
    end: time | None  # None: the end of the day

    def spans(self, near: date) -> Iterator[Span]:
        """Those around a date."""
        day, last = near - _LOOK_BACK, near + _LOOK_AHEAD
        while day <= last:
            if day.weekday() in self.days:
                begin = datetime.combine(day, self.begin)
                end = datetime.combine(day, self.end or time())
                yield begin, end if end > begin else end + _DAY
            day += _DAY

    def __str__(self) -> str:
        return f"{', '.join(WEEKDAYS[day] for day in self.days)} {self.begin:%H:%M} to {_end_text(self.end)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekSpan:
    """From a time of one weekday to a time of another, once a week."""

    first: int
    begin: time
    last: int
    end: time | None

    def spans(self, near: date) -> Iterator[Span]:
        """Those around a date."""
        day = near - timedelta(days=(near.weekday() - self.first) % 7) - 2 * _WEEK
        for _ in range(5):
            begin = datetime.combine(day, self.begin)
            end = datetime.combine(day + timedelta(days=(self.last - self.first) % 7), self.end or time())
            end += _DAY if self.end is None else timedelta()
            yield begin, end if end > begin else end + _WEEK
            day += _WEEK

    def __str__(self) -> str:
        return f"{WEEKDAYS[self.first]} {self.begin:%H:%M} to {WEEKDAYS[self.last]} {_end_text(self.end)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """Whole days of each year, both included; past the new year where the last lies before the first.

    29 February is 1 March in other years: a span that begins or ends there has no day less.
    """

    ranges: tuple[tuple[tuple[int, int], tuple[int, int]], ...]  # month and day

    def spans(self, near: date) -> Iterator[Span]:
        """Those around a date."""
        found = [self._of(year, *one) for year in range(near.year - 2, near.year + _YEARS_AHEAD) for one in self.ranges]
        yield from sorted(found)

    def _of(self, year: int, first: tuple[int, int], last: tuple[int, int]) -> Span:
        end = _day_of(year + (last < first), *last, is_end=True)
        return datetime.combine(_day_of(year, *first), time()), datetime.combine(end, time())

    def __str__(self) -> str:
        return ", ".join("..".join(f"{month:02}-{day:02}" for month, day in one) for one in self.ranges)


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedSpan:
    """Once, from a moment to a moment. Local where they have no offset."""

    begin: datetime
    end: datetime

    def spans(self, near: date) -> Iterator[Span]:  # noqa: ARG002 - the same at any time
        """The one span."""
        yield self.begin, self.end

    def __str__(self) -> str:
        return f"{self.begin.isoformat(' ', 'minutes')} to {self.end.isoformat(' ', 'minutes')}"


def _end_text(end: time | None) -> str:
    return "24:00" if end is None else f"{end:%H:%M}"


def _day_of(year: int, month: int, day: int, *, is_end: bool = False) -> date:
    if (month, day) == (2, 29) and not _is_leap(year):
        return date(year, 3, 1)
    return date(year, month, day) + (_DAY if is_end else timedelta())


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is the case at a moment, and how long it stays so."""

    is_inside: bool
    since: datetime | None  # when it began to be so; None: further back than was looked
    until: datetime | None  # when it will be otherwise; None: not within reach (a week, for yearly dates nine years)


class Calendar:
    """A pattern in a time zone. Answers are kept while they hold, so that asking each second costs nothing."""

    def __init__(self, pattern: Pattern, zone: ZoneInfo) -> None:
        self.pattern = pattern
        self.zone = zone
        self._known: tuple[datetime, datetime, Standing] | None = None

    def at(self, moment: datetime) -> Standing:
        """Whether a moment (of any zone) lies inside, since when and until when."""
        moment = moment.astimezone(UTC)
        if self._known is None or not self._known[0] <= moment < self._known[1]:
            self._known = self._look(moment)
        return self._known[2]

    def _look(self, moment: datetime) -> tuple[datetime, datetime, Standing]:
        merged = _merged([(self.edge(begin, 0), self.edge(end, 1)) for begin, end in self._spans(moment)])
        horizon = merged[-1][1] if merged else None
        for begin, end in merged:
            if begin <= moment < end:
                since = None if begin == merged[0][0] and self._is_recurring else begin
                until = None if end == horizon and self._is_recurring else end
                return begin, end, Standing(is_inside=True, since=since, until=until)
        before = max((end for _, end in merged if end <= moment), default=None)
        after = min((begin for begin, _ in merged if begin > moment), default=None)
        standing = Standing(is_inside=False, since=before, until=after)
        return before or moment, after or moment + _DAY, standing

    def _spans(self, moment: datetime) -> Iterator[Span]:
        return self.pattern.spans(moment.astimezone(self.zone).date())

    @property
    def _is_recurring(self) -> bool:
        return not isinstance(self.pattern, FixedSpan)

    def edge(self, local: datetime, fold: int) -> datetime:
        """The first moment (fold 0) that is at or past a local time, or the one after the last that is before it (fold 1)."""
        if local.tzinfo is not None:
            return local.astimezone(UTC)
        first, again = (local.replace(tzinfo=self.zone, fold=one).astimezone(UTC) for one in (0, 1))
        if self._local(first) != local:
            return self._end_of_gap(local)
        return again if fold and self._local(again - _TICK) < local else first

    def _local(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _end_of_gap(self, local: datetime) -> datetime:
        """When clocks were put forward over a local time that never was."""
        one, other = (local.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        low, high = min(one, other), max(one, other)
        seconds = range(int((high - low).total_seconds()) + 1)

        def is_past(second: int) -> bool:
            return self._local(low + timedelta(seconds=second)) >= local

        return low + timedelta(seconds=bisect_left(seconds, True, key=is_past))


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch or overlap made one, empty ones left out."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if end <= begin:
            continue
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


@lru_cache(maxsize=64)
def time_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises: UsageError with a did-you-mean."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # unknown, malformed, a directory of the zone database
        near = closest(name, available_timezones())
        raise UsageError(
            f"{quoted(name, limit=100)} is not a time zone",
            hint=f"did you mean {near}?" if near else "write an IANA name: Europe/Madrid, America/Sao_Paulo, UTC",
        ) from error
