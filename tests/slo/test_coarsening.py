"""Old slots in less room: no event is lost, sums over whole minutes stay, healthy runs stay as they are."""

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st
from slo_kit import World, definition

from dbre.capabilities.slo.budgeting_method import TimeSlices
from dbre.capabilities.slo.coarsening import coarsen, coarsened, levels_of
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.series import Run, SlotSeries
from dbre.capabilities.slo.slot_repository import find_series, load_slots
from dbre.ports.probe import Outcome

COUNTS = st.builds(Counts, st.integers(0, 3), st.integers(0, 2), st.integers(0, 1), st.just(0))
RUNS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 40), COUNTS), max_size=30)


def series_of(parts) -> SlotSeries:
    series, at = SlotSeries(), 600
    for gap, length, counts in parts:
        series.add(at + gap, counts, length=length)
        at += gap + length
    return series


@settings(deadline=None)
@given(RUNS, st.sampled_from([6, 360]))
def test_sums_over_whole_widths_are_those_of_the_slots(parts, width):
    fine = series_of(parts)
    coarse = coarsened(fine.runs(), width)
    assert len(coarse) <= len(fine)
    for start in range(600 // width * width, (fine.end or 600) + width, width):
        assert coarse.window(start, start + width) == fine.window(start, start + width)


@settings(deadline=None)
@given(RUNS, st.integers(100, 250), st.integers(0, 60))
def test_a_part_of_a_series_is_put_together_and_the_rest_stays(parts, first, count):
    start, end = first * 6, (first + count) * 6
    fine, mixed = series_of(parts), series_of(parts)
    coarsen(mixed, start, end, 6)
    low, high = 0, (fine.end or 600) + 10
    assert mixed.window(low, high) == fine.window(low, high)
    for slot in (*range(600, min(start, high)), *range(max(end, 600), high)):
        assert mixed.window(slot, slot + 1) == fine.window(slot, slot + 1)
    mixed.add(high + 1, Counts(good=7))
    assert mixed.window(low, high + 2).good == fine.window(low, high).good + 7


def test_equal_slots_stay_one_run():
    assert list(coarsened([Run(1_000, 50_000, Counts(good=1))], 6).runs()) == [Run(1_000, 50_000, Counts(good=1))]


def test_slices_of_time_are_not_cut():
    sliced = definition(slices=TimeSlices(seconds=30, target=Decimal("0.9")))
    assert levels_of(sliced) == ()
    minutes = definition(slices=TimeSlices(seconds=60, target=Decimal("0.9")))
    assert [width for _, width in levels_of(minutes)] == [6]


async def test_after_two_days_minutes_are_stored_and_the_budget_is_the_same(sqlite_store):
    world = World(sqlite_store)
    for number in range(60):
        await world.probe(Outcome.BAD if number % 3 == 0 else Outcome.GOOD, times=1 + number % 2, tick=False)
    await world.engine.tick()
    (before,) = await world.engine.status()
    await world.clock.advance(3 * 86_400)
    track = next(iter(world.engine._tracks))
    await world.engine._writer.tidy_track(track)
    await world.engine._writer.tidy_track(track)
    (after,) = await world.engine.status()
    assert (after.events.good, after.events.bad) == (before.events.good, before.events.bad)
    async with sqlite_store.read() as connection:
        keys = await find_series(connection, [track.instance])
        loaded = await load_slots(connection, {key.id: 0 for key in keys.values()}, end=2**62)
    (stored,) = loaded.values()
    assert stored.series.window(0, 2**62) == track.raw.window(0, 2**62)
    assert len(stored.series) == len(track.raw) < 40
    assert all(run.start % 6 == 0 or run.length > 1 or run.counts.total == 1 for run in stored.series.runs())
