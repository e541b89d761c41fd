"""A span of time, and how much of it several intervals cover."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from dbre.core.errors import UsageError

__all__ = ["Span", "covered", "week_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From ``since`` up to and without ``until``."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """Its length."""
        return (self.until - self.since).total_seconds()

    @property
    def before(self) -> "Span":
        """The span of the same length that ends where this one begins."""
        return Span(since=self.since - (self.until - self.since), until=self.since)

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in it."""
        return self.since <= moment < self.until


def covered(intervals: Iterable[tuple[datetime, datetime]], span: Span) -> float:
    """Seconds of the span that at least one interval covers: what two incidents share is counted once.

    >>> at = lambda hour: datetime(2026, 1, 1, hour, tzinfo=UTC)
    >>> covered([(at(1), at(3)), (at(2), at(4)), (at(9), at(23))], Span(since=at(0), until=at(10))) / 3600
    4.0
    """
    total, end = timedelta(), span.since
    for start, stop in sorted(intervals):
        begin, finish = max(start, end), min(stop, span.until)
        if finish > begin:
            total += finish - begin
            end = finish
    return total.total_seconds()


def week_of(text: str | None, now: datetime) -> Span:
    """An ISO week of UTC, as ``2026-W47``, as far as it is over; None: the last whole one.

    >>> week_of("2026-W47", datetime(2026, 11, 21, tzinfo=UTC)).since
    datetime.datetime(2026, 11, 16, 0, 0, tzinfo=datetime.timezone.utc)

    Raises: UsageError.
    """
    if text is None:
        monday = now.astimezone(UTC).date() - timedelta(days=now.astimezone(UTC).weekday() + 7)
    else:
        try:
            year, week = text.split("-W")
            monday = date.fromisocalendar(int(year), int(week), 1)
        except ValueError as error:
            raise UsageError(f"{text!r} is not an ISO week", hint="write 2026-W47") from error
    since = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
    if since >= now:
        raise UsageError(f"week {text} has not begun", hint="write an earlier one; without --week the last whole one is shown")
    return Span(since=since, until=min(since + timedelta(days=7), now))
