"""Compliance periods: rolling, or by the calendar of a time zone, in real elapsed seconds."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from dbre.capabilities.slo.errors import InvalidWindow
from dbre.capabilities.slo.series import SLOT_SECONDS, slot_at, slot_start
from dbre.core.units import format_duration

__all__ = ["CalendarUnit", "CalendarWindow", "RollingWindow", "Window", "WindowSpan", "span", "time_zone"]


class CalendarUnit(StrEnum):
    """Periods of the civil calendar; weeks begin on Monday (ISO 8601)."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingWindow:
    """The last so many seconds, a whole number of slots."""

    seconds: int

    def __str__(self) -> str:
        return f"rolling {format_duration(self.seconds)}"

    @property
    def longest_seconds(self) -> int:
        """The greatest length that the window can have."""
        return self.seconds


_LONGEST_DAYS = {
    CalendarUnit.DAY: 1, CalendarUnit.WEEK: 7, CalendarUnit.MONTH: 31, CalendarUnit.QUARTER: 92, CalendarUnit.YEAR: 366,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarWindow:
    """The current day, week, month, quarter or year of a time zone; its budget is that of the whole period."""

    unit: CalendarUnit
    time_zone: str

    def __str__(self) -> str:
        return f"calendar {self.unit} ({self.time_zone})"

    @property
    def longest_seconds(self) -> int:
        """The greatest length that the window can have, one hour of daylight saving included."""
        return _LONGEST_DAYS[self.unit] * 86_400 + 3_600


Window = RollingWindow | CalendarWindow


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpan:
    """One window at one moment: ``[start, end)``. A calendar window ends in the future; a rolling one with the current slot."""

    start: datetime
    end: datetime
    now: datetime

    @property
    def seconds(self) -> int:
        """Real elapsed seconds of the whole window: 23 or 25 hours on the days when clocks change."""
        return (self.end_slot - self.start_slot) * SLOT_SECONDS

    @property
    def start_slot(self) -> int:
        """The first slot of the window."""
        return slot_at(self.start)

    @property
    def end_slot(self) -> int:
        """The slot behind the last one of the window."""
        return slot_at(self.end)

    @property
    def seen_slot(self) -> int:
        """The slot behind the current one: counts are summed up to here."""
        return min(slot_at(self.now) + 1, self.end_slot)

    @property
    def seconds_left(self) -> float:
        """How long a calendar window still lasts; 0 for a rolling one."""
        return max((self.end - self.now).total_seconds(), 0.0)


def time_zone(name: str) -> ZoneInfo:
    """The time zone of an IANA name. Raises: InvalidWindow where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # unknown, malformed, or a directory of the zone database
        raise InvalidWindow(
            f"{name!r} is not a time zone", hint="write an IANA name: UTC, Europe/Madrid, America/New_York"
        ) from error


@lru_cache(maxsize=4096)
def _day_begins(zone_name: str, day: date) -> datetime:
    """The first moment, in UTC, whose civil date is ``day`` or later.

    Where clocks skip midnight that is the moment after the gap; where midnight comes twice, the first. Found by bisection
    because a wall time names two moments or none on such days (zones differ by at most 14 h from UTC).
    """
    zone = time_zone(zone_name)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    low, high = -26 * 3600, 26 * 3600
    while high - low > 1:
        middle = (low + high) // 2
        if (midnight + timedelta(seconds=middle)).astimezone(zone).date() >= day:
            high = middle
        else:
            low = middle
    return midnight + timedelta(seconds=high)


def _period(day: date, unit: CalendarUnit) -> tuple[date, date]:
    if unit is CalendarUnit.DAY:
        return day, day + timedelta(days=1)
    if unit is CalendarUnit.WEEK:
        monday = day - timedelta(days=day.weekday())
        return monday, monday + timedelta(days=7)
    months = {CalendarUnit.MONTH: 1, CalendarUnit.QUARTER: 3, CalendarUnit.YEAR: 12}[unit]
    first = day.replace(month=(day.month - 1) // months * months + 1, day=1)
    index = first.year * 12 + first.month - 1 + months
    return first, date(index // 12, index % 12 + 1, 1)


def span(window: Window, now: datetime) -> WindowSpan:
    """The window that holds a moment.

    A rolling window ends with the slot that ``now`` is in, so that the newest event counts at once.

    >>> span(CalendarWindow(unit=CalendarUnit.DAY, time_zone="Europe/Madrid"), datetime(2026, 3, 29, 12, tzinfo=UTC)).seconds
    82800
    """
    if isinstance(window, RollingWindow):
        end = slot_at(now) + 1
        return WindowSpan(start=slot_start(end - window.seconds // SLOT_SECONDS), end=slot_start(end), now=now)
    first, last = _period(now.astimezone(time_zone(window.time_zone)).date(), window.unit)
    return WindowSpan(start=_day_begins(window.time_zone, first), end=_day_begins(window.time_zone, last), now=now)
