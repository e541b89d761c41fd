"""Slots of cron expressions: every moment once, whatever the clocks of a zone do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.core.errors import UsageError
from dbre.core.operation.schedule.slots import Cron, parse_zone

MADRID = ZoneInfo("Europe/Madrid")
SPRING, AUTUMN = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)  # days on which clocks change there


def slots(expression: str, start: datetime, hours: float, zone: ZoneInfo = MADRID) -> list[str]:
    found = Cron.parse(expression, zone).between(start, start + timedelta(hours=hours))
    return [f"{slot.astimezone(zone):%d %H:%M %Z}" for slot in found]


def test_a_time_that_the_clocks_leave_out_comes_an_hour_later_and_once() -> None:
    assert slots("30 2 * * *", SPRING - timedelta(days=1), 72) == ["28 02:30 CET", "29 03:30 CEST", "30 02:30 CEST"]


def test_a_time_that_comes_twice_is_taken_the_first_time() -> None:
    assert slots("30 2 * * *", AUTUMN - timedelta(days=1), 72) == ["24 02:30 CEST", "25 02:30 CEST", "26 02:30 CET"]


def test_an_hourly_expression_comes_in_each_real_hour() -> None:
    wanted = ["25 01:15 CEST", "25 02:15 CEST", "25 02:15 CET", "25 03:15 CET"]
    assert slots("15 * * * *", AUTUMN - timedelta(hours=1), 4) == wanted
    assert slots("15 0-23 * * *", AUTUMN - timedelta(hours=1), 4) == wanted
    assert slots("15 * * * *", SPRING - timedelta(hours=1), 4) == [
        "29 00:15 CET",
        "29 01:15 CET",
        "29 03:15 CEST",
        "29 04:15 CEST",
    ]


def test_a_day_that_a_zone_leaves_out_is_not_run_twice() -> None:
    apia = ZoneInfo("Pacific/Apia")  # 29 December 2011 was followed by 31 December
    start = datetime(2011, 12, 29, tzinfo=UTC)
    found = slots("30 2 * * *", start, 96, apia)
    assert found == ["29 02:30 -10", "31 02:30 +14", "01 02:30 +14", "02 02:30 +14"]


def test_half_an_hour_is_a_shift_too() -> None:
    howe = ZoneInfo("Australia/Lord_Howe")  # forward by 30 minutes at 02:00 on 4 October 2026
    start = datetime(2026, 10, 3, 12, tzinfo=UTC)
    assert slots("10 2 * * *", start, 24, howe) == ["04 02:40 +11"]


@pytest.mark.parametrize(
    ("expression", "field"),
    [
        ("61 * * * *", "minute cannot be '61'"),
        ("* 24 * * *", "hour cannot be '24'"),
        ("* * 0 * *", "day of month cannot be '0'"),
        ("* * * 13 *", "month cannot be '13'"),
        ("* * * * mun", "day of week cannot be 'mun'"),
        ("* * * mon *", "month cannot be 'mon'"),
        ("*/0 * * * *", "minute cannot be '*/0'"),
        ("r * * * *", "minute cannot be 'r'"),
        ("h h * * *", "minute cannot be 'h'"),
        ("1,,2 * * * *", "minute cannot be '1,,2'"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "6 fields"),
        ("", "1 fields"),
        ("0 0 30 2 *", "never comes"),
        ("\x1b[2J * * * *", r"\x1b"),
    ],
)
def test_what_is_wrong_with_an_expression_is_said_by_field(expression: str, field: str) -> None:
    with pytest.raises(UsageError) as raised:
        Cron.parse(expression, MADRID)
    assert field in raised.value.message


def test_a_zone_that_is_none_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError) as raised:
        parse_zone("Europe/Madird")
    assert raised.value.hint == "did you mean Europe/Madrid?"
    for name in ("", "../../etc/passwd", "Europe/\x00"):
        with pytest.raises(UsageError):
            parse_zone(name)


minutes = st.sampled_from(["*", "0", "30", "*/15", "7,42", "0-10/5"])
hours = st.sampled_from(["*", "0", "2", "*/2", "1-3", "0-23", "23"])
days = st.sampled_from(["*", "1", "29", "*/7", "25-31"])
weekdays = st.sampled_from(["*", "0", "sun", "1-5", "6,0"])
zones = st.sampled_from(["UTC", "Europe/Madrid", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"])
moments = st.integers(0, 3 * 365 * 86_400).map(lambda seconds: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))
crons = st.builds(lambda *fields: " ".join(fields), minutes, hours, days, st.just("*"), weekdays)
near_changes = st.sampled_from([SPRING, AUTUMN]).flatmap(
    lambda day: st.integers(-1500, 1500).map(lambda shift: day + timedelta(minutes=shift))
)


@settings(max_examples=150, deadline=None)
@given(crons, zones, st.one_of(moments, near_changes))
def test_slots_come_in_order_each_once_and_from_wherever_one_looks(expression: str, zone: str, start: datetime) -> None:
    cron = Cron.parse(expression, ZoneInfo(zone))
    found = []
    slot = start
    for _ in range(12):
        following = cron.after(slot)
        assert following > slot
        assert following.second == 0
        found.append(following)
        slot = following
    for earlier, later in pairwise(found):
        middle = earlier + (later - earlier) / 2
        assert cron.after(middle) == later
        assert cron.after(later - timedelta(seconds=1)) == later


@settings(max_examples=25, deadline=None)
@given(crons, zones, st.one_of(moments, near_changes))
def test_slots_are_those_that_a_look_at_each_minute_finds(expression: str, zone: str, start: datetime) -> None:
    here = ZoneInfo(zone)
    cron = Cron.parse(expression, here)
    start = start.replace(second=0)
    wanted, seen = [], set()
    every_hour = expression.split()[1] in ("*", "0-23")
    for minute in range(1, 20 * 60):
        moment = start + timedelta(minutes=minute)
        wall = moment.astimezone(here).replace(tzinfo=None, fold=0)
        is_repetition = moment.astimezone(here).fold == 1
        if croniter.match(expression, wall) and (every_hour or not is_repetition):
            wanted.append(moment)
            seen.add(moment)
    found = list(cron.between(start, start + timedelta(minutes=20 * 60 - 1)))
    missing = [one for one in wanted if one not in found]
    assert missing == []
    for one in set(found) - seen:  # only what the clocks left out
        wall = (one - timedelta(hours=1)).astimezone(here)
        shifts = {(one + timedelta(hours=step)).astimezone(here).utcoffset() for step in (-2, 0)}
        assert len(shifts) == 2, f"{one} is no slot ({wall})"
