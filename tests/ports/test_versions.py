"""Ranges of versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import UsageError
from dbre.ports.versions import VersionRange, format_version, parse_version

versions = st.lists(st.integers(0, 30), min_size=1, max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("*", [(1,), (99, 9)], []),
        ("15", [(15,), (15, 18)], [(14, 9), (16,)]),
        (">=15", [(15,), (18, 4)], [(14, 20)]),
        ("<=16", [(16, 14), (9,)], [(17, 0)]),
        ("15-16", [(15, 0), (16, 99)], [(17,), (14,)]),
        ("10.11-11", [(10, 11, 19), (11, 8)], [(10, 6), (12, 0), (10,)]),
    ],
)
def test_ends_are_inclusive_for_as_many_parts_as_they_name(text: str, inside: list, outside: list) -> None:
    span = VersionRange.parse(text)
    assert all(version in span for version in inside)
    assert not any(version in span for version in outside)


@pytest.mark.parametrize("text", ["", "x", ">15", "15-", "-15", "16-15", "15.", "15..1", "15-16-17", "\u0661\u0665", " 15"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        VersionRange.parse(text)


@given(versions, versions, versions, versions, versions)
def test_a_version_in_both_ranges_means_that_they_overlap(a: tuple, b: tuple, c: tuple, d: tuple, version: tuple) -> None:
    one, other = VersionRange(lowest=a, highest=b), VersionRange(lowest=c, highest=d)
    if version in one and version in other:
        assert one.overlaps(other)
        assert other.overlaps(one)


@given(versions)
def test_versions_are_read_as_they_are_written(version: tuple) -> None:
    assert parse_version(format_version(version)) == version
