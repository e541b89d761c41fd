"""The promises of a store, kept alike by SQLite and PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from dbre.core.errors import DbreError
from dbre.core.store import AutoKey, Identifier, JsonText, SafeText, Store, UtcDateTime, announce
from dbre.core.store import metadata as shared
from dbre.core.store.errors import ConstraintViolated, StoreTimeout

scratch = MetaData()
counter = Table(
    "scratch_counter",
    scratch,
    Column("name", String(40), primary_key=True),
    Column("zone", String(40), primary_key=True),
    Column("good", BigInteger, nullable=False),
    Column("note", String(200)),
)
things = Table(
    "scratch_things",
    scratch,
    Column("key", AutoKey, primary_key=True, autoincrement=True),
    Column("id", Identifier),
    Column("at", UtcDateTime),
    Column("data", JsonText),
    Column("name", SafeText),
    Column("number", Integer),
)


@pytest.fixture
async def scratch_store(store: Store) -> Store:
    async with store.begin() as connection:
        await connection.run_sync(scratch.create_all)
    return store


async def _names(store: Store) -> list[str]:
    async with store.read() as connection:
        return list((await connection.execute(select(counter.c.name).order_by(counter.c.name))).scalars())


def _row(name: str, good: int = 1, note: str | None = None) -> dict[str, object]:
    return {"name": name, "zone": "z", "good": good, "note": note}


async def test_a_transaction_is_committed_as_a_whole_or_not_at_all(scratch_store: Store) -> None:
    async with scratch_store.begin() as connection:
        await connection.execute(insert(counter), [_row("kept")])

    async def fail() -> None:
        async with scratch_store.begin() as connection:
            await connection.execute(insert(counter), [_row("gone")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert await _names(scratch_store) == ["kept"]


async def test_writers_in_one_process_take_turns_and_lose_no_update(scratch_store: Store) -> None:
    await scratch_store.insert_or_update(counter, [_row("sum", 0)], keys=["name", "zone"])

    async def add_one() -> None:
        async with scratch_store.begin() as connection:
            value = (await connection.execute(select(counter.c.good))).scalar_one()
            await asyncio.sleep(0)  # where two writers at once would both have read the old value
            await connection.execute(update(counter).values(good=value + 1))

    await asyncio.gather(*(add_one() for _ in range(40)))
    async with scratch_store.read() as connection:
        assert (await connection.execute(select(counter.c.good))).scalar_one() == 40


async def test_writers_of_two_processes_take_turns_and_lose_no_update(scratch_store: Store, place) -> None:
    await scratch_store.insert_or_update(counter, [_row("sum", 0)], keys=["name", "zone"])
    async with place.open() as other:

        async def add_one(store: Store) -> None:
            async with store.begin() as connection:
                value = (await connection.execute(select(counter.c.good))).scalar_one()
                await asyncio.sleep(0.001)
                await connection.execute(update(counter).values(good=value + 1))

        await asyncio.gather(*(add_one(one) for one in (scratch_store, other) * 15))
    async with scratch_store.read() as connection:
        assert (await connection.execute(select(counter.c.good))).scalar_one() == 30


async def test_reads_neither_wait_for_a_writer_nor_see_its_unfinished_work(scratch_store: Store) -> None:
    await scratch_store.insert_or_update(counter, [_row("before")], keys=["name", "zone"])
    async with scratch_store.begin() as connection:
        await connection.execute(insert(counter), [_row("later")])
        async with asyncio.timeout(5):
            assert await _names(scratch_store) == ["before"]
    assert await _names(scratch_store) == ["before", "later"]


async def test_a_read_is_one_snapshot_from_its_first_statement_to_its_last(scratch_store: Store) -> None:
    async with scratch_store.read() as connection:
        count = select(func.count()).select_from(counter)
        assert (await connection.execute(count)).scalar_one() == 0
        await scratch_store.insert_or_update(counter, [_row("meanwhile")], keys=["name", "zone"])
        assert (await connection.execute(count)).scalar_one() == 0


async def test_a_read_cannot_write(scratch_store: Store) -> None:
    with pytest.raises(DbreError, match=r"read-only|takes no writes"):
        async with scratch_store.read() as connection:
            await connection.execute(insert(counter), [_row("smuggled")])
    assert await _names(scratch_store) == []


async def test_many_readers_at_once_all_get_an_answer(scratch_store: Store) -> None:
    answers = await asyncio.gather(*(_names(scratch_store) for _ in range(60)))
    assert answers == [[]] * 60


async def test_begin_inside_begin_is_an_error_and_not_a_deadlock(store: Store) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="hand the connection on"):
            async with store.begin(), store.begin():
                pass
        async with store.begin() as connection:  # and the store is as good as before
            await connection.execute(text("SELECT 1"))


async def test_a_cancelled_transaction_leaves_nothing_behind_and_frees_the_writer(scratch_store: Store) -> None:
    inside = asyncio.Event()

    async def forever() -> None:
        async with scratch_store.begin() as connection:
            await connection.execute(insert(counter), [_row("gone")])
            inside.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(forever())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(5):
        await scratch_store.insert_or_update(counter, [_row("next")], keys=["name", "zone"])
    assert await _names(scratch_store) == ["next"]


async def test_a_statement_that_was_cancelled_holds_no_lock_while_its_traceback_is_looked_at(scratch_store: Store) -> None:
    many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
    statement = text(f"INSERT INTO scratch_counter (name, zone, good) {many} SELECT 'n' || i, 'z', i FROM n RETURNING name")

    async def write_and_write_again_on_the_way_out() -> None:
        try:
            async with scratch_store.begin() as connection:
                await connection.execute(statement)
        except asyncio.CancelledError:  # its traceback refers to the statement, as that of a stopping control plane does
            await scratch_store.insert_or_update(counter, [_row("next")], keys=["name", "zone"])
            raise

    task = asyncio.create_task(write_and_write_again_on_the_way_out())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _names(scratch_store) == ["next"]


async def test_a_transaction_that_takes_too_long_is_stopped(scratch_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.core.store.store.WRITE_SECONDS", 0.2)

    async def dawdle() -> None:
        async with scratch_store.begin() as connection:
            await connection.execute(insert(counter), [_row("gone")])
            await asyncio.sleep(30)

    with pytest.raises(StoreTimeout, match=r"after 0\.2 s, the longest"):
        await dawdle()
    assert await _names(scratch_store) == []


async def test_a_statement_that_takes_too_long_is_stopped_in_the_database_too(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.core.store.store.READ_SECONDS", 0.3)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000000000) SELECT count(*) FROM n"
    async with asyncio.timeout(20):
        with pytest.raises(StoreTimeout):
            async with store.read() as connection:
                await connection.execute(text(endless))
        async with store.read() as connection:
            assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_timeout_of_the_callers_own_stays_the_callers(store: Store) -> None:
    with pytest.raises(TimeoutError) as caught:
        async with store.begin(), asyncio.timeout(0.01):
            await asyncio.sleep(30)
    assert not isinstance(caught.value, DbreError)


async def test_a_violated_constraint_is_one_clear_error_without_the_values(scratch_store: Store) -> None:
    async def insert_twice() -> None:
        async with scratch_store.begin() as connection:
            for _ in range(2):
                await connection.execute(insert(counter), [_row("s3cret", note="s3cret")])

    with pytest.raises(ConstraintViolated) as caught:
        await insert_twice()
    assert "s3cret" not in str(caught.value)
    cause = caught.value.__cause__
    assert isinstance(cause, IntegrityError)
    assert "parameters hidden" in str(cause)
    assert caught.value.code == "store.constraint_violated"


async def test_upsert_replaces_adds_and_applies_repeated_keys_in_order(scratch_store: Store) -> None:
    keys = ["name", "zone"]
    await scratch_store.insert_or_update(counter, [_row("a", 5, "old"), _row("b", 1)], keys=keys, add=["good"])
    await scratch_store.insert_or_update(
        counter, [_row("a", 2, "mid"), _row("a", 3, "new"), _row("c", 7)], keys=keys, add=["good"]
    )
    async with scratch_store.read() as connection:
        rows = (await connection.execute(select(counter.c.name, counter.c.good, counter.c.note).order_by("name"))).all()
    assert [tuple(row) for row in rows] == [("a", 10, "new"), ("b", 1, None), ("c", 7, None)]


async def test_upsert_of_keys_alone_and_of_nothing(scratch_store: Store) -> None:
    await scratch_store.insert_or_update(counter, [], keys=["name", "zone"])
    await scratch_store.insert_or_update(counter, [_row("a")], keys=["name", "zone", "good", "note"][:2])
    async with scratch_store.begin() as connection:
        await connection.execute(text("CREATE TABLE scratch_keys (a INTEGER PRIMARY KEY)"))
    keys_only = Table("scratch_keys", MetaData(), Column("a", Integer, primary_key=True))
    for _ in range(2):
        await scratch_store.insert_or_update(keys_only, [{"a": 1}, {"a": 2}], keys=["a"])
    async with scratch_store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(keys_only))).scalar_one() == 2


async def test_upsert_refuses_rows_of_different_shapes(scratch_store: Store) -> None:
    with pytest.raises(ValueError, match="differ in their columns"):
        await scratch_store.insert_or_update(counter, [_row("a"), {"name": "b", "zone": "z"}], keys=["name", "zone"])
    with pytest.raises(ValueError, match=r"lack \['bad'\]"):
        await scratch_store.insert_or_update(counter, [_row("a")], keys=["name", "zone"], add=["bad"])


HOSTILE = 'O\'Brien "x"; DROP TABLE t; --\n\t\x1b[2J<script>alert(1)</script>&amp;\u202e\U0001f9e8 100%_\\'


async def test_values_survive_the_round_trip(scratch_store: Store) -> None:
    moment = datetime(2026, 3, 29, 3, 30, 0, 123456, tzinfo=timezone(timedelta(hours=2)))
    value = {"text": HOSTILE + "\x00\ud800", "number": 2**63 - 1, "ratio": 0.1, "list": [None, True, {}], "ä": "ö"}
    row = {"id": UUID(int=7), "at": moment, "data": value, "name": HOSTILE, "number": 1}
    async with scratch_store.begin() as connection:
        await connection.execute(insert(things), row)
        await connection.execute(insert(things), {"name": "before 1970", "at": datetime(1, 1, 1, tzinfo=UTC)})
    async with scratch_store.read() as connection:
        found = (await connection.execute(select(things).where(things.c.name == HOSTILE))).one()
        old = (await connection.execute(select(things.c.at, things.c.data).where(things.c.name == "before 1970"))).one()
    assert (found.id, found.at, found.data, found.name) == (UUID(int=7), moment, value, HOSTILE)
    assert found.at.tzinfo is UTC
    assert tuple(old) == (datetime(1, 1, 1, tzinfo=UTC), None)


async def test_text_that_no_utf8_column_can_hold_is_replaced_and_still_found(scratch_store: Store) -> None:
    async with scratch_store.begin() as connection:
        await connection.execute(insert(things), {"name": "a\x00b\ud800c"})
    async with scratch_store.read() as connection:
        found = (await connection.execute(select(things.c.name).where(things.c.name == "a\x00b\ud800c"))).scalar_one()
    assert found == "a\ufffdb\ufffdc"


@pytest.mark.parametrize("bad", [{"at": datetime(2026, 1, 1)}, {"data": float("nan")}, {"data": object()}])  # noqa: DTZ001 (the point)
async def test_values_that_mean_nothing_are_refused(scratch_store: Store, bad: dict[str, object]) -> None:
    with pytest.raises(Exception, match=r"no time zone|not JSON compliant|not JSON serializable"):
        async with scratch_store.begin() as connection:
            await connection.execute(insert(things), bad)


async def test_announcements_come_after_the_commit_and_never_after_a_rollback(scratch_store: Store) -> None:
    signal = scratch_store.listen("topic")

    async def fail() -> None:
        async with scratch_store.begin() as connection:
            announce(connection, "topic")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with scratch_store.begin() as connection:
        await connection.execute(text("SELECT 1"))
    assert not signal.is_set()  # the pooled connection has forgotten the note of the rolled-back transaction
    async with scratch_store.begin() as connection:
        announce(connection, "topic")
        assert not signal.is_set()
    assert signal.is_set()


def test_every_constraint_of_the_shared_metadata_is_named() -> None:
    for table in shared.tables.values():
        for constraint in table.constraints:
            assert constraint.name, f"{table.name}: {constraint}"
