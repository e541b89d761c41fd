"""The moments of a cron expression in a time zone, each of them once, whatever the zone does to its clocks.

A time that does not exist (clocks go forward) comes as much later as the clocks were set forward: 02:30 becomes 03:30. A time
that exists twice (clocks go back) comes once, the first time; but an expression for every hour comes in every real hour.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from croniter import CroniterBadDateError, croniter

from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["Cron", "parse_zone"]

_FIELDS = ("minute", "hour", "day of month", "month", "day of week")
_BOUNDS = ("0 to 59", "0 to 23", "1 to 31", "1 to 12 or jan to dec", "0 to 7 or sun to sat")
_NAMES = {
    "month": {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"},
    "day of week": {"mon", "tue", "wed", "thu", "fri", "sat", "sun"},
}
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_PART = re.compile(r"(\*|[0-9]{1,2}(-[0-9]{1,2})?|[a-z]{3}(-[a-z]{3})?)(/[0-9]{1,2})?")
_NEAR = timedelta(hours=26)  # the largest step of any zone's clocks is a day: Samoa left out 30 December 2011
_EXAMPLE = 'five fields: minute, hour, day of month, month, day of week; "30 2 * * *" is 02:30 each day'


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises: UsageError with a did-you-mean."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = closest(name, available_timezones())
        raise UsageError(
            f"{quoted(name, limit=100)} is not a time zone",
            hint=f"did you mean {near}?" if near else "write UTC or a name such as Europe/Madrid",
        ) from None


@dataclass(frozen=True)
class Cron:
    """A cron expression in a time zone; make one with ``parse``."""

    expression: str
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: ZoneInfo) -> "Cron":
        """Read an expression of five fields, or @hourly, @daily, @weekly, @monthly, @yearly.

        Raises: UsageError naming the field that is wrong.
        """
        expression = " ".join(_ALIASES.get(text.strip().casefold(), text).casefold().split())
        fields = expression.split(" ")
        if len(fields) != len(_FIELDS):
            raise UsageError(f"{len(fields)} fields in {quoted(text, limit=100)}, 5 are needed", hint=_EXAMPLE)
        for position, field in enumerate(fields):
            _check(position, field)
        cron = cls(expression, zone)
        cron.after(datetime(2024, 1, 1, tzinfo=UTC))
        return cron

    def after(self, moment: datetime) -> datetime:
        """The first slot after ``moment``, in UTC. Raises: UsageError for an expression that never comes."""
        moment = moment.astimezone(UTC)
        best: datetime | None = None
        last: datetime | None = None
        for wall in self._walls(moment):
            if last is not None and wall > last:
                break
            for slot in self._instants(wall):
                if slot > moment and (best is None or slot < best):
                    best = slot
                    last = self._wall(slot) + self._shift_near(slot)
        assert best is not None  # noqa: S101 (_walls has no end but an exception)
        return best

    def between(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The slots after one moment and not after another, in order."""
        slot = self.after(after)
        while slot <= until:
            yield slot
            slot = self.after(slot)

    def _walls(self, moment: datetime) -> Iterator[datetime]:
        """What clocks on the wall show at the slots, from some time before ``moment``."""
        # A second earlier: the wall clock of the moment itself may be a slot that comes twice.
        start = self._wall(moment) - self._shift_near(moment) - timedelta(seconds=1)
        steps = croniter(self.expression, start)
        while True:
            try:
                yield steps.get_next(datetime)
            except CroniterBadDateError:
                raise UsageError(f"{self.expression!r} never comes", hint="no such day: 30 February?") from None

    def _instants(self, wall: datetime) -> tuple[datetime, ...]:
        first, second = (wall.replace(tzinfo=self.zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        if second <= first or not self._is_every_hour:  # once; or it does not exist, and fold 0 moves it forward
            return (first,)
        return (first, second)

    def _wall(self, moment: datetime) -> datetime:
        return moment.astimezone(self.zone).replace(tzinfo=None)

    def _shift_near(self, moment: datetime) -> timedelta:
        """By how much the clocks of the zone are set forward or back around that moment."""
        before, after = (self._wall(moment + step) - (moment + step).replace(tzinfo=None) for step in (-_NEAR, _NEAR))
        return abs(after - before)

    @cached_property
    def _is_every_hour(self) -> bool:
        hours = croniter.expand(self.expression)[0][1]
        return hours == ["*"] or {int(hour) for hour in hours if str(hour).isdigit()} == set(range(24))


def _check(position: int, field: str) -> None:
    """Raises: UsageError where one field is not what it should be."""
    name = _FIELDS[position]
    alone = ["*"] * len(_FIELDS)
    alone[position] = field
    words = set(re.findall("[a-z]+", field))
    fits = all(_PART.fullmatch(part) for part in field.split(",")) and words <= _NAMES.get(name, set())
    if not fits or not croniter.is_valid(" ".join(alone)):
        raise UsageError(
            f"the {name} cannot be {quoted(field, limit=50)}",
            hint=f"{_BOUNDS[position]}, * for each, lists 1,3, ranges 1-5, steps */15",
        )
