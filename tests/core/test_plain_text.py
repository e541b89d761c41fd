import re
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.config.fields import duration_text, size_text
from dbre.core.ids import uuid7
from dbre.core.text import closest, printable
from dbre.core.units import Lsn, format_bytes, format_duration, parse_bytes, parse_duration, parse_ratio
from dbre.testing.clock import FakeClock

HOSTILE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\U000e0000-\U000e007f]"
)


@given(text=st.text(st.characters(), max_size=300), limit=st.integers(1, 100))
def test_printable_text_holds_nothing_hostile_and_keeps_its_limit(text: str, limit: int) -> None:
    shown = printable(text, limit=limit)
    assert not HOSTILE.search(shown)
    assert len(shown) <= limit
    shown.encode()  # no lone surrogates


@given(text=st.text(st.characters(categories=["L", "N", "P", "Zs"]), max_size=100))
def test_printable_leaves_plain_text_alone(text: str) -> None:
    assert printable(text) == text


def test_printable_writes_hostile_characters_out() -> None:
    assert printable("a\tb\r\nc\x1b[2J\x9b\u202e\ud800\U000e0041") == r"a\tb\r\nc\x1b[2J\x9b\u202e\ud800\U000e0041"
    assert printable("abcdef", limit=4) == "abc…"
    assert printable("x" * 10_000_000, limit=3) == "xx…"


def test_closest_finds_what_was_meant_or_nothing() -> None:
    assert closest("Enviroment", ["environment", "engine"]) == "environment"
    assert closest("connect-timeout", ["connect_timeout"]) == "connect_timeout"
    assert closest("zzz", ["environment"]) is None
    assert closest("", []) is None
    assert closest("x" * 100_000, ["x"]) is None


@given(milliseconds=st.integers(1, 10**13))
def test_durations_read_back_as_they_were_written(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(duration_text(value)) == value


@given(count=st.integers(0, 2**60))
def test_sizes_read_back_as_they_were_written(count: int) -> None:
    assert parse_bytes(size_text(count)) == count


@given(ratio=st.decimals(0, 1, places=12))
def test_ratios_read_back_exactly_also_as_percent(ratio: Decimal) -> None:
    assert parse_ratio(format(ratio, "f")) == ratio
    assert parse_ratio(f"{ratio * 100:f}%") == ratio


@given(position=st.integers(0, 2**64 - 1))
def test_log_positions_read_back(position: int) -> None:
    assert Lsn.parse(str(Lsn(position))) == position


@given(seconds=st.floats(-1e9, 1e9), count=st.integers(-(2**60), 2**60))
def test_formatting_for_people_never_fails(seconds: float, count: int) -> None:
    assert format_duration(seconds)
    assert format_bytes(count)


def test_uuid7_sorts_by_time_and_never_repeats() -> None:
    clock = FakeClock()
    made = []
    for _ in range(500):
        made.append(uuid7(clock))
        clock.step_wall(0.000_001)
    assert made == sorted(made)
    assert len(set(made)) == 500
    assert {(one.version, one.variant) for one in made} == {(7, UUID(int=0x8000 << 48).variant)}
    milliseconds = made[0].int >> 80
    assert milliseconds == int(FakeClock().now().timestamp() * 1000)
    same = {uuid7(FakeClock()) for _ in range(1000)}
    assert len(same) == 1000


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1.5s", "1s1m", "1m1m", "0s", "1 s", "-1s", "1y", "9" * 17 + "w", "9" * 5000 + "s", "1\u0661s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|no time|calendar"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "%", "99.9 percent", "nan", "inf", "-1%", "101%", "9_9%", "\u0669%", "0.9.9", "1e400", "1 %%"]
)
def test_what_is_no_ratio_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ratio|between 0 and 1"):
        parse_ratio(text)
