"""Who is on call: turns, clocks that are put forward and back, layers, overrides, gaps, calendars."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from dbre.capabilities.incident.oncall.calendar_file import calendar_text, read_calendar
from dbre.capabilities.incident.oncall.documents import DutyDocument
from dbre.capabilities.incident.oncall.people import schedule_of
from dbre.capabilities.incident.oncall.shifts import Override, Schedule, gaps, on_call_at, shifts
from dbre.core.errors import UsageError

MADRID = ZoneInfo("Europe/Madrid")


def schedule(*layers: dict[str, object], zone: str = "Europe/Madrid") -> Schedule:
    given = [
        {"name": f"layer-{number}", "people": ["ana", "bea"], "starts": "2026-01-05T09:00", **one}
        for number, one in enumerate(layers)
    ]
    return schedule_of(DutyDocument.model_validate({"name": "dba", "time_zone": zone, "layers": given}))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type]


def override(person: str, begin: datetime, end: datetime, replaces: str | None = None) -> Override:
    return Override(id=UUID(int=1), schedule="dba", contact=person, replaces=replaces, starts_at=begin, ends_at=end)


def told(found: Schedule, begin: datetime, end: datetime, *overrides: Override) -> list[tuple[str, str, str]]:
    return [
        (one.person, f"{one.begins_at:%dT%H:%M}", f"{one.ends_at:%dT%H:%M}")
        for one in shifts(found, begin, end, overrides=overrides)
    ]


def test_a_handoff_keeps_the_time_on_the_wall_when_clocks_change() -> None:
    found = schedule({"every": "1w"})
    handoffs = [one.begins_at for one in shifts(found, utc(2026, 3, 16), utc(2026, 4, 10))][1:]
    assert handoffs == [utc(2026, 3, 16, 8), utc(2026, 3, 23, 8), utc(2026, 3, 30, 7), utc(2026, 4, 6, 7)]


def test_a_handoff_that_does_not_occur_is_when_clocks_go_forward() -> None:
    found = schedule({"every": "1d", "starts": "2026-03-27T02:30"})
    assert told(found, utc(2026, 3, 28, 12), utc(2026, 3, 30, 12)) == [
        ("bea", "28T12:00", "29T01:00"),  # 02:30 does not exist: it is 03:00 CEST, 01:00 UTC
        ("ana", "29T01:00", "30T00:30"),
        ("bea", "30T00:30", "30T12:00"),
    ]


def test_a_handoff_that_occurs_twice_is_the_first_one() -> None:
    found = schedule({"every": "1d", "starts": "2026-10-23T02:30"})
    assert told(found, utc(2026, 10, 24, 12), utc(2026, 10, 26, 12)) == [
        ("bea", "24T12:00", "25T00:30"),
        ("ana", "25T00:30", "26T01:30"),  # 25 hours
        ("bea", "26T01:30", "26T12:00"),
    ]


def test_hours_of_a_day_last_over_both_occurrences_of_an_hour() -> None:
    night = {"days": ["sat"], "from": "22:00", "until": "02:30"}
    found = schedule({"every": "1w", "only": [night]})
    (one,) = shifts(found, utc(2026, 10, 24), utc(2026, 10, 26))
    assert (one.begins_at, one.ends_at) == (utc(2026, 10, 24, 20), utc(2026, 10, 25, 1, 30))  # the second 02:30


def test_a_day_at_the_date_line_that_was_left_out_has_no_shift() -> None:
    found = schedule({"every": "1d", "starts": "2011-12-29T00:00"}, zone="Pacific/Apia")
    assert told(found, utc(2011, 12, 29, 11), utc(2012, 1, 1, 10)) == [
        ("ana", "29T11:00", "31T10:00"),  # the 29th and the 31st; the 30th, bea's, did not happen in Samoa
        ("bea", "31T10:00", "01T10:00"),
    ]


def test_a_later_layer_covers_an_earlier_one_and_nobody_is_on_call_before_the_first_shift() -> None:
    found = schedule(
        {"people": ["ana"], "starts": "2026-06-01T00:00", "every": "1d"},
        {"people": ["zoe"], "starts": "2026-06-01T00:00", "every": "1d", "only": [{"days": ["sat", "sun"]}]},
        zone="UTC",
    )
    assert told(found, utc(2026, 5, 31), utc(2026, 6, 9)) == [
        ("ana", "01T00:00", "06T00:00"),
        ("zoe", "06T00:00", "08T00:00"),
        ("ana", "08T00:00", "09T00:00"),
    ]
    assert [(one.begins_at, one.ends_at) for one in gaps(found, utc(2026, 5, 31), utc(2026, 6, 9))] == [
        (utc(2026, 5, 31), utc(2026, 6, 1))
    ]


def test_an_override_of_one_person_touches_no_other() -> None:
    found = schedule({"every": "1d", "starts": "2026-06-01T00:00"}, zone="UTC")
    wanted = override("zoe", utc(2026, 6, 1, 12), utc(2026, 6, 3, 12), replaces="bea")
    assert told(found, utc(2026, 6, 1), utc(2026, 6, 4), wanted) == [
        ("ana", "01T00:00", "02T00:00"),
        ("zoe", "02T00:00", "03T00:00"),
        ("ana", "03T00:00", "04T00:00"),
    ]


def test_an_override_fills_a_gap_and_the_later_one_counts() -> None:
    found = schedule({"only": [{"days": ["mon"]}]}, zone="UTC")
    first = override("ana", utc(2026, 6, 2), utc(2026, 6, 4))
    second = override("zoe", utc(2026, 6, 3), utc(2026, 6, 5))
    assert told(found, utc(2026, 6, 2), utc(2026, 6, 6), first, second) == [
        ("ana", "02T00:00", "03T00:00"),
        ("zoe", "03T00:00", "05T00:00"),
    ]


@settings(max_examples=60, deadline=None)
@given(
    zone=some.sampled_from(
        ["Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Africa/Casablanca"]
    ),
    hours=some.sampled_from([1, 5, 8, 12, 24, 168]),
    minute=some.integers(0, 500_000),
    days=some.integers(1, 40),
)
def test_a_rotation_without_hours_has_neither_gap_nor_overlap(zone: str, hours: int, minute: int, days: int) -> None:
    found = schedule({"people": ["a", "b", "c"], "every": f"{hours}h"}, zone=zone)
    start = utc(2026, 1, 10) + timedelta(minutes=minute)
    end = start + timedelta(days=days)
    pieces = shifts(found, start, end)
    assert pieces[0].begins_at == start
    assert pieces[-1].ends_at == end
    assert all(one.ends_at == other.begins_at and one.begins_at < one.ends_at for one, other in pairwise(pieces))
    middle = start + (end - start) / 2
    at = on_call_at(found, middle)
    assert at is not None
    assert at.person == next(one.person for one in pieces if one.begins_at <= middle < one.ends_at)


def test_a_calendar_comes_back_as_it_went() -> None:
    found = schedule({"every": "1d", "starts": "2026-10-20T02:30"})
    wanted = shifts(found, utc(2026, 10, 23), utc(2026, 10, 28))
    text = calendar_text("dba", wanted, now=utc(2026, 10, 1))
    back = read_calendar(text.encode(), people={"ana": "ana", "bea": "bea"}, zone=MADRID)
    assert [(one.person, one.begins_at, one.ends_at) for one in back] == [
        (one.person, one.begins_at, one.ends_at) for one in wanted
    ]
    assert len({one.uid for one in back}) == len(back)
    assert text == calendar_text("dba", wanted, now=utc(2026, 10, 1))


def event(*lines: str) -> bytes:
    return "\r\n".join(
        ["BEGIN:VCALENDAR", "VERSION:2.0", "BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT", "END:VCALENDAR", ""]
    ).encode()


def test_days_and_times_without_a_zone_are_of_the_schedule() -> None:
    people = {"ana@example.com": "ana"}
    who = "ATTENDEE:mailto:Ana@example.com"
    (day,) = read_calendar(event("DTSTART;VALUE=DATE:20261025", who), people=people, zone=MADRID)
    assert (day.begins_at, day.ends_at) == (utc(2026, 10, 24, 22), utc(2026, 10, 25, 23))  # 25 hours
    (floating,) = read_calendar(event("DTSTART:20260701T090000", "DURATION:PT8H", who), people=people, zone=MADRID)
    assert (floating.begins_at, floating.ends_at) == (utc(2026, 7, 1, 7), utc(2026, 7, 1, 15))
    assert day.person == "ana"
    assert date(2026, 10, 25) == day.begins_at.astimezone(MADRID).date()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (event("DTSTART:20260701T090000Z", "DTEND:20260701T100000Z", "SUMMARY:nobody"), "no contact"),
        (event("DTSTART:20260701T090000Z", "DTEND:20260701T080000Z", "SUMMARY:ana"), "does not end"),
        (event("DTSTART:20260701T090000Z", "SUMMARY:ana"), "no end"),
        (event("SUMMARY:ana"), "no beginning"),
        (event("DTSTART:20260701T090000Z", "DTEND:20260701T100000Z", "RRULE:FREQ=DAILY", "SUMMARY:ana"), "repeats"),
        (b"not a calendar", "not a calendar"),
        (b"\xff\xfe\x00", "calendar"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", "calendar"),
    ],
)
def test_an_event_that_cannot_be_used_says_why(data: bytes, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_calendar(data, people={"ana": "ana"}, zone=MADRID)
