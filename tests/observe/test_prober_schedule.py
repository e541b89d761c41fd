"""The schedule holds whatever the servers and the clocks do. The servers are real sockets that misbehave."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from observe_kit import READ, REPLICA, WRITE, Record, cluster, listener, probing, refusing, settings

from dbre.app import Engines
from dbre.capabilities.observe import Prober
from dbre.capabilities.observe.endpoint import Answer
from dbre.capabilities.observe.watch import Surroundings, watches_of
from dbre.core.clock import SystemClock
from dbre.core.fleet import Address, Cluster, Fleet
from dbre.ports.probe import Outcome, Phases, ProbeReading
from dbre.ports.session import Role
from dbre.testing.clock import FakeClock


def gaps(slots) -> list[float]:
    return [(b.scheduled_at - a.scheduled_at).total_seconds() for a, b in itertools.pairwise(slots)]


async def test_a_server_that_accepts_and_never_answers_fails_every_slot_in_time_and_delays_none():
    async with listener() as silent, probing(cluster("dead", [silent]), interval=1.0, total=0.8) as record:
        await record.until(lambda: len(record.of("dead")) >= 5)
    slots = record.of("dead")[:5]
    assert {(one.outcome, one.code) for one in slots} == {(Outcome.BAD, "timeout")}
    assert gaps(slots) == pytest.approx([1.0] * 4, abs=0.025)
    assert all(one.latency_seconds is None for one in slots)
    ends = [arrived - one.scheduled_at.timestamp() for arrived, one in zip(record.arrived, record.observations, strict=True)]
    assert max(ends) - min(ends) < 0.3  # the same time after the schedule each, within what a busy machine takes
    assert record.kinds("dead/write") == ["observe.endpoint_bad"]


class Mute:
    """An engine whose probes never end, not even at their deadline: the prober has to cut them off."""

    name = "postgresql"

    def probe(self, _access: object) -> "Mute":
        return self

    async def prepare(self) -> None:
        """Nothing to prepare."""

    async def measure(self, _request: object) -> ProbeReading:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def aclose(self) -> None:
        """Nothing to close."""


class Only:
    def __init__(self, engine: object) -> None:
        self._engine = engine

    def get(self, _name: str) -> object:
        return self._engine


@asynccontextmanager
async def probing_with(engine: object, *clusters: Cluster, interval: float, total: float) -> AsyncIterator[Record]:
    record = Record()
    limits = settings(interval, total=total)
    prober = Prober(
        fleet=Fleet(clusters=clusters),
        engines=Only(engine),
        clock=SystemClock(),
        settings=limits,
        sink=record.sink,
        events=record.event,
    )
    task = asyncio.create_task(prober.run())
    try:
        yield record
        assert not task.done(), f"the prober ended by itself: {task.exception()!r}"
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_an_attempt_that_its_endpoints_next_slot_cuts_off_is_a_timeout_and_not_missed():
    # 0.05 s from the deadline to the next slot, and a grace of 0.1 s: slots overlap.
    async with probing_with(Mute(), cluster("mute", [refusing()]), interval=0.5, total=0.45) as record:
        await record.until(lambda: len(record.of("mute")) >= 5)
    assert {(one.outcome, one.code) for one in record.of("mute")[:5]} == {(Outcome.BAD, "timeout")}
    assert gaps(record.of("mute")[:5]) == pytest.approx([0.5] * 4, abs=0.025)


@pytest.mark.parametrize("fault", ["hangs while it closes", "raises while it prepares"])
async def test_an_engine_that_fails_to_prepare_ends_nobody_elses_probes(fault):
    class Clumsy(Mute):
        async def prepare(self) -> None:
            if fault.startswith("raises"):
                raise ValueError("a version that nobody can read")

        async def measure(self, _request: object) -> ProbeReading:
            return ProbeReading(outcome=Outcome.GOOD, code=None, reason=None, phases=Phases(), role=Role.PRIMARY)

        async def aclose(self) -> None:
            if fault.startswith("hangs"):
                await asyncio.Event().wait()

    async with probing_with(Clumsy(), cluster("orders", [refusing()]), interval=1.0, total=0.5) as record:
        await record.until(lambda: len(record.of("orders")) >= 4)  # closing was waited for one second
    assert {one.outcome for one in record.of("orders")[:4]} == {Outcome.GOOD}


async def test_a_refused_connection_is_bad_at_once():
    async with probing(cluster("gone", [refusing()])) as record:
        await record.until(lambda: len(record.of("gone")) >= 2)
    assert {(one.outcome, one.code) for one in record.of("gone")[:2]} == {(Outcome.BAD, "connection_refused")}


async def test_a_server_that_hangs_up_is_bad():
    async with listener(close_at_once=True) as rude, probing(cluster("rude", [rude])) as record:
        await record.until(lambda: len(record.of("rude")) >= 2)
    assert {one.outcome for one in record.of("rude")[:2]} == {Outcome.BAD}
    assert "timeout" not in {one.code for one in record.of("rude")[:2]}


async def test_slots_lost_to_a_stalled_process_are_missed_one_by_one():
    clock = FakeClock()
    async with probing(cluster("gone", [refusing()], purposes=[WRITE, READ]), interval=10.0, clock=clock) as record:
        await clock.advance(30)
        await record.until(lambda: len(record.of("gone")) >= 3)
        before = len(record.of("gone"))
        await asyncio.sleep(0.2)
        clock.step_monotonic(95)  # nobody woke meanwhile, as after SIGSTOP
        clock.step_wall(95)
        await clock.advance(25)
        await record.until(lambda: len(record.of("gone")) >= before + 11 and len(record.of("gone", READ)) >= before + 11)
        await asyncio.sleep(0.2)
    for purpose in (WRITE, READ):
        slots = record.of("gone", purpose)
        assert set(gaps(slots)) == {10.0}, "one observation a slot, none twice, none lost"
        assert 9 <= [one.outcome for one in slots].count(Outcome.MISSED) <= 10
        missed = [one for one in slots if one.outcome is Outcome.MISSED]
        assert {one.code for one in missed} == {"stalled"}
    assert record.kinds("gone/write") == ["observe.endpoint_bad"], "missed slots change no state"


async def test_a_probe_that_was_under_way_in_a_stall_is_missed_not_bad():
    clock = FakeClock()
    async with listener() as silent, probing(cluster("dead", [silent]), interval=10.0, total=3.0, clock=clock) as record:
        while not record.observations:
            await clock.advance(0.5)
        await clock.advance(6.5)  # the next slot is between 6.9 s and 7 s after a verdict at 3 s or 3.1 s
        await clock.advance(0.5)
        clock.step_monotonic(20)
        clock.step_wall(20)
        await clock.advance(5)
    by_time = record.of("dead")
    assert by_time[0].outcome is Outcome.BAD
    assert by_time[1].outcome is Outcome.MISSED
    assert set(gaps(by_time)) == {10.0}


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
async def test_a_step_of_the_wall_clock_is_told_and_no_slot_is_lost_or_doubled(seconds):
    clock = FakeClock()
    async with probing(cluster("gone", [refusing()]), interval=10.0, clock=clock) as record:
        await clock.advance(30)
        await record.until(lambda: len(record.observations) >= 3)
        clock.step_wall(seconds)
        await clock.advance(30)
        await record.until(lambda: len(record.observations) >= 6)
        await asyncio.sleep(0.1)
    times = [one.scheduled_at for one in record.observations]
    assert len(times) == 6
    steps = [(b - a).total_seconds() for a, b in itertools.pairwise(times)]
    assert steps == pytest.approx([10, 10, 10 + seconds, 10, 10], abs=0.01)
    ((kind, subject, data),) = [one for one in record.events if one[0] == "core.clock_stepped"]
    assert (kind, subject, data["seconds"]) == ("core.clock_stepped", "clock", pytest.approx(seconds))


async def test_slots_keep_their_place_in_the_interval_over_a_restart():
    places = []
    for _ in range(2):
        async with probing(cluster("gone", [refusing()]), interval=0.5) as record:
            await record.until(lambda record=record: len(record.observations) >= 1)
        places.append(record.observations[0].scheduled_at.timestamp() % 0.5)
    assert places[0] == pytest.approx(places[1], abs=0.02)


async def test_stopping_ends_within_two_seconds_and_leaves_no_slot_without_observation():
    async with listener() as silent:
        clusters = [cluster(f"dead-{n}", [silent], purposes=[WRITE, READ, REPLICA]) for n in range(40)]
        async with probing(*clusters, interval=5.0, total=4.0) as record:
            await asyncio.sleep(6.0)
            begin = time.monotonic()
        assert time.monotonic() - begin < 2.0
    stopped = [one for one in record.observations if one.code == "stopped"]
    assert {one.outcome for one in stopped} == {Outcome.MISSED}
    assert len(stopped) > 50
    for one in clusters:
        assert set(gaps(record.of(one.name))) <= {5.0} or gaps(record.of(one.name)) == pytest.approx([5.0], abs=0.03)


async def test_waiting_for_a_turn_to_connect_is_not_held_against_the_database():
    async with listener() as silent:
        clusters = [cluster(f"dead-{n}", [silent]) for n in range(6)]
        async with probing(*clusters, interval=2.0, total=1.9, concurrent_connects=1) as record:
            await record.until(lambda: len(record.observations) >= 18)
            assert "stopped" not in {one.code for one in record.observations}, "nobody stopped it"
    found = {(one.outcome, one.code) for one in record.observations}
    assert found - {(Outcome.MISSED, "stopped")} == {(Outcome.MISSED, "saturated"), (Outcome.BAD, "timeout")}
    for one in record.observations:
        if one.outcome is Outcome.BAD:
            assert one.reason.endswith("no connection within 1.7s"), "only who had its time is blamed"


async def test_an_error_in_the_sink_ends_the_prober_instead_of_being_swallowed():
    def full(observation) -> None:
        raise OSError("no space left on device")

    prober = Prober(
        fleet=Fleet(clusters=(cluster("gone", [refusing()]),)),
        engines=Engines(),
        clock=SystemClock(),
        settings=settings(0.5),
        sink=full,
        events=Record().event,
    )
    with pytest.raises(ExceptionGroup) as caught:
        async with asyncio.timeout(10):
            await prober.run()
    assert caught.group_contains(OSError, match="no space left")


async def test_a_slow_asynchronous_sink_does_not_delay_the_schedule():
    async with probing(cluster("gone", [refusing()]), interval=0.5) as record:
        quick = record.sink

        async def slow(observation) -> None:
            await asyncio.sleep(1.2)
            quick(observation)

        record.prober._sink = slow
        await record.until(lambda: len(record.observations) >= 5)
    assert gaps(record.of("gone")[:5]) == pytest.approx([0.5] * 4, abs=0.025)


async def test_a_good_answer_after_the_deadline_is_a_timeout():
    limits = asyncio.Semaphore(1)
    surroundings = Surroundings(clock=SystemClock(), settings=settings(1.0, total=0.7), connecting=limits, preparing=limits)
    (watch,) = watches_of(cluster("orders", [refusing()]), engine=Engines().get("postgresql"), surroundings=surroundings)
    reading = ProbeReading(outcome=Outcome.GOOD, code=None, reason=None, phases=Phases(), role=Role.PRIMARY)
    answer = Answer(reading=reading, candidate=watch.probe.candidates[0])
    at = SystemClock().now()
    in_time = watch.observation(answer, fresh=False, scheduled_at=at, due=100.0, finished=100.69)
    late = watch.observation(answer, fresh=False, scheduled_at=at, due=100.0, finished=100.71)
    assert (in_time.outcome, in_time.latency_seconds) == (Outcome.GOOD, pytest.approx(0.69))
    assert (late.outcome, late.code, late.latency_seconds) == (Outcome.BAD, "timeout", None)


async def test_an_address_that_lost_the_race_is_let_go_at_once():
    closed = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass
        closed.set()
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        silent = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        async with probing(cluster("orders", [silent, refusing()]), interval=2.0, total=1.0) as record:
            await record.until(lambda: bool(record.observations))
            async with asyncio.timeout(0.5):
                await closed.wait()
