"""Works of many callers in one commit: each succeeds, fails or is cancelled alone."""

import asyncio
import contextvars
import sqlite3
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.store import Store, announce
from dbre.core.store import store as store_module
from dbre.core.store.errors import ControlPlaneLockLost, StoreError, StoreFull, StoreTimeout
from dbre.core.store.group_commit import LARGEST_GROUP
from dbre.core.store.notes import defer

marks = Table("group_marks", MetaData(), Column("name", String(40), primary_key=True), Column("number", Integer))
trace: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="nobody's")
Work = Callable[[AsyncConnection], Awaitable[str]]


class LeaseGone(BaseException):
    """What no handler may catch."""


@pytest.fixture
async def commits(store: Store) -> list[str]:
    """What the observer heard since the table was made: ``committed`` or ``failed`` for each transaction."""
    async with store.begin() as connection:
        await connection.run_sync(marks.metadata.create_all)
    heard: list[str] = []
    store.write_observer = lambda outcome, _seconds: heard.append(outcome)
    return heard


def put(name: str, error: BaseException | None = None) -> Work:
    async def work(connection: AsyncConnection) -> str:
        await connection.execute(insert(marks), {"name": name, "number": 1})
        if error is not None:
            raise error
        return name

    return work


async def names(store: Store) -> list[str]:
    async with store.read() as connection:
        return list((await connection.execute(select(marks.c.name).order_by(marks.c.name))).scalars())


class Held:
    """A work that keeps its transaction open until it is told to go on, so that others queue behind it."""

    def __init__(self, store: Store) -> None:
        self.begun, self._may_end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(store.grouped(self._work))

    async def _work(self, _connection: AsyncConnection) -> None:
        self.begun.set()
        await self._may_end.wait()

    def release(self) -> None:
        self._may_end.set()

    async def queue(self, *works: Awaitable[object]) -> list[asyncio.Task[object]]:
        """Have these wait together; they are in one transaction after this one."""
        await self.begun.wait()
        # Longer than a running group takes in others: these must be in the next one.
        await asyncio.sleep(0.02)
        tasks = [asyncio.ensure_future(one) for one in works]
        await asyncio.sleep(0)
        return tasks


async def test_works_that_wait_together_share_one_commit_and_get_their_own_results(store: Store, commits: list[str]) -> None:
    held = Held(store)
    tasks = await held.queue(*(store.grouped(put(f"n{number:02}")) for number in range(50)))
    held.release()
    assert await asyncio.gather(*tasks) == [f"n{number:02}" for number in range(50)]
    assert await names(store) == [f"n{number:02}" for number in range(50)]
    assert commits == ["committed", "committed"]


async def test_a_group_has_an_upper_limit(store: Store, commits: list[str]) -> None:
    held = Held(store)
    tasks = await held.queue(*(store.grouped_notes(lambda _: None) for _ in range(LARGEST_GROUP + 1)))
    held.release()
    await asyncio.gather(*tasks)
    assert commits == ["committed"] * 3


@pytest.mark.parametrize(
    "error", [ZeroDivisionError(), LeaseGone(), asyncio.CancelledError()], ids=lambda one: type(one).__name__
)
@pytest.mark.parametrize("turn", [0, 2, 4], ids=["first", "middle", "last"])
async def test_a_failing_work_is_undone_alone(store: Store, commits: list[str], error: BaseException, turn: int) -> None:
    held = Held(store)
    works = [put(f"n{number}", error if number == turn else None) for number in range(5)]
    tasks = await held.queue(*(store.grouped(one) for one in works))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[turn], type(error))
    kept = [f"n{number}" for number in range(5) if number != turn]
    assert [one for number, one in enumerate(found) if number != turn] == kept
    assert await names(store) == kept


async def test_a_database_error_of_one_work_reaches_it_as_a_store_error_and_harms_nobody(
    store: Store, commits: list[str]
) -> None:
    held = Held(store)
    tasks = await held.queue(*(store.grouped(put(name)) for name in ("a", "b", "a", "c")))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[2], StoreError)
    assert isinstance(found[2].__cause__, IntegrityError)
    assert (await names(store), found[0], found[1], found[3]) == (["a", "b", "c"], "a", "b", "c")


async def test_announcements_and_deferred_rows_of_a_failed_work_are_forgotten(store: Store, commits: list[str]) -> None:
    written: list[list[str]] = []

    async def flush(connection: AsyncConnection, items: list[str]) -> None:
        written.append(list(items))
        await connection.execute(insert(marks), [{"name": one, "number": 2} for one in items])

    def work(name: str, *, fails: bool) -> Work:
        async def one(connection: AsyncConnection) -> str:
            announce(connection, name)
            defer(connection, flush, [name])
            if fails:
                raise ZeroDivisionError
            return name

        return one

    signals = {name: store.listen(name) for name in "abcd"}
    held = Held(store)
    tasks = await held.queue(*(store.grouped(work(name, fails=name in "ac")) for name in "abcd"))
    held.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [name for name, signal in signals.items() if signal.is_set()] == ["b", "d"]
    assert (written, await names(store)) == ([["b", "d"]], ["b", "d"])


async def test_a_savepoint_of_a_work_takes_its_notes_back(store: Store, commits: list[str]) -> None:
    async def flush(connection: AsyncConnection, items: list[str]) -> None:
        await connection.execute(insert(marks), [{"name": one, "number": 2} for one in items])

    async with store.begin() as connection:
        defer(connection, flush, ["outer"])
        async with connection.begin_nested():
            defer(connection, flush, ["released"])
        undone = await connection.begin_nested()
        defer(connection, flush, ["undone"])
        async with connection.begin_nested():
            defer(connection, flush, ["undone with it"])
        await undone.rollback()
        defer(connection, flush, ["after"])
    assert await names(store) == ["after", "outer", "released"]


async def test_a_failing_note_harms_nobody(store: Store, commits: list[str]) -> None:
    def bad(_connection: AsyncConnection) -> None:
        raise ZeroDivisionError

    held = Held(store)
    tasks = await held.queue(store.grouped_notes(bad), store.grouped(put("kept")))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert (type(found[0]), found[1], await names(store)) == (ZeroDivisionError, "kept", ["kept"])


async def test_a_commit_that_fails_fails_all_who_shared_it(store: Store, commits: list[str]) -> None:
    async def full(_connection: AsyncConnection, _items: list[str]) -> None:
        raise StoreFull("no space is left", hint="free some")

    async def work(connection: AsyncConnection) -> None:
        defer(connection, full, ["x"])

    held = Held(store)
    tasks = await held.queue(store.grouped(put("a")), store.grouped(work), store.grouped(put("b")))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [(type(one), one.hint) for one in found] == [(StoreFull, "free some")] * 3
    assert len({id(one) for one in found}) == 3  # each has an error of its own: a traceback grows where it is raised
    assert await names(store) == []
    assert await store.grouped(put("next")) == "next"


async def test_a_transaction_that_cannot_begin_fails_all_who_waited_for_it(
    store: Store, commits: list[str], monkeypatch
) -> None:
    class Lost:
        async def verify(self, _connection: AsyncConnection) -> None:
            raise ControlPlaneLockLost("the lock is lost", hint="start again")

    held = Held(store)
    tasks = await held.queue(store.grouped(put("a")), store.grouped(put("b")))
    monkeypatch.setattr(store, "_lease", Lost())
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [ControlPlaneLockLost] * 2
    assert await names(store) == []


async def test_who_is_cancelled_while_waiting_has_done_nothing(store: Store, commits: list[str]) -> None:
    held = Held(store)
    tasks = await held.queue(*(store.grouped(put(name)) for name in "abc"))
    tasks[1].cancel()
    await asyncio.sleep(0)
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert (found[0], type(found[1]), found[2]) == ("a", asyncio.CancelledError, "c")
    assert await names(store) == ["a", "c"]


@pytest.mark.parametrize("turn", [0, 1], ids=["first", "second"])
async def test_who_is_cancelled_while_its_work_runs_hears_of_it_after_the_commit(
    store: Store, commits: list[str], turn: int
) -> None:
    running, may_end = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> str:
        await put("slow")(connection)
        running.set()
        await may_end.wait()
        return "slow"

    heard: list[str] = []

    async def caller(work: Work) -> str:
        try:
            return await store.grouped(work)
        except asyncio.CancelledError as cancelled:
            heard.extend(cancelled.__notes__)
            raise

    held = Held(store)
    works: list[Work] = [put("a"), put("b")]
    works.insert(turn, slow)
    tasks = await held.queue(*(caller(one) for one in works))
    held.release()
    await running.wait()
    for _ in range(3):  # an impatient one
        tasks[turn].cancel()
        await asyncio.sleep(0.01)
    assert not tasks[turn].done()
    may_end.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for number, one in enumerate(found) if number != turn] == ["a", "b"]
    assert isinstance(found[turn], asyncio.CancelledError)
    assert heard == ["the write was committed"]
    assert await names(store) == ["a", "b", "slow"]


async def test_a_time_limit_of_the_caller_does_not_end_the_transaction_of_the_others(store: Store, commits: list[str]) -> None:
    async def impatient() -> str:
        async with asyncio.timeout(0.05):
            return await store.grouped(slow)

    async def slow(connection: AsyncConnection) -> str:
        await asyncio.sleep(0.2)
        raise ZeroDivisionError

    held = Held(store)
    tasks = await held.queue(store.grouped(put("a")), impatient(), store.grouped(put("b")))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert (found[0], found[2]) == ("a", "b")
    assert isinstance(found[1], TimeoutError)
    assert isinstance(found[1].__cause__.__cause__, ZeroDivisionError)  # what became of its work is not lost
    assert await names(store) == ["a", "b"]


async def test_a_work_that_hangs_is_stopped_with_its_transaction(store: Store, commits: list[str], monkeypatch) -> None:
    monkeypatch.setattr(store_module, "WRITE_SECONDS", 0.3)

    async def hang(_connection: AsyncConnection) -> None:
        await asyncio.sleep(3600)

    held = Held(store)
    tasks = await held.queue(store.grouped(put("a")), store.grouped(hang))
    held.release()
    async with asyncio.timeout(10):
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [StoreTimeout] * 2
    assert await names(store) == []
    assert await store.grouped(put("next")) == "next"


async def test_a_work_runs_in_the_context_of_its_caller(store: Store, commits: list[str]) -> None:
    async def caller(name: str) -> tuple[str, str]:
        trace.set(name)

        async def work(_connection: AsyncConnection) -> str:
            return trace.get()

        return name, await store.grouped(work)

    found = await asyncio.gather(*(caller(f"t{number}") for number in range(20)))
    assert all(name == seen for name, seen in found)


async def test_a_transaction_inside_a_work_is_an_error_and_not_a_deadlock(store: Store, commits: list[str]) -> None:
    async def begins(_connection: AsyncConnection) -> None:
        async with store.begin():
            pass

    async def groups(_connection: AsyncConnection) -> None:
        await store.grouped(put("inner"))

    async with asyncio.timeout(10):
        for work in (begins, groups):
            with pytest.raises(RuntimeError, match="hand the connection on"):
                await store.grouped(work)
        with pytest.raises(RuntimeError, match="hand the connection on"):
            async with store.begin():
                await store.grouped(put("inner"))
        assert await store.grouped(put("next")) == "next"


async def test_a_note_outside_a_write_transaction_is_refused_and_not_lost(store: Store, commits: list[str]) -> None:
    kept: list[AsyncConnection] = []
    async with store.begin() as connection:
        kept.append(connection)
        await connection.execute(text("SELECT 1"))
    async with store.read() as connection:
        with pytest.raises(RuntimeError, match="not in a write transaction"):
            announce(connection, "topic")


async def test_a_server_that_ends_the_session_fails_the_group_and_not_the_next(store: Store, commits: list[str]) -> None:
    if store.dialect != "postgresql":
        pytest.skip("SQLite has no session that another can end")

    async def suicide(connection: AsyncConnection) -> None:
        try:
            await connection.execute(text("SELECT pg_catalog.pg_terminate_backend(pg_catalog.pg_backend_pid())"))
        except DBAPIError:
            return  # a work that goes on as if nothing had happened

    held = Held(store)
    tasks = await held.queue(store.grouped(put("a")), store.grouped(suicide), store.grouped(put("b")))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(one, StoreError) for one in found[:2]), found
    assert await names(store) == (["b"] if found[2] == "b" else [])
    assert await store.grouped(put("next")) == "next"


async def test_sqlite_that_ends_the_transaction_by_itself_fails_the_group(store: Store, commits: list[str], place) -> None:
    if place.path is None:
        pytest.skip("PostgreSQL never does")

    async def overflow(connection: AsyncConnection) -> None:
        await connection.execute(text("PRAGMA max_page_count = 1"))  # as on a full disk
        try:
            await connection.execute(text("CREATE TABLE bulk AS SELECT randomblob(100000) AS data"))
        except DBAPIError:
            return
        finally:
            driver = (await connection.get_raw_connection()).driver_connection
            await driver.execute("PRAGMA max_page_count = 1000000")

    held = Held(store)
    tasks = await held.queue(store.grouped(put("a")), store.grouped(overflow), store.grouped(put("b")))
    held.release()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    acknowledged = sorted(one for one in found if isinstance(one, str))
    assert await names(store) == acknowledged
    with sqlite3.connect(place.path) as other:
        assert other.execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_callers_that_come_again_at_once_share_commits(store: Store, commits: list[str]) -> None:
    async def caller(number: int) -> None:
        for turn in range(10):
            await store.grouped(put(f"{number}-{turn}"))

    await asyncio.gather(*(caller(number) for number in range(20)))
    assert len(await names(store)) == 200
    assert len(commits) < 60  # far fewer than works
