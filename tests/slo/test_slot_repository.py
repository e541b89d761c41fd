"""Slots in the store: once each, compact, and damage is noticed."""

from datetime import timedelta

from slo_kit import START, World
from sqlalchemy import func, select, update

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.reading import report
from dbre.capabilities.slo.series import Run, slot_at
from dbre.capabilities.slo.slot_repository import compact, load_slots, write_batch
from dbre.capabilities.slo.tables import slo_slots
from dbre.ports.probe import Outcome


async def rows(store) -> int:
    async with store.read() as connection:
        return (await connection.execute(select(func.count()).select_from(slo_slots))).scalar() or 0


async def started(store) -> World:
    world = World(store)
    await world.engine.tick()
    return world


async def write(world: World, sequence: int, *runs: Run, writer: str = "w") -> bool:
    series_id = world.engine._tracks[0].series_id
    async with world.store.begin() as connection:
        return await write_batch(
            connection,
            world.store,
            writer=writer,
            sequence=sequence,
            runs=[(series_id, run) for run in runs],
            now=world.clock.now(),
        )


async def total(world: World, start: int = 0, end: int = 2**40) -> Counts:
    series_id = world.engine._tracks[0].series_id
    async with world.store.read() as connection:
        loaded = await load_slots(connection, {series_id: start}, end=end)
    return loaded[series_id].series.window(start, end)


async def test_a_batch_counts_once_however_often_it_is_handed_in(store):
    world = await started(store)
    run = Run(100, 1, Counts(good=1, bad=2))
    assert await write(world, 1, run)
    assert not await write(world, 1, run)
    assert await write(world, 2, run)
    assert await write(world, 1, run, writer="another")
    assert await total(world) == Counts(good=3, bad=6)


async def test_a_run_over_several_days_is_found_from_any_window(store):
    world = await started(store)
    await write(world, 1, Run(8_000, 30_000, Counts(good=1)))
    assert await rows(store) == 5
    for start, end in ((0, 8_001), (20_000, 20_010), (37_999, 50_000), (8_640, 17_280)):
        expected = max(min(end, 38_000) - max(start, 8_000), 0)
        assert await total(world, start, end) == Counts(good=expected)


async def test_compaction_changes_no_sum_and_late_events_still_count(store):
    world = await started(store)
    slots = [Run(slot, 1, Counts(good=1, bad=int(slot % 50 == 0))) for slot in range(1_000)]
    await write(world, 1, *slots)
    before = [await total(world, start, start + 77) for start in range(0, 1_000, 91)]
    async with store.begin() as connection:
        saved = await compact(connection, store, world.engine._tracks[0].series_id, start=0, end=8_640)
    assert await rows(store) == 1_000 - saved == 40
    assert [await total(world, start, start + 77) for start in range(0, 1_000, 91)] == before
    await write(world, 2, Run(49, 1, Counts(bad=1)), Run(1, 49, Counts(missed=1)))
    assert await total(world, 49, 50) == Counts(good=1, bad=1, missed=1)
    async with store.begin() as connection:
        await compact(connection, store, world.engine._tracks[0].series_id, start=0, end=8_640)
    assert await total(world) == Counts(good=1_000, bad=21, missed=49)


async def test_a_healthy_day_is_a_handful_of_rows(store):
    world = await started(store)
    for _ in range(8):
        await world.probe(Outcome.GOOD, times=1_080, tick=False)
        await world.engine._writer.tidy_track(world.engine._tracks[0])
    assert (await world.stored())["good"] == 8_640
    assert await rows(store) <= 8
    assert (await world.status()).total == 8_640


async def test_slots_that_no_window_needs_are_forgotten(store):
    world = await started(store)
    old = slot_at(START) - 70 * 8_640
    await write(world, 1, Run(old, 8_640, Counts(good=1)), Run(slot_at(START) - 100, 50, Counts(bad=1)))
    await world.engine._writer.tidy_track(world.engine._tracks[0])
    assert await total(world) == Counts(bad=50)


async def test_a_damaged_slot_is_left_out_and_reported(store):
    world = await started(store)
    await world.probe(Outcome.GOOD, times=20)
    slot = slot_at(START + timedelta(seconds=50))
    async with store.begin() as connection:
        await connection.execute(update(slo_slots).where(slo_slots.c.slot == slot).values(total=7))
    (status,) = await report(store, world.definitions, world.fleet, world.clock.now())
    assert (status.corrupt_slots, status.total) == (1, 19)
    world.start()
    await world.engine.tick()
    assert (await world.status()).corrupt_slots == 1
    await world.engine._writer.tidy_track(world.engine._tracks[0])
    async with store.read() as connection:
        row = (await connection.execute(select(slo_slots).where(slo_slots.c.slot == slot))).one()
    assert row.total == 7  # the evidence stays
