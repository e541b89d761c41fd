"""Gap algebra, compared byte by byte with a model that knows which timeline wrote which byte."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_kit import SYSTEM, at, log, switch

from dbre.capabilities.backup.log.gaps import Span, ancestry, coverage, stretches
from dbre.capabilities.backup.model import LogState, StoredLog, TimelineSwitch
from dbre.core.errors import Conflict
from dbre.ports.backup.model import LogKind

SEGMENT = 4  # bytes: small, so that every byte can be looked at
LAST = 40


@st.composite
def histories(draw: st.DrawFn) -> tuple[TimelineSwitch, ...]:
    """Up to four timelines, each leaving an earlier one not before that one began."""
    begins = {1: 0}
    found = []
    for timeline in range(2, draw(st.integers(1, 4)) + 1):
        parent = draw(st.sampled_from(sorted(begins)))
        value = draw(st.integers(begins[parent], LAST - 1))
        begins[timeline] = value
        found.append(switch(timeline, parent, value))
    return tuple(found)


@st.composite
def archives(draw: st.DrawFn) -> tuple[tuple[TimelineSwitch, ...], list[StoredLog]]:
    """Histories, and some of the segments that their servers wrote, in any order and with any state."""
    switches = draw(histories())
    begins = {1: 0} | {one.timeline: one.at for one in switches}
    possible = [
        (timeline, start) for timeline, begin in begins.items() for start in range(begin // SEGMENT * SEGMENT, LAST, SEGMENT)
    ]
    chosen = draw(st.lists(st.sampled_from(possible), unique=True))
    states = st.sampled_from([LogState.RECEIVED, LogState.VAULTED, LogState.VERIFIED, LogState.LOST, LogState.DELETED])
    return switches, [log(timeline, start, start + SEGMENT, state=draw(states)) for timeline, start in chosen]


def there(logs: list[StoredLog], switches: tuple[TimelineSwitch, ...], timeline: int, byte: int) -> bool:
    """Whether some file holds this byte as the line to ``timeline`` has it; said by following parents, byte by byte."""
    by_timeline = {one.timeline: one for one in switches}
    writer = timeline
    holders = {timeline}  # a file of a descendant on the line holds it too, where it begins that early
    while writer in by_timeline and byte < by_timeline[writer].at:
        writer = by_timeline[writer].parent
        holders.add(writer)
    usable = {LogState.RECEIVED, LogState.VAULTED, LogState.VERIFIED}
    return any(one.state in usable and one.file.timeline in holders and one.file.start <= byte < one.file.end for one in logs)


@given(archives(), st.data())
def test_coverage_agrees_with_a_look_at_every_byte(
    archive: tuple[tuple[TimelineSwitch, ...], list[StoredLog]], data: st.DataObject
) -> None:
    switches, logs = archive
    timeline = data.draw(st.integers(1, len(switches) + 1))
    line = ancestry(switches, timeline)
    span = data.draw(st.sampled_from(line))
    start = data.draw(st.integers(span.start, LAST if span.end is None else span.end))
    until = data.draw(st.integers(start, LAST))
    found = coverage(logs, switches, start=at(span.timeline, start), timeline=timeline, until=until)
    missing = {byte for byte in range(start, until) if not there(logs, switches, timeline, byte)}
    assert {byte for hole in found.missing for byte in range(hole.start.value, hole.end.value)} == missing
    assert found.end.value == min(missing, default=until)
    assert found.is_complete is not bool(missing)
    for one, other in pairwise(found.missing):
        assert one.end.value <= other.start.value
    for hole in found.missing:
        part = next(one for one in line if one.timeline == hole.timeline)
        assert part.start <= hole.start.value < hole.end.value
        assert part.end is None or hole.end.value <= part.end


@given(archives(), st.data())
def test_the_files_of_a_coverage_are_enough_and_none_can_be_left_out(
    archive: tuple[tuple[TimelineSwitch, ...], list[StoredLog]], data: st.DataObject
) -> None:
    switches, logs = archive
    timeline = data.draw(st.integers(1, len(switches) + 1))
    span = ancestry(switches, timeline)[0]
    start = at(span.timeline, data.draw(st.integers(span.start, LAST if span.end is None else span.end)))
    found = coverage(logs, switches, start=start, timeline=timeline)
    again = coverage(found.files, switches, start=start, timeline=timeline)
    assert again.end == found.end
    assert again.is_complete
    for left_out in found.files:
        rest = [one for one in found.files if one is not left_out]
        shorter = coverage(rest, switches, start=start, timeline=timeline)
        assert shorter.end.value < found.end.value


@given(archives(), st.data())
def test_stretches_are_the_maximal_runs_of_bytes_that_are_there(
    archive: tuple[tuple[TimelineSwitch, ...], list[StoredLog]], data: st.DataObject
) -> None:
    switches, logs = archive
    timeline = data.draw(st.integers(1, len(switches) + 1))
    found = stretches(logs, ancestry(switches, timeline))
    assert [byte for low, high in found for byte in range(low, high)] == [
        byte for byte in range(LAST + SEGMENT) if there(logs, switches, timeline, byte)
    ]
    assert all(one[1] < other[0] for one, other in pairwise(found))


def test_a_child_s_first_segment_holds_the_end_of_its_parent() -> None:
    logs = [log(1, 0, 16), log(2, 16, 32), log(2, 32, 48)]
    found = coverage(logs, [switch(2, 1, 20)], start=at(1, 4), timeline=2)
    assert (found.end, found.missing) == (at(2, 48), ())
    assert [one.file.timeline for one in found.files] == [1, 2, 2]


def test_what_a_parent_wrote_after_it_was_left_does_not_count() -> None:
    logs = [log(1, 0, 16), log(1, 16, 32), log(1, 32, 48)]
    found = coverage(logs, [switch(2, 1, 20)], start=at(1, 4), timeline=2, until=40)
    assert [(one.timeline, one.start.value, one.end.value) for one in found.missing] == [(2, 20, 40)]
    assert coverage(logs, [switch(2, 1, 20)], start=at(1, 4), timeline=1, until=40).is_complete


def test_a_partial_file_fills_no_gap() -> None:
    found = coverage([log(1, 0, 16, kind=LogKind.PARTIAL)], [], start=at(1, 0), timeline=1, until=16)
    assert len(found.missing) == 1


def test_positions_are_written_as_the_engine_writes_them() -> None:
    start = at(1, 0x1_0000_0028)
    found = coverage([], [], start=start, timeline=1, until=0x1_0200_0000)
    assert found.missing[0].end.text == "1/2000000"


def test_a_start_beside_the_line_is_refused() -> None:
    with pytest.raises(Conflict, match="is not on the way to timeline 3"):
        coverage([], [switch(2, 1, 20), switch(3, 1, 10)], start=at(2, 30), timeline=3)


def test_histories_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(Conflict, match="circle"):
        ancestry([switch(2, 3, 10), switch(3, 2, 10)], 2)
    with pytest.raises(Conflict, match="began at 30 but a child left it before that, at 20"):
        ancestry([switch(2, 1, 30), switch(3, 2, 20)], 3)


def test_files_of_another_system_never_fill_a_gap() -> None:
    logs = [log(1, 0, 16), log(1, 16, 32, system_id="another")]
    assert coverage(logs, [], start=at(1, 0), timeline=1, until=32, system_id=SYSTEM).end.value == 16
    with pytest.raises(Conflict, match="files of 2 systems are mixed"):
        coverage(logs, [], start=at(1, 0), timeline=1)


def test_the_first_timeline_that_is_known_counts_from_the_beginning() -> None:
    assert ancestry([], 7) == (Span(7, 0, None),)
