"""The arithmetic of a second opinion, on repositories that are made up."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.capabilities.backup.second_opinion.model import Opinion
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import CopyKind, Tool
from dbre.ports.backup.repository import ForeignLog, ForeignSet, ForeignSwitch, RepositoryFacts
from dbre.tools.pgbackrest.archive import parse_listing, stored_segments
from dbre.tools.pgbackrest.information import parse_information, sets_of
from dbre.tools.pgbackrest.verifying import parse_verification
from dbre.tools.wal_archive import SEGMENT_BYTES, log_file, position, segment_bytes, switches_to

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TOOL = Tool(name="pgbackrest", version="2.45", path=None, problem=None)


def a_set(label: str, start: str, stop: str, *, parent: str | None = None, timeline: int = 1, minutes: int = 60) -> ForeignSet:
    return ForeignSet(
        label=label,
        kind=CopyKind.INCREMENTAL if parent else CopyKind.FULL,
        parent=parent,
        system_id="7",
        start=position(timeline, start),
        stop=position(timeline, stop),
        started_at=NOW - timedelta(minutes=minutes),
        stopped_at=NOW - timedelta(minutes=minutes - 1),
        bytes_source=1_000,
        bytes_stored=100,
        error=None,
        version_text="15",
    )


def logs(*numbers: int, timeline: int = 1) -> list[ForeignLog]:
    found = []
    for number in numbers:
        file = log_file(f"{timeline:08X}{0:08X}{number:08X}", segment=SEGMENT_BYTES, size=10)
        assert file is not None
        found.append(ForeignLog(system_id="7", file=file, stored_at=NOW - timedelta(minutes=1)))
    return found


def facts(sets: list[ForeignSet], found: list[ForeignLog], *switches: ForeignSwitch) -> RepositoryFacts:
    return RepositoryFacts(
        tool=TOOL, sets=tuple(sets), logs=tuple(found), problems=(), switches=switches, segment_bytes=SEGMENT_BYTES
    )


def opinion(found: RepositoryFacts, **given: object) -> Opinion:
    seen = Seen(repository="pgbackrest/shop", cluster="shop", engine="postgresql", is_proved=True, now=NOW)
    return form_opinion(found, replace(seen, **given))


def test_what_would_be_lost_is_the_log_behind_the_last_whole_file_not_behind_the_newest_one() -> None:
    found = facts([a_set("A", "0/2000028", "0/2000100")], logs(2, 3, 5))
    told = opinion(found, server=position(1, "0/6000000"))
    assert told.exposure.until == position(1, "0/4000000")
    assert told.exposure.bytes == 2 * SEGMENT_BYTES
    assert [(one.start.text, one.end.text, one.files) for one in told.holes] == [("0/4000000", "0/5000000", 1)]


def test_the_age_of_what_would_be_lost_is_unknown_without_samples_and_known_with_them() -> None:
    found = facts([a_set("A", "0/2000028", "0/2000100")], logs(2, 3))
    server = position(1, "0/4800000")
    without = opinion(found, server=server).exposure
    assert (without.bytes, without.seconds) == (0x800000, None)
    assert without.reason_unknown
    samples = [
        ClockSample(cluster="shop", system_id="7", at=NOW - timedelta(seconds=42 - number), timeline=1, value=value)
        for number, value in enumerate((0x3FFFFF0, 0x4000100, 0x4800000))
    ]
    assert opinion(found, server=server, samples=samples).exposure.seconds == 42.0  # never told too short


def test_nothing_is_lost_where_the_server_stands_at_the_end_of_the_last_file() -> None:
    found = facts([a_set("A", "0/2000028", "0/2000100")], logs(2, 3))
    told = opinion(found, server=position(1, "0/4000000")).exposure
    assert (told.bytes, told.seconds, told.reason_unknown) == (0, 0.0, None)


def test_a_server_on_another_timeline_is_unknown_and_never_0() -> None:
    found = facts([a_set("A", "0/2000028", "0/2000100")], logs(2, 3))
    told = opinion(found, server=position(2, "0/3000000")).exposure
    assert (told.bytes, told.seconds) == (None, None)
    assert "timeline 2" in (told.reason_unknown or "")


def test_an_incremental_without_its_parent_cannot_be_restored_from() -> None:
    told = opinion(facts([a_set("B", "0/2000028", "0/2000100", parent="A")], logs(2, 3)))
    assert told.sets[0].problem == "it needs A, which is not there"
    assert {one.rule for one in told.problems} == {"backup.set_unusable", "backup.no_usable_set"}
    assert (told.plan, told.forecast, told.exposure.until, told.intervals) == (None, None, None, ())


def test_a_hole_before_the_newest_set_does_not_block_but_is_no_sound_repository() -> None:
    sets = [a_set("A", "0/2000028", "0/2000100"), a_set("B", "0/5000028", "0/5000100", minutes=30)]
    told = opinion(facts(sets, logs(2, 3, 5, 6)))
    [problem] = told.problems
    assert (problem.rule, problem.is_blocking, told.is_sound) == ("backup.log_gap", False, False)
    assert "set B begins behind it" in problem.message
    assert [(one.start.text, one.end.text) for one in told.intervals] == [
        ("0/2000100", "0/4000000"),
        ("0/5000100", "0/7000000"),
    ]


def test_log_is_followed_over_a_failover_along_the_history() -> None:
    switch = ForeignSwitch(system_id="7", timeline=2, parent=1, at=0x3400000)
    found = facts([a_set("A", "0/2000028", "0/2000100")], [*logs(2), *logs(3, 4, timeline=2)], switch)
    told = opinion(found)
    assert (told.holes, told.problems) == ((), ())
    assert told.exposure.until == position(2, "0/5000000")


def test_log_of_a_timeline_without_its_history_is_told() -> None:
    told = opinion(facts([a_set("A", "0/2000028", "0/2000100")], [*logs(2), *logs(3, timeline=2)]))
    assert [one.rule for one in told.problems] == ["backup.history_missing"]
    assert told.exposure.until == position(1, "0/3000000")


def test_an_empty_repository_has_no_usable_set() -> None:
    told = opinion(facts([], []))
    assert [one.rule for one in told.problems] == ["backup.no_usable_set"]
    assert not told.is_sound


@pytest.mark.parametrize("size", [2**20, 16 * 2**20, 2**26, 2**30], ids=["1MiB", "16MiB", "64MiB", "1GiB"])
def test_the_size_of_a_segment_is_found_from_names_and_positions(size: int) -> None:
    lsn = 5 * 2**32 + 3 * size + 40
    number = lsn // size
    name = f"{1:08X}{number // (2**32 // size):08X}{number % (2**32 // size):08X}"
    assert segment_bytes([(name, f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}")]) == size


def test_names_and_positions_that_contradict_each_other_have_no_size() -> None:
    assert segment_bytes([("000000010000000000000002", "0/2000028"), ("000000010000000000000009", "0/2000028")]) is None


@pytest.mark.parametrize("text", ["x\t0/1", "1", "2\t0/1\n1\t0/2", "1\tnothing"], ids=["name", "short", "order", "position"])
def test_a_damaged_history_is_an_error_and_no_switch(text: str) -> None:
    with pytest.raises(ProgramFailed):
        switches_to(3, text, system_id="7")


def test_a_verification_that_says_nothing_is_no_good_one() -> None:
    assert [one.rule for one in parse_verification("", seconds=1).faults] == ["not_verified"]


def test_a_verification_that_only_says_error_is_no_good_one() -> None:
    assert [one.rule for one in parse_verification("stanza: shop\nstatus: error\n", seconds=1).faults] == ["tool_says"]


HOSTILE = {
    "nested without end": '[{"x":' + "[" * 200_000,
    "a moment in no calendar": '[{"name": "s", "status": {"code": 0, "message": ""}, "backup": [{"label": "x", "type": "full",'
    ' "database": {"id": 1}, "timestamp": {"start": 1000000000000000000, "stop": 1}}]}]',
    "a segment that is none": '[{"name": "s", "status": {"code": 0, "message": ""}, "backup": [{"label": "x", "type": "full",'
    ' "database": {"id": 1}, "timestamp": {"start": 1, "stop": 1}, "archive": {"start": "zz", "stop": "zz"},'
    ' "lsn": {"start": "0/1", "stop": "0/1"}}]}]',
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_what_pgbackrest_says_is_understood_or_refused(name: str) -> None:
    with pytest.raises(ProgramFailed, match="pgbackrest info"):
        sets_of(parse_information(HOSTILE[name].encode(), "s"), 1)


def test_listings_are_understood_or_refused() -> None:
    name = f"{1:08X}{0:08X}{1:08X}-{'a' * 40}"
    for text in ('{"a":{"type":"file","x":' + "[" * 200_000, f'{{"{name}": {{"type": "file", "time": 1000000000000000000}}}}'):
        with pytest.raises(ProgramFailed, match="repo-ls"):
            list(stored_segments(parse_listing(text.encode())))


def test_messages_with_line_ends_and_bytes_are_read_all_the_same() -> None:
    text = b'[{"name": "s", "status": {"code": 99, "message": "cannot load\n\xff\x01HINT: passphrase"}}]'
    assert parse_information(text, "s").status.message == "cannot load \ufffd HINT: passphrase"
