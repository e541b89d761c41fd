"""Looking back, delivering again, forgetting."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from event_kit import CLOCK, Receiver, delivering, emit, states, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.event import listens_for

from dbre.core.errors import UsageError
from dbre.core.events import (
    EventDelivery,
    EventLog,
    ReplaySelection,
    Subscription,
    prune,
    recent,
    replay,
    require_subscription,
    subscriptions,
)
from dbre.core.events.attempt import next_pending
from dbre.core.events.fan_out import fan_out, has_new_events
from dbre.core.events.tables import delivery, event
from dbre.core.store import Store

HOSTILE = 'O\'Brien "x"; DROP TABLE event; --\n\t\x1b[2J<script>alert(1)</script>&amp;\u202e\U0001f9e8 100%_\\'


def _subscription(name: str = "a", *kinds: str) -> Subscription:
    return Subscription(name=name, kinds=kinds or ("*",), handler=Receiver())


async def _all_pending_again(store: Store, selection: ReplaySelection, name: str = "a") -> int:
    async with store.begin() as connection:
        return await replay(connection, name, selection)


@pytest.mark.parametrize("kind", ["", "slo", "Slo.fired", "slo..x", "slo.x ", "slo.x\n", "slo.é", ".x", "a." + "b" * 100])
async def test_a_kind_that_is_not_dotted_lower_case_is_refused(store: Store, kind: str) -> None:
    with pytest.raises(ValueError, match="not a kind of event"):
        await emit(store, "x", kind=kind)


async def test_hostile_names_survive_the_round_trip(store: Store) -> None:
    (emitted,) = await emit(store, HOSTILE, data={HOSTILE: HOSTILE + "\x00\ud800"})
    async with store.read() as connection:
        (found,) = await recent(connection, subject=HOSTILE)
    assert found == emitted
    assert found.subject == HOSTILE
    assert found.data == {HOSTILE: HOSTILE + "\x00\ud800"}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(), max_size=40))
async def test_the_event_that_emit_gives_is_the_one_that_is_stored(store: Store, subject: str) -> None:
    (emitted,) = await emit(store, subject, data={"subject": subject})
    async with store.read() as connection:
        found = (await recent(connection, 1))[0]
    assert found == emitted
    assert found.data == {"subject": subject}


async def test_recent_pages_backwards_and_filters(store: Store) -> None:
    await emit(store, *(f"{number}" for number in range(5)))
    await emit(store, "0", kind="slo.alert_fired")
    await emit(store, "0", kind="slow.down")
    async with store.read() as connection:
        everything = await recent(connection)
        assert [one.sequence for one in everything] == sorted((one.sequence for one in everything), reverse=True)
        page = await recent(connection, 3)
        assert [*page, *await recent(connection, 100, before=page[-1].sequence)] == everything
        assert {one.kind for one in await recent(connection, kind="slo.*")} == {"slo.alert_fired"}
        assert {one.kind for one in await recent(connection, kind="slow.down")} == {"slow.down"}
        assert len(await recent(connection, subject="0")) == 3
        assert await recent(connection, since=CLOCK.now() + timedelta(minutes=1)) == []


async def test_fan_out_misses_no_event_that_becomes_visible_late(store: Store) -> None:
    """On PostgreSQL a smaller sequence may be committed after a larger one; here it is inserted so."""
    await emit(store, "one", "two")
    async with store.begin() as connection:
        await connection.execute(update(event).where(event.c.subject == "two").values(sequence=1_000_000))
    assert await fan_out(store, [_subscription()]) == {"a"}
    async with store.begin() as connection:
        late = (await EventLog(CLOCK).emit(connection, kind="test.happened", subject="late")).sequence
        await connection.execute(update(event).where(event.c.sequence == late).values(sequence=500))
    assert await fan_out(store, [_subscription()]) == {"a"}
    assert set(await states(store)) == {("a", "one"), ("a", "two"), ("a", "late")}


async def test_fan_out_of_more_than_one_batch_makes_every_delivery_once(store: Store) -> None:
    await emit(store, *(f"{number}" for number in range(1203)))
    await fan_out(store, [_subscription("a"), _subscription("b", "none.*")])
    await fan_out(store, [_subscription("a"), _subscription("b")])
    async with store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(delivery))).scalar_one() == 1203


async def test_replay_delivers_chosen_events_again_in_order_with_the_same_ids(store: Store) -> None:
    receiver = Receiver()
    async with delivering(store, Subscription(name="a", kinds=("*",), handler=receiver), poll_seconds=0.05):
        events = await emit(store, "0", "1", "2", "3")
        await until(lambda: len(receiver.got) == 4)
        assert await _all_pending_again(store, ReplaySelection(ids=(events[2].id, events[0].id, uuid4()))) == 2
        await until(lambda: len(receiver.got) == 6)
        assert receiver.got[4:] == [events[0], events[2]]
        assert await _all_pending_again(store, ReplaySelection(kind="test.*", since=CLOCK.now() - timedelta(hours=1))) == 4
        await until(lambda: len(receiver.got) == 10)
    assert await _all_pending_again(store, ReplaySelection(since=CLOCK.now() + timedelta(hours=1))) == 0


async def test_replay_of_the_dead_only(store: Store) -> None:
    await emit(store, "0", "1", "2")
    await fan_out(store, [_subscription()])
    async with store.begin() as connection:
        dead = select(event.c.sequence).where(event.c.subject != "1")
        await connection.execute(update(delivery).where(delivery.c.sequence.in_(dead)).values(state="dead", attempts=60))
        await connection.execute(update(delivery).where(delivery.c.sequence.not_in(dead)).values(state="delivered"))
    assert await _all_pending_again(store, ReplaySelection(only_dead=True)) == 2
    assert await states(store) == {("a", "0"): "pending", ("a", "1"): "delivered", ("a", "2"): "pending"}


async def test_replay_gives_a_new_subscription_the_events_from_before_its_time(store: Store) -> None:
    await emit(store, "0", "1")
    await fan_out(store, [])
    receiver = Receiver()
    async with delivering(store, Subscription(name="new", kinds=("*",), handler=receiver), poll_seconds=0.05):
        await _all_pending_again(store, ReplaySelection(kind="test.happened"), "new")
        await until(lambda: receiver.subjects == ["0", "1"])


async def test_replay_gives_a_subscription_nothing_that_it_does_not_want(store: Store) -> None:
    wanted = Subscription(name="a", kinds=("test.*", "other.wanted"), handler=Receiver())
    await EventDelivery(store, [wanted], CLOCK)._register()
    await emit(store, "0")
    await emit(store, "1", kind="other.wanted")
    (unwanted,) = await emit(store, "2", kind="other.unwanted")
    assert await _all_pending_again(store, ReplaySelection(since=CLOCK.now() - timedelta(hours=1))) == 2
    assert await _all_pending_again(store, ReplaySelection(ids=(unwanted.id,))) == 0
    assert await states(store) == {("a", "0"): "pending", ("a", "1"): "pending"}


async def test_subscriptions_are_known_to_others_with_what_waits_for_them(store: Store) -> None:
    (first, _) = await emit(store, "0", "1")
    wanted = [_subscription("pager", "test.*"), _subscription("idle", "none.*")]
    await EventDelivery(store, wanted, CLOCK)._register()
    await fan_out(store, wanted)
    async with store.read() as connection:
        idle, pager = await subscriptions(connection)
        assert (idle.name, idle.kinds, idle.pending_count, idle.oldest_pending_at) == ("idle", ("none.*",), 0, None)
        assert (pager.name, pager.pending_count, pager.dead_count) == ("pager", 2, 0)
        assert pager.oldest_pending_at == first.at
        await require_subscription(connection, "pager")
        with pytest.raises(UsageError, match="'pagr'") as caught:
            await require_subscription(connection, "pagr")
    assert caught.value.hint == "did you mean pager?"
    await EventDelivery(store, wanted[:1], CLOCK)._register()
    async with store.read() as connection:
        assert [one.name for one in await subscriptions(connection)] == ["pager"]


async def test_pruning_forgets_what_is_old_and_delivered_and_nothing_else(store: Store) -> None:
    await emit(store, "old", "waiting", "orphan", "new")
    await fan_out(store, [_subscription("a"), _subscription("gone")])
    old = CLOCK.now() - timedelta(days=100)
    async with store.begin() as connection:
        await connection.execute(update(event).where(event.c.subject != "new").values(at=old))
        waiting = select(event.c.sequence).where(event.c.subject == "waiting")
        orphan = select(event.c.sequence).where(event.c.subject == "orphan")
        await connection.execute(update(delivery).where(delivery.c.sequence.not_in(waiting)).values(state="delivered"))
        pending = update(delivery).where(delivery.c.sequence.in_(orphan), delivery.c.subscription == "gone")
        await connection.execute(pending.values(state="pending"))
    await emit(store, "unseen")
    async with store.begin() as connection:
        await connection.execute(update(event).where(event.c.subject == "unseen").values(at=old))
    assert await prune(store, before=CLOCK.now() - timedelta(days=90), subscriptions=["a"]) == 2
    async with store.read() as connection:
        assert {one.subject for one in await recent(connection)} == {"waiting", "new", "unseen"}
        kept = (await connection.execute(select(func.count()).select_from(delivery))).scalar_one()
        assert kept == 4  # the deliveries went with their events


async def test_a_sequence_is_never_used_again_after_pruning(store: Store) -> None:
    (last,) = await emit(store, "x")
    await fan_out(store, [])
    assert await prune(store, before=CLOCK.now() + timedelta(days=1), subscriptions=[]) == 1
    (next_,) = await emit(store, "y")
    assert next_.sequence > last.sequence


async def test_pruning_happens_by_itself_and_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.core.events.retention._BATCH", 2)
    await emit(store, *"abcde")
    await fan_out(store, [])
    async with store.begin() as connection:
        await connection.execute(update(event).values(at=CLOCK.now() - timedelta(days=2)))
    await emit(store, "kept")

    async def is_pruned() -> bool:
        async with store.read() as connection:
            return [one.subject for one in await recent(connection)] == ["kept"]

    async with delivering(store, _subscription(), retention=timedelta(days=1)):
        await until(is_pruned)


async def test_the_statements_of_the_loop_use_indexes(file_place) -> None:
    """A store with years of events must not be read from end to end once a second; PostgreSQL has the same indexes."""
    sent: list[tuple[str, Any]] = []
    async with file_place.open(migrate=True) as store:
        await emit(store, "x")
        for engine in (store._reader, store._writer):

            @listens_for(engine.sync_engine, "before_cursor_execute")
            def note(_connection, _cursor, statement, parameters, _context, _many) -> None:
                sent.append((statement, parameters))

        assert await has_new_events(store)
        await fan_out(store, [_subscription()])
        await next_pending(store, "a")
        selects = [one for one in sent if one[0].startswith("SELECT")]
        assert len(selects) == 3
        async with store.read() as connection:
            for statement, parameters in selects:
                plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
                assert "INDEX" in plan[0].detail, plan
                assert all("TEMP B-TREE" not in row.detail for row in plan), plan
