"""Times as the configuration has them: read into patterns."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time

from dbre.core.errors import UsageError
from dbre.core.gates.calendar import WEEKDAYS, DailyHours, Dates, FixedSpan, Pattern, WeekSpan
from dbre.core.text import closest, quoted

__all__ = ["pattern_of"]

_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])")
_EDGE = re.compile(r"([A-Za-z]{3,9})\s+(\S+)")
_RANGE = re.compile(r"([0-9]{2})-([0-9]{2})(?:\.\.([0-9]{2})-([0-9]{2}))?")
_HINT = (
    'write {days: [sat, sun]}, {days: [mon, tue], from: "18:00", until: "08:00"}, {from: "fri 18:00", until: "mon 08:00"},'
    ' {dates: ["12-20..01-05"]} or {from: "2026-12-01T08:00+01:00", until: "2026-12-02T20:00+01:00"}'
)


def pattern_of(*, days: Sequence[str] | None, begin: str | None, end: str | None, dates: Sequence[str] | None) -> Pattern:
    """The pattern that the keys of one ``when`` describe. Raises: UsageError where they describe none, or two."""
    if dates is not None:
        if days is not None or begin is not None or end is not None or not dates:
            raise UsageError("dates are whole days and stand alone", hint=_HINT)
        return Dates(ranges=tuple(_range(one) for one in dates))
    if days is not None:
        if not days:
            raise UsageError("no day at all is no time", hint=_HINT)
        chosen = tuple(sorted({_weekday(one) for one in days}))
        return DailyHours(days=chosen, begin=_begin(begin or "00:00"), end=_time(end or "24:00"))
    if begin is None or end is None:
        raise UsageError("a time has days, dates, or from and until", hint=_HINT)
    first, last = _EDGE.fullmatch(begin), _EDGE.fullmatch(end)
    if first and last:
        return WeekSpan(first=_weekday(first[1]), begin=_begin(first[2]), last=_weekday(last[1]), end=_time(last[2]))
    return _fixed(_moment(begin), _moment(end))


def _fixed(begin: datetime, end: datetime) -> FixedSpan:
    if (begin.tzinfo is None) != (end.tzinfo is None):
        raise UsageError("one of from and until has an offset, the other has none", hint="write both alike")
    if end <= begin:
        raise UsageError(f"until {end.isoformat(' ', 'minutes')} is not after from", hint=_HINT)
    return FixedSpan(begin=begin, end=end)


def _weekday(text: str) -> int:
    word = text.casefold()
    found = [index for index, name in enumerate(WEEKDAYS) if word == name or word == _LONG[index]]
    if found:
        return found[0]
    near = closest(text, WEEKDAYS)
    known = f"did you mean {near}?" if near else f"write {', '.join(WEEKDAYS)}"
    raise UsageError(f"{quoted(text, limit=50)} is not a day of the week", hint=known)


_LONG = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _begin(text: str) -> time:
    found = _time(text)
    if found is None:
        raise UsageError("nothing begins at 24:00", hint='write "00:00" of the next day')
    return found


def _time(text: str) -> time | None:
    """A time of the day; None for 24:00."""
    match = _TIME.fullmatch(text)
    if match is None or text > "24:00":
        raise UsageError(f"{quoted(text, limit=50)} is not a time of the day", hint='write "18:00", from "00:00" to "24:00"')
    return None if text == "24:00" else time(int(match[1]), int(match[2]))


def _range(text: str) -> tuple[tuple[int, int], tuple[int, int]]:
    match = _RANGE.fullmatch(text)
    hint = 'write month and day: "12-20..01-05", or one day: "12-25"'
    if match is None:
        raise UsageError(f"{quoted(text, limit=50)} is not a range of dates", hint=hint)
    numbers = [int(one) for one in match.groups() if one is not None]
    ends = (numbers[0], numbers[1]), (numbers[-2], numbers[-1])
    for month, day in ends:
        try:
            date(2000, month, day)  # a leap year
        except ValueError as error:
            raise UsageError(f"{month:02}-{day:02} is on no calendar", hint=hint) from error
    return ends


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{quoted(text, limit=60)} is not a moment", hint=_HINT) from error
    if not 2000 <= found.year <= 2200:
        raise UsageError(f"the year {found.year} does not lie between 2000 and 2200")
    return found
