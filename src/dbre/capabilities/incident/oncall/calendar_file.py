"""On-call shifts as an iCalendar file, and overrides out of one (RFC 5545)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar, Event

from dbre.capabilities.incident.oncall.shifts import Shift
from dbre.core.errors import UsageError
from dbre.core.text import printable, quoted

__all__ = ["ImportedShift", "calendar_text", "read_calendar"]

_LARGEST = 5_000_000
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedShift:
    """One event of a file."""

    uid: str
    person: str
    begins_at: datetime
    ends_at: datetime


def calendar_text(schedule: str, shifts: Sequence[Shift], *, now: datetime) -> str:
    """The shifts as a calendar that programs subscribe to.

    Moments are UTC: no program can get a time zone wrong. The UID of a shift depends on its begin and person, so that a
    file that is fetched again changes events and does not double them.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//dbre//on-call//EN")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"on call: {schedule}")
    for one in shifts:
        event = Event()
        event.add("uid", f"{one.begins_at:%Y%m%dT%H%M%SZ}-{one.person}-{schedule}@dbre")
        event.add("dtstamp", now.astimezone(UTC))
        event.add("dtstart", one.begins_at.astimezone(UTC))
        event.add("dtend", one.ends_at.astimezone(UTC))
        event.add("summary", one.person)
        event.add("description", f"on call, {one.source}")
        event.add("transp", "TRANSPARENT")
        calendar.add_component(event)
    return str(calendar.to_ical().decode())


def read_calendar(data: bytes, *, people: Mapping[str, str], zone: ZoneInfo) -> tuple[ImportedShift, ...]:
    """The events of a file as shifts.

    ``people`` maps what a summary or an attendee may say, in lower case (a name, an e-mail address), to contacts. Days and
    times without a zone are of ``zone``, the schedule's.

    Raises: UsageError with every event that cannot be used.
    """
    if len(data) > _LARGEST:
        raise UsageError(f"the calendar has {len(data)} bytes; at most {_LARGEST} are read", hint="export a shorter time")
    try:
        calendar = Calendar.from_ical(data)
        events = [one for one in calendar.walk("VEVENT") if str(one.get("STATUS", "")).upper() != "CANCELLED"]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UsageError("the file is not a calendar", hint=printable(str(error), limit=200) or "export it as .ics") from error
    if len(events) > _MOST:
        raise UsageError(f"the calendar has {len(events)} events; at most {_MOST} are read", hint="export a shorter time")
    found: list[ImportedShift] = []
    problems: list[str] = []
    for number, event in enumerate(events, 1):
        try:
            found.append(_shift(event, people, zone))
        except UsageError as error:
            problems.append(
                f"event {number} ({printable(str(event.get('SUMMARY', 'without summary')), limit=60)}): {error.message}"
            )
    if problems:
        shown = "; ".join(problems[:20]) + (f"; and {len(problems) - 20} more" if len(problems) > 20 else "")
        raise UsageError(f"nothing was imported: {shown}", hint="correct the file, or contacts: in dbre.yaml")
    return tuple(found)


def _shift(event: Any, people: Mapping[str, str], zone: ZoneInfo) -> ImportedShift:
    if "RRULE" in event or "RDATE" in event:
        raise UsageError("it repeats; write a layer of the schedule for that")
    if "DTSTART" not in event:
        raise UsageError("it has no beginning")
    begins = _moment(event.decoded("DTSTART"), zone)
    if "DTEND" in event:
        ends = _moment(event.decoded("DTEND"), zone)
    elif "DURATION" in event:
        ends = begins + event.decoded("DURATION")
    elif isinstance(event.decoded("DTSTART"), datetime):
        raise UsageError("it has no end")
    else:
        ends = _moment(event.decoded("DTSTART") + timedelta(days=1), zone)  # RFC 5545, 3.6.1: a day lasts one day
    if ends <= begins:
        raise UsageError("it does not end after it begins")
    return ImportedShift(uid=str(event.get("UID", "")), person=_person(event, people), begins_at=begins, ends_at=ends)


def _moment(value: object, zone: ZoneInfo) -> datetime:
    if isinstance(value, datetime):
        return (value if value.tzinfo is not None else value.replace(tzinfo=zone)).astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), tzinfo=zone).astimezone(UTC)
    raise UsageError("its time is not one")


def _person(event: Any, people: Mapping[str, str]) -> str:
    attendees = event.get("ATTENDEE", [])
    given = [*(attendees if isinstance(attendees, list) else [attendees]), event.get("SUMMARY", "")]
    words = [str(one).strip().lower().removeprefix("mailto:") for one in given]
    found = list(dict.fromkeys(people[one] for one in words if one in people))
    if len(found) != 1:
        what = "several contacts" if found else "no contact"
        raise UsageError(f"it names {what}: {quoted(', '.join(words), limit=100)}")
    return found[0]
