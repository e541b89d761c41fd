"""Simulated outages against real stores: exact counts, exact alerts."""

from datetime import timedelta
from fractions import Fraction

import pytest
from slo_kit import FLEET, START, World, cluster, definition, failing

from dbre.capabilities.slo.alert_state import AlertState
from dbre.capabilities.slo.definition import NoDataPolicy, Policies
from dbre.capabilities.slo.reading import recent_alerts, report
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.telemetry_state import TelemetryState
from dbre.core.fleet import EndpointPurpose, Fleet
from dbre.ports.probe import Outcome

GOOD, BAD, MISSED, EXCLUDED = Outcome.GOOD, Outcome.BAD, Outcome.MISSED, Outcome.EXCLUDED


async def test_an_outage_costs_exactly_its_probes_pages_after_six_and_ends(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    await world.probe(BAD, times=5)
    assert await world.events() == []  # 5 of 360 burn 13.9 times
    await world.probe(BAD)
    (fired,) = await world.events()
    assert (fired.kind, fired.subject) == ("slo.alert_fired", "orders-writes@orders")
    assert fired.at == START + timedelta(seconds=3600 + 50)
    assert (fired.data["rule"], fired.data["severity"], fired.data["threshold"]) == ("page-1h", "page", 14.4)
    assert fired.data["burn_rate"] == float(Fraction(6, 360) * 1000)
    assert fired.data["resolved_at"] is None
    await world.probe(BAD, times=6)
    await world.probe(GOOD, times=120)

    status = await world.status()
    assert (status.good, status.bad, status.total) == (480, 12, 492)
    assert status.budget.consumed_ratio == Fraction(12) / Fraction("259.2")
    assert status.budget.remaining_seconds == 2592 - 120
    assert await world.stored() == {"good": 480, "bad": 12, "total": 492, "missed": 0, "excluded": 0}
    fired, resolved = await world.events()
    assert resolved.kind == "slo.alert_resolved"
    assert resolved.data["alert_id"] == fired.data["alert_id"]
    assert resolved.data["sequence"] > fired.data["sequence"]
    assert resolved.at - fired.at == timedelta(seconds=660)  # 60 s more of outage, the 5 min window, 5 min of keeping on
    assert not status.active_alerts


async def test_what_the_engine_says_is_what_the_store_says(store):
    world = World(store)
    await world.probe(GOOD, times=400, tick=False)
    await world.probe(BAD, times=9)
    await world.probe(MISSED, times=2)
    await world.probe(EXCLUDED)
    now = world.clock.now()
    (from_store,) = await report(store, world.definitions, world.fleet, now)
    from_memory = await world.status()
    assert from_store.counts == from_memory.counts
    assert from_store.budget == from_memory.budget
    assert from_store.burn_rates == from_memory.burn_rates
    assert from_store.exhaustion == from_memory.exhaustion
    assert [(one.rule, one.state, one.alert_id) for one in from_store.alerts] == [
        (one.rule, one.state, one.alert_id) for one in from_memory.alerts
    ]
    assert (from_memory.missed, from_memory.excluded, from_memory.total) == (2, 1, 409)


async def test_a_restart_while_firing_neither_fires_again_nor_forgets(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    await world.probe(BAD, times=8)
    world.start()  # nobody told the old one to stop
    await world.probe(BAD, times=3)
    assert [one.kind for one in await world.events()] == ["slo.alert_fired"]
    assert (await world.status()).active_alerts[0].rule == "page-1h"
    await world.probe(GOOD, times=70)
    kinds = [one.kind for one in await world.events()]
    assert kinds == ["slo.alert_fired", "slo.alert_resolved"]
    assert (await world.status()).bad == 11


async def test_a_restart_after_a_long_pause_resolves_nothing_before_it_has_seen_something(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    await world.probe(BAD, times=8)
    world.wait(1800)
    world.start()
    await world.engine.tick()
    assert [one.kind for one in await world.events()] == ["slo.alert_fired"]
    await world.probe(BAD, times=3)
    assert [one.kind for one in await world.events()] == ["slo.alert_fired"]


async def test_one_outage_is_one_page_and_its_tickets_wait_for_the_end_of_it(store):
    world = World(store)
    await world.probe(GOOD, times=8640, tick=False)
    await world.probe(BAD, times=60)  # 10 min: every rule's condition holds
    fired = [one.data["rule"] for one in await world.events() if one.kind == "slo.alert_fired"]
    assert fired == ["page-1h"]
    rules = {one.rule: one for one in (await world.status()).alerts}
    assert {rules[name].state for name in ("page-6h", "ticket-1d", "ticket-3d")} == {AlertState.PENDING}
    assert {rules[name].is_suppressed for name in ("page-6h", "ticket-1d", "ticket-3d")} == {True}
    assert rules["page-1h"].is_suppressed is False
    await world.probe(GOOD, times=175)  # what page-6h looks at is still burning: the page is not over
    assert len(await world.events()) == 1
    await world.probe(GOOD, times=40)
    told = [(one.kind, one.data["rule"]) for one in await world.events()]
    assert told[:2] == [("slo.alert_fired", "page-1h"), ("slo.alert_resolved", "page-1h")]
    assert told[2:] == [("slo.alert_fired", "ticket-1d"), ("slo.alert_fired", "ticket-3d")]  # what the page leaves behind


async def test_a_page_for_slow_errors_covers_the_one_for_fast_errors_that_follow(store):
    world = World(store)
    await world.probe(GOOD, times=2160, tick=False)
    for _ in range(40):  # 10 % errors: the six hours fill up, and so does the hour
        await world.probe(GOOD, times=9)
        await world.probe(BAD)
    await world.probe(BAD, times=30)
    assert [one.kind for one in await world.events()] == ["slo.alert_fired"]


async def test_a_state_written_by_a_clock_that_was_ahead_does_not_wait_for_that_day(store):
    world = World(store)
    await world.probe(GOOD, times=500, tick=False)
    await world.probe(BAD, times=7)
    await world.probe(GOOD, times=40)
    assert AlertState.RESOLVING in {one.state for one in (await world.status()).alerts}
    world.clock.step_wall(-86_400)  # set right while the control plane was down
    world.start()
    await world.probe(GOOD, times=60)
    assert [one.kind for one in await world.events()] == ["slo.alert_fired", "slo.alert_resolved"]


@pytest.mark.parametrize("interval", [60.0, 600.0])
async def test_probes_that_come_more_rarely_than_silence_is_measured_are_no_silence(store, interval):
    world = World(store, interval=interval)
    for _ in range(5):
        world.observe(GOOD)
        for _ in range(int(interval // 10)):
            await world.engine.tick()
            world.wait(10)
    assert await world.events() == []
    for _ in range(int(3 * interval // 10) + 1):
        await world.engine.tick()
        world.wait(10)
    assert [one.data["rule"] for one in await world.events()] == ["telemetry-ticket"]


async def test_nothing_is_lost_or_counted_twice_while_the_store_is_away(store):
    world = World(store)
    await world.probe(GOOD, times=10)
    async with failing(store):
        await world.probe(GOOD, times=5)
        await world.probe(BAD, times=3)
        assert world.engine.health.store_error == "the store went away"
        assert world.engine.health.unsaved_events == 8
        assert (await world.status()).total == 18
    await world.engine.tick()
    assert world.engine.health.store_error is None
    assert world.engine.health.unsaved_events == 0
    assert await world.stored() == {"good": 15, "bad": 3, "total": 18, "missed": 0, "excluded": 0}


async def test_a_commit_of_unknown_outcome_counts_once(store):
    world = World(store)
    await world.probe(GOOD, times=10)
    async with failing(store, after_commit=True):
        await world.probe(GOOD, times=5)
        assert world.engine.health.unsaved_events == 5
    await world.probe(GOOD)
    assert (await world.stored())["good"] == 16


async def test_an_alert_whose_commit_ended_in_doubt_fires_once(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    await world.probe(BAD, times=7, tick=False)
    world.observe(BAD)
    await world.engine._writer.flush()
    async with failing(store, after_commit=True):
        await world.engine.tick()
    assert len(await world.events()) >= 1
    await world.probe(BAD, times=3)
    assert [one.kind for one in await world.events()] == ["slo.alert_fired"]
    assert (await world.status()).active_alerts


async def test_an_alert_that_could_not_be_written_fires_when_the_store_is_back(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    async with failing(store):
        await world.probe(BAD, times=8)
        assert not (await world.status()).active_alerts
    await world.probe(BAD)
    assert [one.kind for one in await world.events()] == ["slo.alert_fired"]
    assert (await world.stored())["bad"] == 9


async def test_an_engine_that_starts_without_a_store_counts_from_the_first_observation(store):
    world = World(store)
    async with failing(store):
        await world.probe(GOOD, times=4)
        assert not world.engine.health.is_started
    await world.probe(GOOD)
    assert (await world.stored())["good"] == 5
    assert (await world.status()).good == 5


async def test_old_outages_do_not_page_again_when_the_clock_is_set_back(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    await world.probe(BAD, times=12)
    await world.probe(GOOD, times=360)
    before = await world.events()
    assert [one.kind for one in before] == ["slo.alert_fired", "slo.alert_resolved"]
    world.clock.step_wall(-3600)  # the outage lies within the last five minutes of the wall clock again
    await world.probe(GOOD, times=90)
    assert await world.events() == before
    stored = await world.stored()
    assert (stored["good"], stored["bad"]) == (810, 12)
    await world.probe(BAD, times=7)  # and a new outage is seen at once
    assert [(one.kind, one.data["rule"]) for one in (await world.events())[2:]] == [("slo.alert_fired", "page-6h")]


async def test_a_clock_that_is_set_ahead_neither_pages_nor_loses_an_outage(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    world.clock.step_wall(7 * 3600)
    await world.engine.tick()
    await world.probe(GOOD, times=30)
    assert await world.events() == []
    await world.probe(BAD, times=5)
    assert await world.events() == []
    await world.probe(BAD, times=2)
    assert len(await world.events()) == 1
    assert (await world.status()).total == 397


async def test_a_small_correction_of_the_clock_moves_nothing(store):
    world = World(store)
    await world.probe(GOOD, times=30)
    world.clock.step_wall(-4)
    await world.probe(GOOD, times=30)
    world.clock.step_wall(4)
    await world.probe(GOOD, times=30)
    assert (await world.status()).total == 90
    assert (await world.stored())["total"] == 90


async def test_silence_is_a_ticket_after_a_minute_and_a_page_after_five(store):
    world = World(store)
    await world.probe(GOOD, times=60)
    await world.probe(MISSED, times=5)
    assert await world.events() == []
    await world.probe(MISSED, times=2)
    (ticket,) = await world.events()
    assert (ticket.data["rule"], ticket.data["severity"]) == ("telemetry-ticket", "ticket")
    assert ticket.data["telemetry_state"] == "telemetry_lost"
    await world.probe(MISSED, times=25)
    assert [one.data["rule"] for one in await world.events()] == ["telemetry-ticket", "telemetry-page"]
    status = await world.status()
    assert status.telemetry is TelemetryState.TELEMETRY_LOST
    assert (status.total, status.missed) == (60, 32)
    assert status.budget.consumed_ratio == 0
    await world.probe(GOOD, times=3)
    assert sorted(one.kind for one in await world.events()) == ["slo.alert_fired"] * 2 + ["slo.alert_resolved"] * 2


async def test_absent_observations_are_silence_too_and_a_dead_database_is_not(store):
    world = World(store)
    await world.probe(GOOD, times=60)
    await world.probe(BAD, times=40)
    assert {one.data["rule"] for one in await world.events()} == {"page-1h"}
    assert (await world.status()).telemetry is TelemetryState.SOURCE_DOWN
    for _ in range(7):  # nothing is recorded any more
        world.wait(10)
        await world.engine.tick()
    assert (await world.status()).telemetry is TelemetryState.TELEMETRY_LOST
    active = {one.rule for one in (await world.status()).active_alerts}
    assert "page-1h" in active  # silence resolves nothing


async def test_a_restart_while_telemetry_is_lost_tells_nobody_anything_new(store):
    world = World(store)
    await world.probe(GOOD, times=60)
    await world.probe(MISSED, times=40)
    before = await world.events()
    assert [one.data["rule"] for one in before] == ["telemetry-ticket", "telemetry-page"]
    world.start()
    await world.probe(MISSED, times=40)
    assert await world.events() == before
    await world.probe(GOOD, times=3)
    assert len(await world.events()) == 4


async def test_silence_may_be_ignored(store):
    quiet = definition(policies=Policies(no_data=NoDataPolicy.IGNORE))
    world = World(store, definitions=(quiet,))
    await world.probe(GOOD, times=6)
    await world.probe(MISSED, times=60)
    assert await world.events() == []
    assert (await world.status()).telemetry is TelemetryState.TELEMETRY_LOST


async def test_a_changed_indicator_starts_anew_and_a_changed_target_does_not(store):
    world = World(store)
    await world.probe(GOOD, times=20)
    await world.probe(BAD, times=2)
    first = (await world.status()).definition_since

    world.definitions = (definition(target="0.99"),)
    world.start()
    await world.probe(GOOD)
    status = await world.status()
    assert (status.total, status.bad) == (23, 2)
    assert status.budget.allowed_bad == 2592
    assert status.definition_since > first

    slow = Sli(kind=SliKind.LATENCY, purpose=EndpointPurpose.WRITE, limit_ms=50)
    world.definitions = (definition(target="0.99", sli=slow),)
    world.start()
    world.observe(GOOD, latency=0.2)
    await world.engine.tick()
    status = await world.status()
    assert (status.good, status.bad) == (0, 1)
    assert (await world.stored())["total"] == 24  # the old slots are kept, apart


async def test_an_alert_of_an_slo_that_is_removed_ends(store):
    world = World(store)
    await world.probe(GOOD, times=360, tick=False)
    await world.probe(BAD, times=8)
    world.definitions = ()
    world.start()
    await world.engine.tick()
    kinds = [one.kind for one in await world.events()]
    assert kinds == ["slo.alert_fired", "slo.alert_resolved"]
    (alert,) = await recent_alerts(store)
    assert alert.resolved_at is not None
    assert "no longer defined" in alert.summary
    world.start()
    await world.engine.tick()
    assert len(await world.events()) == 2


async def test_clusters_are_counted_apart(store):
    world = World(store, fleet=Fleet(clusters=(cluster("a"), cluster("b"))))
    for _ in range(10):
        world.observe(GOOD, cluster="a")
        world.observe(BAD, cluster="b")
        world.observe(BAD, cluster="unknown")
        world.wait(10)
    await world.engine.tick()
    assert [(one.id, one.good, one.bad) for one in await world.engine.status()] == [
        ("orders-writes@a", 10, 0),
        ("orders-writes@b", 0, 10),
    ]


async def test_sequences_grow_over_all_alerts(store):
    world = World(store, fleet=Fleet(clusters=(cluster("a"), cluster("b"))))
    for outcome, times in ((GOOD, 60), (BAD, 40), (GOOD, 230), (BAD, 40)):
        for _ in range(times):
            world.observe(outcome, cluster="a")
            world.observe(outcome, cluster="b")
            await world.engine.tick()
            world.wait(10)
    sequences = [one.data["sequence"] for one in await world.events()]
    assert len(sequences) > 4
    assert sequences == list(range(1, len(sequences) + 1))


async def test_run_flushes_what_is_pending_when_it_is_told_to_stop(store):
    import asyncio

    world = World(store, fleet=FLEET)
    task = asyncio.ensure_future(world.engine.run())
    for _ in range(200):
        await asyncio.sleep(0.01)
        if world.engine.health.is_started and world.clock.sleepers:
            break
    world.observe(GOOD)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await world.stored())["good"] == 1
