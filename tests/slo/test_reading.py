"""Charts and reports from the store alone."""

import asyncio
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from slo_kit import FLEET, START, World, cluster, definition

from dbre.capabilities.slo.assessment import Measured
from dbre.capabilities.slo.burn_chart import burn_down_points
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.error_budget import error_budget
from dbre.capabilities.slo.errors import UnknownSlo
from dbre.capabilities.slo.model import worst_first
from dbre.capabilities.slo.reading import burn_down, recent_alerts, report
from dbre.capabilities.slo.series import Run, SlotSeries, slot_at, slot_start
from dbre.capabilities.slo.slot_repository import write_batch
from dbre.capabilities.slo.state import SloState, state_of
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, RollingWindow, span
from dbre.core.fleet import Fleet
from dbre.ports.probe import Outcome

HOUR = RollingWindow(seconds=3600)


def measured(one, series) -> Measured:
    instance = SloInstance(definition=one, cluster=cluster())
    return Measured(
        instance=instance, series=series, recent=series, interval_ms=10_000, silent_seconds=0, lost_after_seconds=60
    )


def remaining_at(series, one, at, slot):
    low = slot - 360 if isinstance(one.window, RollingWindow) else at.start_slot
    return error_budget(
        series.window(low, slot), target=one.target, window_seconds=at.seconds, interval_ms=10_000
    ).remaining_ratio


@settings(deadline=None, max_examples=40)
@given(
    st.dictionaries(st.integers(0, 719), st.integers(1, 5), max_size=30),
    st.sampled_from([20, 60, 2000]),
    st.sampled_from([HOUR, CalendarWindow(unit=CalendarUnit.DAY, time_zone="UTC")]),
)
def test_a_chart_has_few_points_and_loses_no_dip_and_no_peak(bad, limit, window):
    now = START + timedelta(hours=2)
    series, first = SlotSeries(), slot_at(START)
    for offset in range(720):
        series.add(first + offset, Counts(good=1, bad=bad.get(offset, 0)))
    one = definition(target="0.9", window=window)
    at = span(window, now)
    points = burn_down_points(measured(one, series), at, limit=limit)
    start = max(at.start_slot, first)
    exact = {slot_start(slot): remaining_at(series, one, at, slot) for slot in range(start, at.seen_slot + 1)}
    assert 0 < len(points) <= limit
    assert list(points) == sorted(points, key=lambda point: point.at)
    assert all(exact[point.at] == point.remaining_ratio for point in points)
    assert min(point.remaining_ratio for point in points) == min(exact.values())
    assert max(point.remaining_ratio for point in points) == max(exact.values())
    assert points[-1].remaining_ratio == exact[slot_start(at.seen_slot)]


async def test_a_chart_of_a_month_survives_thinning(store):
    world = World(store, interval=600.0)
    await world.probe(Outcome.GOOD, times=2_000, tick=False)
    await world.probe(Outcome.BAD, times=1)
    await world.probe(Outcome.GOOD, times=2_000, tick=False)
    now = world.clock.now()
    chart = await burn_down(store, world.definitions, world.fleet, now, slo="orders-writes", cluster="orders", limit=100)
    assert 30 < len(chart.points) <= 100  # one a stretch where nothing happens
    values = [point.remaining_ratio for point in chart.points]
    assert (values[0], values[-1]) == (1, 1 - Fraction(1) / Fraction("4.32"))
    before = [point.at for point in chart.points if point.remaining_ratio == 1]
    after = [point.at for point in chart.points if point.remaining_ratio < 1]
    assert after[0] - before[-1] == timedelta(seconds=10)  # the drop is where it was, to the slot


async def test_an_empty_store_says_nothing_is_known(store):
    (status,) = await report(store, (definition(),), FLEET, START)
    assert (status.total, status.ratio, status.measured_since) == (0, None, None)
    assert status.telemetry is TelemetryState.NO_TRAFFIC
    assert status.budget.remaining_ratio == 1
    chart = await burn_down(store, (definition(),), FLEET, START, slo="orders-writes", cluster="orders")
    assert chart.points == ()
    assert await recent_alerts(store) == ()


async def test_a_control_plane_that_does_not_run_shows_as_lost_telemetry(store):
    world = World(store)
    await world.probe(Outcome.GOOD, times=30)
    (status,) = await report(store, world.definitions, FLEET, world.clock.now())
    assert status.telemetry is TelemetryState.OK
    (status,) = await report(store, world.definitions, FLEET, world.clock.now() + timedelta(minutes=2))
    assert status.telemetry is TelemetryState.TELEMETRY_LOST


async def test_the_interval_is_the_one_of_the_engine_that_measured(store):
    world = World(store, interval=1.0)
    await world.probe(Outcome.GOOD, times=30)
    (status,) = await report(store, world.definitions, FLEET, world.clock.now())
    assert status.budget.allowed_bad == 2592
    (given,) = await report(store, world.definitions, FLEET, world.clock.now(), timedelta(seconds=10))
    assert given.budget.allowed_bad == Fraction("259.2")


async def test_a_calendar_budget_starts_anew(store):
    monthly = definition(window=CalendarWindow(unit=CalendarUnit.MONTH, time_zone="Europe/Madrid"))
    world = World(store, definitions=(monthly,))
    await world.probe(Outcome.BAD, times=12)
    (status,) = await report(store, (monthly,), FLEET, world.clock.now())
    assert (status.bad, status.at.seconds) == (12, 30 * 86_400)
    (status,) = await report(store, (monthly,), FLEET, START + timedelta(days=31))
    assert (status.bad, status.budget.remaining_ratio) == (0, 1)


async def test_names_select_and_wrong_ones_are_suggested(store):
    fleet = Fleet(clusters=(cluster("a"), cluster("b")))
    definitions = (definition("one"), definition("two"))
    assert len(await report(store, definitions, fleet, START)) == 4
    assert [one.id for one in await report(store, definitions, fleet, START, name="two@b")] == ["two@b"]
    assert [one.id for one in await report(store, definitions, fleet, START, name="one")] == ["one@a", "one@b"]
    with pytest.raises(UnknownSlo) as caught:
        await report(store, definitions, fleet, START, name="tow")
    assert caught.value.hint == "did you mean two?"


async def test_the_worst_comes_first(store):
    fleet = Fleet(clusters=tuple(cluster(name) for name in "abcd"))
    world = World(store, fleet=fleet)
    bad_from = {"a": 1000, "b": 395, "c": 370, "d": 398}
    for index in range(400):
        for name, first in bad_from.items():
            world.observe(Outcome.BAD if index >= first else Outcome.GOOD, cluster=name)
        world.wait(10)
    await world.engine.tick()
    order = [status.cluster for status in worst_first(await world.engine.status())]
    assert order == ["c", "b", "d", "a"]


@pytest.mark.parametrize("name", ["orders'; DROP TABLE slo_slots; --", "a\nb", "\u202eevil", "<script>"])
async def test_hostile_cluster_names_are_data(store, name):
    world = World(store, fleet=Fleet(clusters=(cluster(name),)))
    for outcome in [Outcome.GOOD] * 360 + [Outcome.BAD] * 8:
        world.observe(outcome, cluster=name)
        world.wait(10)
    await world.engine.tick()
    (status,) = await report(store, world.definitions, world.fleet, world.clock.now())
    assert (status.bad, status.cluster) == (8, name)
    (alert,) = await recent_alerts(store, cluster=name)
    assert not any(ord(character) < 32 or character == "\u202e" for character in alert.summary)


async def test_a_history_of_slots_that_all_differ_does_not_hold_up_the_prober(sqlite_store):
    world = World(sqlite_store)
    await world.probe(Outcome.GOOD)
    end = slot_at(world.clock.now())
    runs = [(1, Run(end - offset, 1, Counts(good=1))) for offset in range(3, 90_000, 3)]  # a probe each 30 s
    async with sqlite_store.begin() as connection:
        await write_batch(connection, sqlite_store, writer="other", sequence=1, runs=runs, now=world.clock.now())
    turns = 0

    async def watch() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    watcher = asyncio.create_task(watch())
    chart = await burn_down(
        sqlite_store, world.definitions, world.fleet, world.clock.now(), slo="orders-writes", cluster="orders"
    )
    watcher.cancel()
    assert chart.points
    assert turns > 30  # 30,000 rows: without pauses the loop turns for the few awaits of the query alone


@pytest.mark.parametrize("outcome", [Outcome.MISSED, Outcome.EXCLUDED])
async def test_probes_that_never_gave_a_valid_event_are_neither_ok_nor_healthy(store, outcome):
    world = World(store)
    await world.probe(outcome, times=3)
    (status,) = await report(store, world.definitions, world.fleet, world.clock.now())
    assert (status.telemetry, state_of(status)) == (TelemetryState.NO_TRAFFIC, SloState.NO_TRAFFIC)
    await world.probe(outcome, times=10, tick=False)
    (status,) = await report(store, world.definitions, world.fleet, world.clock.now())
    assert status.telemetry is TelemetryState.TELEMETRY_LOST
    assert state_of(status) in (SloState.PAGE, SloState.TICKET, SloState.TELEMETRY_LOST)
