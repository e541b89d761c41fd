"""What a worker keeps of the slots: the same as the engine says, whatever happened to store, engine and clock between looks."""

import asyncio
import random
from datetime import timedelta

import pytest
from slo_kit import FLEET, START, World, definition, failing
from sqlalchemy import delete, select, update

from dbre.capabilities.slo import batch_repository
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import instances_of
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.readiness import Readiness
from dbre.capabilities.slo.reading import LOST_AFTER, report
from dbre.capabilities.slo.recent_statuses import stored_statuses
from dbre.capabilities.slo.series import Run, slot_at
from dbre.capabilities.slo.slot_repository import load_slots, write_batch
from dbre.capabilities.slo.stored_history import StoredHistory
from dbre.capabilities.slo.tables import slo_batches
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.core.errors import StoreError
from dbre.core.fleet import EndpointPurpose
from dbre.core.operation import tables
from dbre.ports.probe import Outcome, ProbeObservation

DEFINITIONS = (definition(), definition("daily", target="0.99", days=1))


def history(world: World) -> StoredHistory:
    instances = instances_of(world.definitions, FLEET)
    return StoredHistory(world.store, "orders", instances, world.clock, lost_after=LOST_AFTER)


def said(statuses: tuple[SloStatus, ...]) -> list[tuple]:
    """All that a policy can look at, exact."""
    return [(one.id, one.counts, one.budget, one.burn_rates, one.alerts, one.telemetry, one.exhaustion) for one in statuses]


def late(world: World, *, seconds: int) -> ProbeObservation:
    return ProbeObservation(
        cluster="orders",
        purpose=EndpointPurpose.WRITE,
        scheduled_at=world.clock.now() - timedelta(seconds=seconds),
        interval_seconds=10.0,
        outcome=Outcome.BAD,
        latency_seconds=None,
    )


@pytest.fixture
def loads(monkeypatch) -> list[int]:
    """How many series each whole reading took."""
    found: list[int] = []

    async def counted(connection, since, *, end):
        if since:
            found.append(len(since))
        return await load_slots(connection, since, end=end)

    monkeypatch.setattr("dbre.capabilities.slo.stored_history.load_slots", counted)
    return found


@pytest.mark.parametrize("seed", range(3))
async def test_it_says_what_the_engine_says_through_outages_crashes_and_late_events(store, loads, seed):
    chance = random.Random(seed)
    world = World(store, definitions=DEFINITIONS)
    await world.engine.tick()
    follower = history(world)
    for _ in range(40):
        act = chance.choice(["probe", "probe", "outage", "late", "crash", "tidy", "away", "pause"])
        if act in ("probe", "outage"):
            outcome = Outcome.GOOD if act == "probe" else Outcome.BAD
            await world.probe(outcome, times=chance.randint(1, 400), tick=False)
        elif act == "late":
            world.engine.record(late(world, seconds=chance.choice([20, 3_600, 90_000])))
        elif act == "crash":
            await world.engine.tick()
            world.start()
        elif act == "tidy":
            for track in world.engine._tracks:
                await world.engine._writer.tidy_track(track)
        elif act == "away":
            async with failing(store, after_commit=chance.random() < 0.5):
                await world.probe(chance.choice(list(Outcome)), times=5)
        else:
            world.wait(chance.choice([5, 65, 7_200]))
        world.observe(Outcome.GOOD)
        await world.engine.tick()
        if chance.random() < 0.6:
            now = world.clock.now()
            found = said(await follower.statuses())
            assert found == said(await report(store, world.definitions, FLEET, now))
            assert found == said(await world.engine.status(cluster="orders"))
    assert loads == [2]  # both series, once


async def test_who_looks_too_seldom_reads_anew(store, loads, monkeypatch):
    monkeypatch.setattr(batch_repository, "KEPT_BATCHES", 5)
    world = World(store)
    await world.probe(Outcome.GOOD)
    follower = history(world)
    for times, loaded in ((0, 1), (4, 1), (5, 2), (4, 2)):
        for _ in range(times):
            await world.probe(Outcome.BAD)
        found = await follower.statuses()
        assert len(loads) == loaded
        assert said(found) == said(await report(store, world.definitions, FLEET, world.clock.now()))
    async with store.read() as connection:
        assert len((await connection.execute(select(slo_batches))).all()) == 5


@pytest.mark.parametrize("damage", ["other writer", "gone", "too many runs"])
async def test_what_does_not_continue_is_read_anew(store, loads, monkeypatch, damage):
    world = World(store)
    await world.probe(Outcome.GOOD, times=3)
    follower = history(world)
    await follower.statuses()
    if damage == "other writer":  # a store that was restored and went on: the same position is another batch
        async with store.begin() as connection:
            await connection.execute(update(slo_batches).values(writer="another"))
    elif damage == "gone":
        async with store.begin() as connection:
            await connection.execute(delete(slo_batches))
    else:
        monkeypatch.setattr(batch_repository, "_MAX_RUNS", 0)
    await world.probe(Outcome.BAD, times=2)
    (status,) = await follower.statuses()
    assert (status.good, status.bad) == (3, 2)
    assert loads == [1, 1]


async def test_a_store_that_nobody_fills_any_more_is_lost_telemetry(store):
    world = World(store)
    await world.probe(Outcome.GOOD, times=3)
    follower = history(world)
    states = []
    for _ in range(8):
        states.append((await follower.statuses())[0].telemetry)
        world.wait(10)
    assert states[:5] == [TelemetryState.OK] * 5
    assert states[6:] == [TelemetryState.TELEMETRY_LOST] * 2  # from 60 s on
    await world.probe(Outcome.GOOD)
    assert (await follower.statuses())[0].telemetry is TelemetryState.OK


async def test_a_store_that_cannot_be_read_is_no_answer(sqlite_store, monkeypatch):
    world = World(sqlite_store)
    await world.probe(Outcome.GOOD, times=3)
    follower = history(world)
    await follower.statuses()

    def broken():
        raise StoreError("the store is away")

    monkeypatch.setattr(sqlite_store, "read", broken)
    with pytest.raises(StoreError):
        await follower.statuses()


async def test_a_reading_that_was_cut_short_goes_on_where_it_was(sqlite_store, monkeypatch):
    definitions = tuple(definition(f"slo-{index}") for index in range(20))
    world = World(sqlite_store, definitions=definitions)
    await world.probe(Outcome.GOOD, times=2)
    follower, loaded = history(world), []

    async def slow(connection, since, *, end):
        found = await load_slots(connection, since, end=end)
        loaded.append(len(since))
        if len(loaded) == 2:
            await asyncio.sleep(60)
        return found

    monkeypatch.setattr("dbre.capabilities.slo.stored_history.load_slots", slow)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await follower.statuses()
    await world.probe(Outcome.BAD)
    assert {(one.good, one.bad) for one in await follower.statuses()} == {(2, 1)}
    assert loaded == [8, 8, 8, 4]


async def test_a_worker_reads_the_clusters_of_its_operations_before_a_gate_asks(store, loads, monkeypatch):
    monkeypatch.setattr(batch_repository, "KEPT_BATCHES", 20)
    world = World(store)
    await world.probe(Outcome.GOOD)
    statuses = stored_statuses(store, world.definitions, FLEET, world.clock)
    readiness = Readiness(store, statuses, world.clock, zone=None)
    await readiness.tick()
    assert loads == []
    row = {"id": "00000000-0000-7000-8000-000000000001", "kind": "x", "definition_version": 1, "plan": "{}", "attempt": 0}
    row |= {"plan_hash": "a" * 64, "state": "queued", "priority": 4, "requested_by": "a", "created_at": START, "tuning": {}}
    async with store.begin() as connection:
        await connection.execute(tables.operation.insert(), [row | {"target_key": "cluster/orders/instance/orders-1"}])
    await readiness.tick()
    assert loads == [1]
    for _ in range(3):
        await world.probe(Outcome.GOOD, times=12)
        await readiness.tick()
    assert (await statuses.of("orders"))[0].good == 1 + 3 * 12
    assert loads == [1]


async def test_batches_are_told_once_and_by_series(store):
    world = World(store, definitions=DEFINITIONS)
    await world.engine.tick()
    run = Run(slot_at(START), 3, Counts(good=1))
    for sequence in (1, 2, 2):
        async with store.begin() as connection:
            await write_batch(connection, store, writer="w", sequence=sequence, runs=[(1, run), (2, run)], now=START)
    async with store.read() as connection:
        batches = await batch_repository.batches_from(connection, 1, series=frozenset({2}))
    assert [(one.place.position, one.place.sequence, one.runs) for one in batches] == [(1, 1, {2: [run]}), (2, 2, {2: [run]})]
