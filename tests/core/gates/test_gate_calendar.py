"""Windows of civil time against brute force: every minute of some weeks, as zoneinfo has it."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.core.errors import UsageError
from dbre.core.gates.calendar import Calendar, time_zone
from dbre.core.gates.calendar_text import pattern_of

MINUTE = timedelta(minutes=1)
# A change of clocks lies in the middle of each; Lord Howe moves half an hour, Samoa left out a day, Lima none at all.
PLACES = [
    ("Europe/Madrid", "2026-03-29"),
    ("Europe/Madrid", "2026-10-25"),
    ("America/New_York", "2026-11-01"),
    ("America/Santiago", "2026-09-06"),  # at midnight
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Pacific/Apia", "2011-12-30"),
    ("America/Lima", "2026-06-15"),
]
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
TIMES = st.builds(lambda hour, minute: f"{hour:02}:{minute:02}", st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


@lru_cache(maxsize=16)
def minutes(zone: str, day: str) -> list[tuple[datetime, datetime]]:
    """Moments of twelve days with their local times."""
    first = datetime.fromisoformat(day).replace(tzinfo=UTC) - timedelta(days=6)
    found = [first + index * MINUTE for index in range(12 * 1440)]
    return [(one, one.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for one in found]


def brute_force(calendar: Calendar, zone: str, day: str) -> set[datetime]:
    """From the first minute at or past a beginning to the last one before an end."""
    inside: set[datetime] = set()
    table = minutes(zone, day)
    for begin, end in calendar.pattern.spans(datetime.fromisoformat(day).date()):
        started = next((index for index, (_, local) in enumerate(table) if local >= begin), len(table))
        ended = next((index for index in reversed(range(len(table))) if table[index][1] < end), -1)
        inside.update(one for one, _ in table[started : ended + 1])
    return inside


@settings(max_examples=40, deadline=None)
@given(place=st.sampled_from(PLACES), days=st.sets(st.sampled_from(DAYS), min_size=1), begin=TIMES, end=TIMES)
def test_daily_hours_are_those_of_the_local_clock(place, days, begin, end):
    zone, day = place
    calendar = Calendar(pattern_of(days=sorted(days), begin=begin, end=end, dates=None), ZoneInfo(zone))
    check(calendar, zone, day)


@settings(max_examples=30, deadline=None)
@given(place=st.sampled_from(PLACES), first=st.sampled_from(DAYS), begin=TIMES, last=st.sampled_from(DAYS), end=TIMES)
def test_a_span_of_the_week_is_that_of_the_local_clock(place, first, begin, last, end):
    zone, day = place
    pattern = pattern_of(days=None, begin=f"{first} {begin}", end=f"{last} {end}", dates=None)
    check(Calendar(pattern, ZoneInfo(zone)), zone, day)


def check(calendar: Calendar, zone: str, day: str) -> None:
    expected, table = brute_force(calendar, zone, day), minutes(zone, day)
    fresh = Calendar(calendar.pattern, calendar.zone)
    for index in range(4 * 1440, 9 * 1440):  # the edges of the table cut spans
        moment = table[index][0]
        standing = calendar.at(moment)
        assert standing.is_inside == (moment in expected), (moment, calendar.pattern)
        if index % 487 == 0:
            found = fresh.at(moment)  # what is kept from the minute before is what would be found; each may reach further
            assert found.is_inside == standing.is_inside
            assert found.since == standing.since or None in (found.since, standing.since)
            assert found.until == standing.until or None in (found.until, standing.until)
            fresh = Calendar(calendar.pattern, calendar.zone)
            if standing.until is not None:
                assert standing.until > moment
                assert calendar.at(standing.until).is_inside is not standing.is_inside
                assert calendar.at(standing.until - timedelta(microseconds=1)).is_inside is standing.is_inside


def calendar(zone: str = "Europe/Madrid", **when) -> Calendar:
    keys = {"days": None, "begin": None, "end": None, "dates": None} | when
    return Calendar(pattern_of(**keys), time_zone(zone))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_an_hour_that_occurs_twice_belongs_to_the_window_both_times():
    nights = calendar(days=["sun"], begin="02:30", end="03:00")
    first, again = at("2026-10-25T02:30+02:00"), at("2026-10-25T02:59+01:00")
    assert nights.at(first).is_inside
    assert nights.at(again).is_inside
    assert nights.at(first).until == at("2026-10-25T03:00+01:00")
    assert not nights.at(at("2026-10-25T03:00+01:00")).is_inside


def test_a_window_that_clocks_skip_has_no_length():
    skipped = calendar(days=["sun"], begin="02:00", end="03:00")
    assert skipped.at(at("2026-03-28T12:00Z")).until == at("2026-04-05T00:00Z")
    assert skipped.at(at("2026-03-29T01:00Z")).is_inside is False


def test_adjacent_days_are_one_window():
    weekend = calendar(days=["sat", "sun"])
    standing = weekend.at(at("2026-11-21T10:00Z"))
    assert (standing.since, standing.until) == (at("2026-11-21T00:00+01:00"), at("2026-11-23T00:00+01:00"))


def test_every_day_has_no_end():
    assert calendar(days=DAYS).at(at("2026-11-21T10:00Z")).until is None
    assert calendar(begin="mon 08:00", end="mon 08:00").at(at("2026-11-21T10:00Z")).until is None
    assert calendar(dates=["01-01..12-31"]).at(at("2026-11-21T10:00Z")).until is None


def test_dates_pass_the_new_year_and_include_both_days():
    year_end = calendar(dates=["12-20..01-05"])
    for inside in ("2026-12-20T00:00+01:00", "2027-01-05T23:59+01:00"):
        assert year_end.at(at(inside)).until == at("2027-01-06T00:00+01:00")
    assert year_end.at(at("2026-12-19T23:59+01:00")).until == at("2026-12-20T00:00+01:00")
    assert not year_end.at(at("2027-01-06T00:00+01:00")).is_inside


def test_the_29th_of_february_is_on_the_calendar_of_leap_years_only():
    leap = calendar(dates=["02-29"])
    assert leap.at(at("2028-02-29T12:00Z")).is_inside
    assert leap.at(at("2026-03-01T12:00Z")).until == at("2028-02-29T00:00+01:00")
    assert calendar(dates=["02-20..02-29"]).at(at("2026-02-28T12:00Z")).until == at("2026-03-01T00:00+01:00")


def test_a_fixed_span_has_its_offset_or_the_zone():
    launch = calendar(begin="2026-12-01T08:00+01:00", end="2026-12-02T20:00+01:00")
    assert launch.at(at("2026-12-01T07:00Z")).until == at("2026-12-02T19:00Z")
    assert launch.at(at("2026-12-01T06:59Z")).until == at("2026-12-01T07:00Z")
    assert launch.at(at("2026-12-03T00:00Z")).until is None
    local = calendar(begin="2026-12-01T08:00", end="2026-12-02T20:00")
    assert local.at(at("2026-12-01T07:00Z")).is_inside


@pytest.mark.parametrize(
    "when",
    [
        {},
        {"days": []},
        {"days": ["saturn"]},
        {"days": ["sat"], "begin": "24:00"},
        {"days": ["sat"], "begin": "18:60"},
        {"days": ["sat"], "end": "24:30"},
        {"begin": "fri 18:00"},
        {"begin": "fri 18:00", "end": "2026-12-01T08:00"},
        {"begin": "2026-12-01T08:00", "end": "2026-12-01T08:00"},
        {"begin": "2026-12-01T08:00", "end": "2026-12-02T08:00Z"},
        {"begin": "0001-01-01T00:00", "end": "9999-12-31T23:59"},
        {"dates": []},
        {"dates": ["02-30"]},
        {"dates": ["13-01..13-02"]},
        {"dates": ["12-20..01-05"], "days": ["sat"]},
        {"dates": ["\x1b[2J"]},
    ],
)
def test_what_is_no_time_is_refused(when):
    with pytest.raises(UsageError) as refused:
        calendar(**when)
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize("name", ["Europe/Madird", "../../etc/passwd", "Europe", "", "/", "a\0b", "x" * 5000])
def test_what_is_no_time_zone_is_refused(name):
    with pytest.raises(UsageError):
        time_zone(name)
