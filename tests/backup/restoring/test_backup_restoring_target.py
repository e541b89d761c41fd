"""A target is one of six, and a moment is one moment for everybody."""

from datetime import UTC, datetime

import pytest

from dbre.capabilities.backup.restoring.documents import TargetInput, target_input
from dbre.capabilities.backup.restoring.errors import InvalidTarget
from dbre.capabilities.backup.restoring.target import TargetText, parse_moment, parse_target
from dbre.ports.backup.model import TargetKind

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-21T04:00:00Z", "2026-11-21T04:00:00+00:00"),
        ("2026-11-21 04:00:00.123456+00:00", "2026-11-21T04:00:00.123456+00:00"),
        ("2026-11-21T05:00:00+01:00", "2026-11-21T04:00:00+00:00"),
        ("2026-11-20T22:30:00-05:30", "2026-11-21T04:00:00+00:00"),
        ("2026-11-21 05:00:00 Europe/Berlin", "2026-11-21T04:00:00+00:00"),
        ("2026-11-21T05:00:00[Europe/Berlin]", "2026-11-21T04:00:00+00:00"),
        ("2026-07-01 06:00 Europe/Berlin", "2026-07-01T04:00:00+00:00"),
        ("2026-11-21 04:00 UTC", "2026-11-21T04:00:00+00:00"),
    ],
)
def test_a_moment_with_its_offset_or_zone_is_read(text: str, expected: str) -> None:
    assert parse_moment(text, now=NOW).isoformat() == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("2026-11-21T04:00:00", "has no offset from UTC"),
        ("2026-11-21 04:00", "has no offset from UTC"),
        ("2026-11-21", "is a day, not a moment"),
        ("yesterday", "is not a moment"),
        ("", "is not a moment"),
        ("10m", "is not a moment"),
        ("1763697600", "is not a moment"),
        ("2026-13-01T00:00:00Z", "is not a moment"),
        ("2026-11-21T04:00:00 Europe/Atlantis", "is no time zone"),
        ("2026-11-21T04:00:00 ../../etc/passwd", "is not a moment"),
        ("2026-11-21T12:00:01Z", "lies in the future: it is 2026-11-21T12:00:00Z"),
        ("0001-01-01T00:00:00+23:00", "is not a moment that can be"),
        ("2026-03-29 02:30 Europe/Berlin", "never was: clocks of Europe/Berlin were put forward over it"),
        ("2026-10-25 02:30 Europe/Berlin", "was twice: clocks of Europe/Berlin were put back over it"),
        ("2026-11-21T04:00:00\x1b[31mZ", "is not a moment"),
        ("2026-11-21\x1b04:00:00Z", "is not a moment"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(InvalidTarget, match=says) as caught:
        parse_moment(text, now=NOW)
    assert caught.value.hint


def test_a_moment_that_was_twice_names_both() -> None:
    with pytest.raises(InvalidTarget) as caught:
        parse_moment("2026-10-25 02:30 Europe/Berlin", now=NOW)
    assert caught.value.hint == "write which: 2026-10-25T02:30:00+02:00 or 2026-10-25T02:30:00+01:00"


def test_both_readings_of_it_can_be_written() -> None:
    first, second = (parse_moment(f"2026-10-25T02:30:00+0{hours}:00", now=NOW) for hours in (2, 1))
    assert (second - first).total_seconds() == 3_600


def test_no_target_is_refused() -> None:
    with pytest.raises(InvalidTarget, match="no target is given"):
        parse_target(TargetText(), now=NOW)


def test_two_targets_are_refused() -> None:
    with pytest.raises(InvalidTarget, match="2 targets are given: name, latest"):
        parse_target(TargetText(name="before", latest=True), now=NOW)


@pytest.mark.parametrize("value", ["", "  ", "0/3\n0", "x" * 201], ids=["empty", "blank", "line-end", "long"])
def test_a_position_that_can_be_none_is_refused(value: str) -> None:
    with pytest.raises(InvalidTarget, match="is no position"):
        parse_target(TargetText(position=value), now=NOW)


def test_timelines_count_from_one() -> None:
    with pytest.raises(InvalidTarget, match="timeline 0"):
        parse_target(TargetText(latest=True, timeline=0), now=NOW)


@pytest.mark.parametrize(
    "given",
    [
        TargetText(to="2026-11-21T05:00:00+01:00", is_inclusive=False),
        TargetText(position="0/3000028", timeline=3),
        TargetText(transaction="742"),
        TargetText(name="before_migration"),
        TargetText(latest=True),
        TargetText(immediate=True),
    ],
    ids=["time", "position", "transaction", "name", "latest", "immediate"],
)
def test_a_target_survives_its_document(given: TargetText) -> None:
    target = parse_target(given, now=NOW)
    document = TargetInput.model_validate(target_input(target))
    assert document.target() == target
    assert parse_target(document.text(), now=NOW) == target


def test_a_document_with_a_target_of_the_future_is_refused_when_it_is_planned() -> None:
    document = TargetInput(kind=TargetKind.TIME, at=datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidTarget, match="future"):
        parse_target(document.text(), now=NOW)
