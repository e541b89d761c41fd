"""At least once, in order, each subscription at its own pace - on both databases."""

import asyncio
from typing import Any

import pytest
from event_kit import AT_ONCE, CLOCK, LIMIT_SECONDS, Receiver, delivering, emit, states, until

from dbre.core.errors import StoreError
from dbre.core.events import (
    DELIVERY_DEAD,
    Backoff,
    DeliveryPostponed,
    DeliveryRefused,
    DeliveryState,
    Event,
    EventDelivery,
    EventLog,
    Subscription,
    deliveries,
    recent,
    subscriptions,
)
from dbre.core.events.attempt import record
from dbre.core.events.fan_out import fan_out
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost, StoreBusy, StoreFull
from dbre.testing.clock import FakeClock


async def test_events_come_in_order_and_only_those_that_are_wanted(store: Store) -> None:
    all_, area, exact = Receiver(), Receiver(), Receiver()
    wanted = [
        Subscription(name="all", kinds=("*",), handler=all_),
        Subscription(name="area", kinds=("slo.*",), handler=area),
        Subscription(name="exact", kinds=("slo.alert_fired", "core.other"), handler=exact),
    ]
    async with delivering(store, *wanted):
        for number, kind in enumerate(["slo.alert_fired", "slo.alert_resolved", "slow.down", "core.other"] * 10):
            await emit(store, f"{number:02}", kind=kind)
        await until(lambda: len(all_.got) == 40 and len(area.got) == 20 and len(exact.got) == 20)
    assert all_.subjects == sorted(all_.subjects)
    assert {one.kind for one in area.got} == {"slo.alert_fired", "slo.alert_resolved"}
    assert {one.kind for one in exact.got} == {"slo.alert_fired", "core.other"}


async def test_an_event_of_this_process_is_delivered_without_waiting_for_the_poll(store: Store) -> None:
    receiver = Receiver()
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver), poll_seconds=3600):
        await until(lambda: _registered(store))
        await asyncio.sleep(0.1)
        await emit(store, "now")
        await until(lambda: receiver.subjects == ["now"])


async def _registered(store: Store) -> bool:
    async with store.read() as connection:
        return bool(await subscriptions(connection))


async def test_an_event_of_another_process_is_found_by_polling(store: Store, place) -> None:
    receiver = Receiver()
    async with (
        delivering(store, Subscription(name="a", kinds=("*",), handler=receiver), poll_seconds=0.05),
        place.open() as other,
    ):
        await emit(other, "elsewhere")
        await until(lambda: receiver.subjects == ["elsewhere"])


async def test_an_event_of_a_rolled_back_transaction_never_happened(store: Store) -> None:
    receiver = Receiver()

    async def emit_and_fail() -> None:
        async with store.begin() as connection:
            await EventLog(CLOCK).emit(connection, kind="test.happened", subject="never")
            raise ZeroDivisionError

    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver), poll_seconds=0.05):
        with pytest.raises(ZeroDivisionError):
            await emit_and_fail()
        await emit(store, "after")
        await until(lambda: bool(receiver.got))
    assert receiver.subjects == ["after"]


async def test_order_is_kept_over_retries_and_attempts_are_counted(store: Store) -> None:
    receiver = Receiver(failures=3)
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver, backoff=AT_ONCE), poll_seconds=0.05):
        await emit(store, "first", "second")
        await until(lambda: len(receiver.got) == 2)
    assert receiver.subjects == ["first", "second"]
    async with store.read() as connection:
        found = {one.event.subject: one for one in await deliveries(connection)}
    assert (found["first"].attempts, found["second"].attempts) == (4, 1)
    assert found["first"].state is DeliveryState.DELIVERED
    assert found["first"].last_error is None
    assert found["first"].delivered_at is not None


async def test_a_slow_or_failing_subscription_does_not_delay_another(store: Store) -> None:
    fast, failing = Receiver(), Receiver(failures=10**6)
    never = asyncio.Event()

    async def stuck(_event: Event) -> None:
        await never.wait()

    wanted = [
        Subscription(name="stuck", kinds=("*",), handler=stuck),
        Subscription(name="failing", kinds=("*",), handler=failing),
        Subscription(name="fast", kinds=("*",), handler=fast),
    ]
    async with delivering(store, *wanted):
        for number in range(20):
            await emit(store, f"{number:02}")
        await until(lambda: len(fast.got) == 20)
    assert fast.subjects == [f"{number:02}" for number in range(20)]


async def test_a_handler_that_hangs_is_given_up_after_its_time_and_tried_again(store: Store) -> None:
    calls = 0

    async def hang_once(_event: Event) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.sleep(3600)

    wanted = Subscription(name="a", kinds=("*",), handler=hang_once, backoff=AT_ONCE, timeout_seconds=0.1)
    async with delivering(store, wanted, poll_seconds=0.05):
        await emit(store, "x")
        await until(lambda: calls == 2)
        await until(lambda: _is(store, ("a", "x"), "delivered"))


async def _is(store: Store, key: tuple[str, str], state: str) -> bool:
    return (await states(store)).get(key) == state


async def test_after_the_last_attempt_the_delivery_is_dead_said_so_once_and_the_next_event_comes(store: Store) -> None:
    broken, watcher = Receiver(failures=3, error=ValueError("no\x1b[2J\nsuch thing")), Receiver()
    wanted = [
        Subscription(name="broken", kinds=("test.*",), handler=broken, backoff=Backoff(base_seconds=0.001, max_attempts=3)),
        Subscription(name="watcher", kinds=(DELIVERY_DEAD,), handler=watcher),
    ]
    async with delivering(store, *wanted, poll_seconds=0.05):
        (event, _) = await emit(store, "dead", "alive")
        await until(lambda: bool(watcher.got) and bool(broken.got))
    assert broken.subjects == ["alive"]
    assert (await states(store))[("broken", "dead")] == "dead"
    assert len(watcher.got) == 1
    assert watcher.got[0].subject == "broken"
    assert watcher.got[0].data == {
        "attempts": 3,
        "event_id": str(event.id),
        "event_kind": "test.happened",
        "event_subject": "dead",
        "last_error": "ValueError: no\\x1b[2J\\nsuch thing",
    }


async def test_what_a_receiver_will_never_take_is_dead_at_once(store: Store) -> None:
    refusing = Receiver(failures=1, error=DeliveryRefused("410 Gone"))
    async with delivering(store, Subscription(name="a", kinds=("test.*",), handler=refusing)):
        await emit(store, "dead", "alive")
        await until(lambda: refusing.subjects == ["alive"])
    assert refusing.calls == 2
    assert (await states(store))[("a", "dead")] == "dead"


async def test_a_receiver_that_asks_for_time_gets_it_up_to_the_cap(store: Store) -> None:
    for wait, low, high in ((0.4, 0.35, 5.0), (3600.0, 0.9, 5.0)):
        busy = Receiver(failures=1, error=DeliveryPostponed("busy", wait_seconds=wait))
        backoff = Backoff(base_seconds=0.001, cap_seconds=1.0)
        name = f"after-{wait}"
        async with delivering(store, Subscription(name=name, kinds=("*",), handler=busy, backoff=backoff), poll_seconds=0.02):
            await emit(store, name)
            await until(lambda busy=busy: busy.calls == 1)
            begin = CLOCK.monotonic()
            await until(lambda busy=busy: busy.calls == 2)
            assert low < CLOCK.monotonic() - begin < high


async def test_a_dead_receiver_of_everything_does_not_make_events_about_itself_for_ever(store: Store) -> None:
    broken = Receiver(failures=10**6)
    wanted = Subscription(name="all", kinds=("*",), handler=broken, backoff=Backoff(base_seconds=0.001, max_attempts=2))
    async with delivering(store, wanted, poll_seconds=0.05):
        await emit(store, "x")
        await until(lambda: broken.calls == 4)  # the event twice, and the event about it twice
        await asyncio.sleep(0.5)
    assert broken.calls == 4
    async with store.read() as connection:
        assert [one.kind for one in await recent(connection)] == [DELIVERY_DEAD, "test.happened"]


async def test_cancelling_leaves_an_interrupted_delivery_pending_and_it_is_made_later(store: Store) -> None:
    entered = asyncio.Event()
    seen: list[Event] = []

    async def hang(event: Event) -> None:
        seen.append(event)
        entered.set()
        await asyncio.sleep(3600)

    async with delivering(store, Subscription(name="a", kinds=("*",), handler=hang)):
        await emit(store, "x")
        await asyncio.wait_for(entered.wait(), LIMIT_SECONDS)
    assert await states(store) == {("a", "x"): "pending"}
    receiver = Receiver()
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver)):
        await until(lambda: len(receiver.got) == 1)
    assert receiver.got == seen  # the same id: the receiver can tell the repetition


async def test_a_stop_right_after_the_handler_does_not_send_twice(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = asyncio.Event()

    async def slow(*arguments: Any) -> None:
        recording.set()
        await asyncio.sleep(0.2)
        await record(*arguments)

    monkeypatch.setattr("dbre.core.events.delivery.record", slow)
    receiver = Receiver()
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver)):
        await emit(store, "x")
        await asyncio.wait_for(recording.wait(), LIMIT_SECONDS)
    assert receiver.subjects == ["x"]
    assert await states(store) == {("a", "x"): "delivered"}


async def test_a_stop_does_not_wait_for_ever_for_a_store_in_trouble(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = asyncio.Event()

    async def refuse(*_: Any) -> None:
        recording.set()
        raise StoreFull("full")

    monkeypatch.setattr("dbre.core.events.delivery.record", refuse)
    monkeypatch.setattr("dbre.core.events.delivery._FAREWELL_SECONDS", 0.1)
    async with asyncio.timeout(LIMIT_SECONDS):
        async with delivering(store, Subscription(name="a", kinds=("*",), handler=Receiver())):
            await emit(store, "x")
            await recording.wait()
    assert await states(store) == {("a", "x"): "pending"}


async def test_a_crash_between_the_handler_and_its_mark_delivers_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Receiver(), Receiver()

    async def crash(*_: object) -> None:
        raise SystemError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr("dbre.core.events.delivery.record", crash)
        await emit(store, "x")
        await _register_and_fan_out(store, "a")
        with pytest.raises(BaseExceptionGroup):
            await EventDelivery(store, [Subscription(name="a", kinds=("*",), handler=first)], CLOCK).run()
    assert first.subjects == ["x"]
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=second)):
        await until(lambda: bool(second.got))
    assert second.got == first.got


async def _register_and_fan_out(store: Store, name: str) -> None:
    await fan_out(store, [Subscription(name=name, kinds=("*",), handler=Receiver())])


@pytest.mark.parametrize("trouble", [StoreBusy("locked"), StoreFull("full"), StoreError("odd")])
async def test_a_store_in_trouble_is_waited_for_and_the_handler_is_not_called_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch, trouble: StoreError
) -> None:
    receiver, refusals = Receiver(), 3

    async def sometimes(*arguments: Any) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise trouble
        await record(*arguments)

    monkeypatch.setattr("dbre.core.events.delivery.record", sometimes)
    monkeypatch.setattr("dbre.core.events.delivery._STORE_WAIT_SECONDS", 0.01)
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver)):
        await emit(store, "x")
        await until(lambda: _is(store, ("a", "x"), "delivered"))
    assert receiver.calls == 1


async def test_a_lost_control_plane_ends_the_delivery(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: object) -> None:
        raise ControlPlaneLockLost("lost")

    monkeypatch.setattr("dbre.core.events.delivery.record", lost)
    await emit(store, "x")
    wanted = Subscription(name="a", kinds=("*",), handler=Receiver())
    with pytest.raises(ControlPlaneLockLost):
        await asyncio.wait_for(EventDelivery(store, [wanted], CLOCK).run(), LIMIT_SECONDS)


async def test_a_wall_clock_that_was_set_back_does_not_hold_a_delivery_up(store: Store) -> None:
    clock, receiver = FakeClock(), Receiver(failures=1)
    wanted = Subscription(name="a", kinds=("*",), handler=receiver, backoff=Backoff(base_seconds=60, cap_seconds=60))
    async with delivering(store, wanted, clock=clock, poll_seconds=1):
        await until(lambda: _registered(store))
        await emit(store, "x")
        await until(lambda: receiver.calls == 1)
        await until(lambda: _has_failed(store))
        clock.step_wall(-7 * 86_400)

        async def arrived() -> bool:
            await clock.advance(1)
            return bool(receiver.got)

        await until(arrived)


async def _has_failed(store: Store) -> bool:
    async with store.read() as connection:
        return bool(await deliveries(connection, failed=True))


async def test_two_subscriptions_of_one_name_are_refused(store: Store) -> None:
    one = Subscription(name="a", kinds=("*",), handler=Receiver())
    with pytest.raises(ValueError, match="share a name"):
        EventDelivery(store, [one, one], CLOCK)
