"""Compliance periods: real elapsed seconds, whatever the clocks of a country do."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbre.capabilities.slo.errors import InvalidWindow
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow, span, time_zone

ZONES = [
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Havana",
    "Asia/Beirut",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def day(zone: str, moment: str):
    return span(CalendarWindow(unit=CalendarUnit.DAY, time_zone=zone), at(moment))


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Madrid", "2026-03-29T12:00", 23),
        ("Europe/Madrid", "2026-10-25T12:00", 25),
        ("Europe/Madrid", "2026-06-01T12:00", 24),
        ("America/New_York", "2026-03-08T18:00", 23),
        ("America/New_York", "2026-11-01T18:00", 25),
        ("Australia/Lord_Howe", "2026-04-05T00:00", 24.5),  # their clocks change by half an hour
        ("America/Sao_Paulo", "2018-11-04T12:00", 23),  # midnight did not exist
        ("Africa/Cairo", "2023-04-28T12:00", 23),  # nor here
        ("America/Havana", "2026-11-01T18:00", 25),  # midnight came twice
    ],
)
def test_a_day_has_as_many_seconds_as_really_pass(zone, moment, hours):
    assert day(zone, moment).seconds == hours * 3600


def test_a_day_that_begins_in_a_gap_begins_with_the_first_moment_after_it():
    assert day("America/Sao_Paulo", "2018-11-04T12:00").start == at("2018-11-04T03:00")  # 01:00 by the new clock


def test_a_day_that_a_country_skipped_has_no_seconds():
    assert day("Pacific/Apia", "2011-12-30T09:59").end == day("Pacific/Apia", "2011-12-30T10:00").start
    assert day("Pacific/Apia", "2011-12-30T10:00").start.astimezone(ZoneInfo("Pacific/Apia")).day == 31


@pytest.mark.parametrize(
    ("unit", "start", "end"),
    [
        (CalendarUnit.WEEK, "2026-11-16T00:00", "2026-11-23T00:00"),
        (CalendarUnit.MONTH, "2026-11-01T00:00", "2026-12-01T00:00"),
        (CalendarUnit.QUARTER, "2026-10-01T00:00", "2027-01-01T00:00"),
        (CalendarUnit.YEAR, "2026-01-01T00:00", "2027-01-01T00:00"),
    ],
)
def test_units_of_the_calendar(unit, start, end):
    found = span(CalendarWindow(unit=unit, time_zone="UTC"), at("2026-11-21T04:00"))
    assert (found.start, found.end) == (at(start), at(end))


moments = st.integers(978_307_200, 2_145_916_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))  # 2001 to 2037


@given(st.sampled_from(ZONES), st.sampled_from(list(CalendarUnit)), moments)
@example("Pacific/Apia", CalendarUnit.DAY, datetime(2011, 12, 30, 10, tzinfo=UTC))
def test_calendar_windows_hold_their_moment_and_leave_no_gap(zone, unit, moment):
    window = CalendarWindow(unit=unit, time_zone=zone)
    found = span(window, moment)
    assert found.start <= moment < found.end
    assert 0 < found.seconds <= window.longest_seconds
    assert span(window, found.end).start == found.end
    assert span(window, found.start - timedelta(microseconds=1)).end == found.start


@given(moments, st.integers(1, 400 * 8640))
def test_a_rolling_window_ends_with_the_present_slot_and_has_its_length(moment, slots):
    found = span(RollingWindow(seconds=slots * 10), moment)
    assert found.start < found.end
    assert found.end - timedelta(seconds=10) <= moment < found.end
    assert found.seconds == slots * 10


@pytest.mark.parametrize("name", ["Europe/Madird", "", "../../etc/passwd", "America", "a\0b", "/etc/localtime"])
def test_what_is_no_time_zone_is_refused(name):
    with pytest.raises(InvalidWindow, match="is not a time zone"):
        time_zone(name)
