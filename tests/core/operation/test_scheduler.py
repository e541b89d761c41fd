"""Schedules over time: one operation a slot, whoever schedules, whatever the clock does."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from dbre.core.errors import Refused, Unreachable
from dbre.core.operation.desk import Submission
from dbre.core.operation.schedule.decision import decide
from dbre.core.operation.schedule.model import Misfire, Schedule, ScheduleState
from dbre.core.operation.schedule.scheduler import Scheduler
from dbre.core.operation.schedule.slots import Cron, parse_zone
from dbre.core.operation.schedule.store import read_states, set_suspended
from dbre.core.store import Store
from dbre.testing.clock import FakeClock

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Desk:
    """Keeps what is submitted, one operation a dedup key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Any] = {}
        self.calls = 0
        self.error: Exception | None = None

    async def submit(self, schedule: Schedule, submission: Submission) -> Any:  # noqa: ARG002 - the signature of submitters
        self.calls += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        assert submission.dedup_key is not None
        return self.by_key.setdefault(submission.dedup_key, SimpleNamespace(id=uuid4()))

    @property
    def slots(self) -> list[str]:
        return sorted(key.removeprefix("schedule:s:2026-") for key in self.by_key)


def schedule(cron: str = "*/10 * * * *", zone: str = "UTC", **changes: Any) -> Schedule:
    return Schedule(name="s", cron=Cron.parse(cron, parse_zone(zone)), kind="test.nothing", **changes)


async def state_of(store: Store) -> ScheduleState:
    async with store.read() as connection:
        return (await read_states(connection))["s"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def pass_time(scheduler: Scheduler, clock: FakeClock, minutes: int, *, step: int = 1) -> None:
    for _ in range(minutes // step):
        await clock.advance(60 * step, turns=1)
        await scheduler.look()


async def test_each_slot_from_now_on_runs_once(store: Store, clock: FakeClock, desk: Desk) -> None:
    one = Scheduler(store, [schedule()], desk.submit, clock)
    await one.look()
    await pass_time(one, clock, 31)
    assert desk.slots == ["06-01T12:10Z", "06-01T12:20Z", "06-01T12:30Z"]
    assert desk.calls == 3
    state = await state_of(store)
    assert state.last_slot == NOON + timedelta(minutes=30)
    assert state.last_operation_id == desk.by_key["schedule:s:2026-06-01T12:30Z"].id


async def test_several_schedulers_run_each_slot_once(store: Store, clock: FakeClock, desk: Desk) -> None:
    crew = [Scheduler(store, [schedule()], desk.submit, clock) for _ in range(3)]
    for _ in range(32):
        await asyncio.gather(*(one.look() for one in crew))
        await clock.advance(60, turns=1)
    assert desk.slots == ["06-01T12:10Z", "06-01T12:20Z", "06-01T12:30Z"]


@pytest.mark.parametrize(("misfire", "ran", "skipped"), [(Misfire.RUN_ONCE, ["06-01T15:00Z"], 17), (Misfire.SKIP, [], 18)])
async def test_a_downtime_over_several_slots(
    store: Store, clock: FakeClock, desk: Desk, misfire: Misfire, ran: list[str], skipped: int
) -> None:
    rule = schedule(misfire=misfire)
    await Scheduler(store, [rule], desk.submit, clock).look()
    await clock.advance(3 * 3600 + 540)
    await Scheduler(store, [rule], desk.submit, clock).look()
    assert desk.slots == ran
    state = await state_of(store)
    assert state.last_skipped is not None
    assert state.last_skipped.count == skipped
    assert "no scheduler ran in time" in state.last_skipped.reason


async def test_a_late_slot_within_its_grace_runs_although_misfires_are_skipped(
    store: Store, clock: FakeClock, desk: Desk
) -> None:
    one = Scheduler(store, [schedule(misfire=Misfire.SKIP)], desk.submit, clock)
    await one.look()
    await clock.advance(600 + 290)
    await one.look()
    assert desk.slots == ["06-01T12:10Z"]


async def test_a_clock_that_is_set_back_runs_nothing_twice(store: Store, clock: FakeClock, desk: Desk) -> None:
    one = Scheduler(store, [schedule()], desk.submit, clock)
    await one.look()
    await pass_time(one, clock, 25)
    clock.step_wall(-3600)
    await pass_time(one, clock, 75)
    assert desk.slots == ["06-01T12:10Z", "06-01T12:20Z", "06-01T12:30Z", "06-01T12:40Z"]
    assert desk.calls == 4


async def test_a_clock_that_was_a_year_ahead_for_a_while_does_not_silence_a_schedule(
    store: Store, clock: FakeClock, desk: Desk
) -> None:
    one = Scheduler(store, [schedule()], desk.submit, clock)
    await one.look()
    clock.step_wall(365 * 86400)
    await one.look()
    clock.step_wall(-365 * 86400)
    desk.by_key.clear()
    await pass_time(one, clock, 21)
    assert desk.slots == ["06-01T12:10Z", "06-01T12:20Z"]


async def test_days_on_which_clocks_change_have_one_run_each(store: Store, desk: Desk) -> None:
    for start in (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)):
        clock = FakeClock(start)
        desk.by_key.clear()
        rule = schedule("30 2 * * *", "Europe/Madrid", jitter=timedelta(minutes=3))
        one = Scheduler(store, [rule], desk.submit, clock)
        async with store.begin() as connection:
            await set_suspended(store, connection, "s", by="x", now=start)
            await set_suspended(store, connection, "s", by=None, now=start)
        await pass_time(one, clock, 1440, step=30)
        assert len(desk.by_key) == 1, desk.slots


async def test_jitter_is_the_same_everywhere_and_within_its_bound() -> None:
    rule = schedule(jitter=timedelta(minutes=10))
    moments = {rule.begins_at(slot) - slot for slot in rule.cron.between(NOON, NOON + timedelta(days=1))}
    assert len(moments) > 100
    assert all(timedelta(0) <= one < timedelta(minutes=10) for one in moments)
    assert schedule(jitter=timedelta(minutes=10)).begins_at(NOON) == rule.begins_at(NOON)


async def test_a_suspended_schedule_runs_nothing_and_catches_nothing_up(store: Store, clock: FakeClock, desk: Desk) -> None:
    one = Scheduler(store, [schedule()], desk.submit, clock)
    await one.look()
    async with store.begin() as connection:
        assert await set_suspended(store, connection, "s", by="alice", now=clock.now())
        assert not await set_suspended(store, connection, "s", by="bob", now=clock.now())
    await pass_time(one, clock, 25)
    assert desk.slots == []
    state = await state_of(store)
    assert state.last_skipped is not None
    assert state.last_skipped.reason == "the schedule is suspended by alice"
    async with store.begin() as connection:
        assert await set_suspended(store, connection, "s", by=None, now=clock.now())
    await pass_time(one, clock, 10)
    assert desk.slots == ["06-01T12:30Z"]


async def test_another_expression_begins_from_now_on(store: Store, clock: FakeClock, desk: Desk) -> None:
    await Scheduler(store, [schedule("0 2 * * *")], desk.submit, clock).look()
    await clock.advance(3600)
    changed = Scheduler(store, [schedule("30 12 * * *")], desk.submit, clock)
    await changed.look()
    await changed.look()
    assert desk.slots == []


async def test_a_refusal_is_noted_and_what_may_pass_is_tried_again(store: Store, clock: FakeClock, desk: Desk) -> None:
    class Away(Unreachable):
        """Comes back."""

        retryable = True

    one = Scheduler(store, [schedule()], desk.submit, clock)
    await one.look()
    desk.error = Away("orders-1 does not answer")
    await pass_time(one, clock, 11)
    assert (await state_of(store)).last_slot == NOON
    desk.error = None
    await pass_time(one, clock, 1)
    assert desk.slots == ["06-01T12:10Z"]
    desk.error = Refused("frozen until Monday")
    await pass_time(one, clock, 10)
    state = await state_of(store)
    assert state.last_skipped is not None
    assert state.last_skipped.reason == "not submitted: frozen until Monday"
    assert state.last_slot == NOON + timedelta(minutes=20)


def test_a_year_of_minutes_is_judged_at_once() -> None:
    rule = schedule("* * * * *")
    old = ScheduleState(
        name="s",
        definition=rule.definition,
        last_slot=NOON - timedelta(days=365),
        last_operation_id=None,
        last_skipped=None,
        is_suspended=False,
        suspended_by=None,
    )
    decision = decide(rule, old, NOON)
    assert decision.run == NOON
    assert decision.skipped is not None
    assert "only the last slot of at least" in decision.skipped.reason
