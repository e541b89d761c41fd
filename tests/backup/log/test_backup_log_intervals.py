"""Recovery intervals: compared with a look at every position, and by example with moments."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from log_kit import NOON, SYSTEM, at, full_set, log, switch

from dbre.capabilities.backup.catalog.clock import ClockSample
from dbre.capabilities.backup.log.clock_map import ClockMap
from dbre.capabilities.backup.log.gaps import ancestry, coverage
from dbre.capabilities.backup.log.intervals import recovery_intervals
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState
from dbre.core.errors import Conflict

SEGMENT, LAST = 4, 32


def sample(seconds: float, value: int, *, timeline: int = 1) -> ClockSample:
    return ClockSample(cluster="orders", system_id=SYSTEM, at=NOON + timedelta(seconds=seconds), timeline=timeline, value=value)


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    begins, switches = {1: 0}, []
    for timeline in range(2, draw(st.integers(1, 3)) + 1):
        parent = draw(st.sampled_from(sorted(begins)))
        value = draw(st.integers(begins[parent], LAST - 1))
        begins[timeline] = value
        switches.append(switch(timeline, parent, value))
    possible = [(line, start) for line, low in begins.items() for start in range(low // SEGMENT * SEGMENT, LAST, SEGMENT)]
    logs = [
        log(line, start, start + SEGMENT, state=draw(st.sampled_from([LogState.VAULTED, LogState.LOST])))
        for line, start in draw(st.lists(st.sampled_from(possible), unique=True))
    ]
    sets: list[BackupSet] = []
    for number in range(draw(st.integers(0, 4))):
        timeline = draw(st.sampled_from(sorted(begins)))
        start = draw(st.integers(begins[timeline], LAST - 1))
        stop = draw(st.integers(start, LAST))  # equal: it needs no log to be consistent, as MariaDB's
        parent = draw(st.sampled_from([None, *(one.id for one in sets)]))
        state = draw(st.sampled_from([SetState.SEALED, SetState.SEALED, SetState.FAILED]))
        sets.append(full_set(f"s{number}", at(timeline, start), at(timeline, stop), minutes=number, parent=parent, state=state))
    return Catalog(sets=tuple(sets), logs=tuple(logs), switches=tuple(switches))


def is_recoverable(catalog: Catalog, timeline: int, value: int) -> bool:
    """Whether some usable set, replayed along the line to ``timeline``, gets to exactly ``value`` on that timeline."""
    by_id = {one.id: one for one in catalog.sets}
    span = ancestry(catalog.switches, timeline)[-1]
    if value < span.start:
        return False
    for one in catalog.sets:
        chain, current = [one], one
        while current.parent_id is not None:
            current = by_id[current.parent_id]
            chain.append(current)
        if any(member.state is not SetState.SEALED for member in chain) or one.start is None or one.stop is None:
            continue
        if one.stop.value > value:
            continue
        if one.stop.timeline != timeline and value <= span.start:
            continue  # that is its parent's
        try:
            coverage((), catalog.switches, start=one.stop, timeline=timeline)
            found = coverage(catalog.logs, catalog.switches, start=one.start, timeline=timeline, until=value)
        except Conflict:  # the set is not on the way there
            continue
        if found.is_complete:
            return True
    return False


@given(catalogs())
def test_intervals_hold_exactly_the_positions_to_which_a_set_can_be_replayed(catalog: Catalog) -> None:
    found = recovery_intervals(catalog, [])
    for timeline in [1, *(one.timeline for one in catalog.switches)]:
        mine = [one for one in found if one.timeline == timeline]
        start = ancestry(catalog.switches, timeline)[-1].start
        told = {value for one in mine for value in range(one.start.value, one.end.value + 1)}
        told = {value for value in told if value > start}  # the first one belongs to the parent as well
        wanted = {value for value in range(start + 1, LAST + 1) if is_recoverable(catalog, timeline, value)}
        assert told == wanted


def test_an_interval_begins_where_the_oldest_set_is_consistent_and_ends_at_the_hole() -> None:
    catalog = Catalog(
        sets=(full_set("one", at(1, 4), at(1, 8)), full_set("two", at(1, 36), at(1, 44), minutes=60)),
        logs=tuple(log(1, start, start + 4) for start in [4, 8, 12, 36, 40, 44, 48]),
        switches=(),
    )
    samples = [sample(0, 4), sample(60, 15), sample(61, 16), sample(62, 18), sample(3600, 50)]
    first, second = recovery_intervals(catalog, samples)
    assert (first.start.value, first.end.value, first.set_ids) == (8, 16, ("one",))
    assert first.start_at == NOON + timedelta(seconds=10)  # when the set ended
    assert first.end_at == NOON + timedelta(seconds=61)  # all that was written by then lies before the hole
    assert (second.start.value, second.end.value, second.set_ids) == (44, 52, ("two",))


def test_a_set_whose_own_log_is_missing_gives_nothing() -> None:
    catalog = Catalog(sets=(full_set("one", at(1, 4), at(1, 12)),), logs=(log(1, 4, 8), log(1, 12, 16)), switches=())
    assert recovery_intervals(catalog, []) == ()


def test_moments_that_nobody_sampled_are_not_guessed() -> None:
    catalog = Catalog(
        sets=(full_set("one", at(1, 0), at(1, 2)),), logs=(log(1, 0, 4), log(2, 4, 8)), switches=(switch(2, 1, 4),)
    )
    _, child = recovery_intervals(catalog, [])
    assert (child.timeline, child.start_at, child.end_at) == (2, None, NOON + timedelta(seconds=10))


def test_the_clock_tells_exposure_rather_too_long_than_too_short() -> None:
    line = ancestry([], 1)
    clock = ClockMap.along([sample(0, 10), sample(1, 20), sample(2, 30), sample(60, 40)], line, system_id=SYSTEM)
    assert clock.exceeded_at(20) == NOON + timedelta(seconds=2)
    assert clock.exceeded_at(25) == NOON + timedelta(seconds=2)
    assert clock.exceeded_at(30) == NOON + timedelta(seconds=2)  # nobody looked for 58 s: it may have been right after
    assert clock.exceeded_at(40) is None
    assert clock.exceeded_at(5) is None  # before the first sample nobody knows
    assert clock.all_before(29) == NOON + timedelta(seconds=1)
    assert clock.all_before(5) is None
    assert clock.value_at(NOON + timedelta(seconds=1)) == (20, 20)
    assert clock.value_at(NOON + timedelta(seconds=90)) == (40, None)


def test_what_the_old_primary_wrote_after_its_child_left_is_not_on_the_clock() -> None:
    line = ancestry([switch(2, 1, 20)], 2)
    samples = [sample(0, 10), sample(1, 20), sample(2, 35), sample(3, 22, timeline=2), sample(4, 30, timeline=2)]
    clock = ClockMap.along(samples, line, system_id=SYSTEM)
    assert clock.values == (10, 20, 22, 30)


def test_clocks_of_other_systems_are_left_out() -> None:
    assert ClockMap.along([sample(0, 10)], ancestry([], 1), system_id="another").values == ()
