"""What can happen to the server of a PostgreSQL store: each fault is one clear error with its own exit code."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from dbre.core.clock import SystemClock
from dbre.core.errors import ExitCode, StoreError
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.core.store.errors import StoreBusy, StoreDenied, StoreMissing, StoreNotWritable, StoreTimeout, StoreUnreachable
from dbre.core.store.status import inspect_store
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import PostgresPair


@asynccontextmanager
async def _store(server: PostgresServer, **options) -> AsyncIterator[Store]:
    url = f"postgresql://{server.superuser}@{server.address}/postgres"
    async with open_store(url, clock=SystemClock(), password=server.password, **options) as store:
        yield store


async def _ask(store: Store) -> int:
    async with store.read() as connection:
        return (await connection.execute(text("SELECT 1"))).scalar_one()


async def test_nobody_listens() -> None:
    url = f"postgresql://dbre@127.0.0.1:{choose_port()}/state"
    with pytest.raises(StoreUnreachable, match="does not answer") as caught:
        async with open_store(url, clock=SystemClock(), password=Secret("s3cret")):
            pass
    assert caught.value.exit_code is ExitCode.UNREACHABLE
    assert caught.value.retryable
    assert "s3cret" not in repr(caught.value.as_document())
    status = await inspect_store(url)
    assert isinstance(status.problem, StoreUnreachable)


async def test_the_password_is_wrong(postgres15: PostgresServer) -> None:
    url = f"postgresql://{postgres15.superuser}@{postgres15.address}/postgres"
    with pytest.raises(StoreDenied, match="authentication failed") as caught:
        async with open_store(url, clock=SystemClock(), password=Secret("s3cret")):
            pass
    assert caught.value.exit_code is ExitCode.DENIED
    assert "s3cret" not in repr(caught.value.as_document())


async def test_the_database_does_not_exist(postgres15: PostgresServer) -> None:
    url = f"postgresql://{postgres15.superuser}@{postgres15.address}/nowhere"
    with pytest.raises(StoreMissing, match="does not exist"):
        async with open_store(url, clock=SystemClock(), password=postgres15.password, migrate=True):
            pass


async def test_the_user_may_not_make_tables(postgres_place, postgres15: PostgresServer) -> None:
    async with await postgres15.connect() as admin:
        await admin.execute("CREATE ROLE powerless LOGIN PASSWORD 's3cret'")
    try:
        url = postgres_place.url.replace(f"//{postgres15.superuser}@", "//powerless@")
        with pytest.raises(StoreDenied, match="permission denied"):
            async with open_store(url, clock=SystemClock(), password=Secret("s3cret"), migrate=True):
                pass
    finally:
        async with await postgres15.connect() as admin:
            await admin.execute("DROP ROLE powerless")


async def test_a_restarted_server_is_used_again_without_a_word(fresh_postgres: PostgresServer) -> None:
    async with _store(fresh_postgres, migrate=True) as store:
        await asyncio.gather(*(_ask(store) for _ in range(4)))  # several pooled connections, all of them about to die
        await fresh_postgres.kill()
        with pytest.raises(StoreUnreachable):
            await _ask(store)
        await fresh_postgres.start()
        assert await asyncio.gather(*(_ask(store) for _ in range(4))) == [1] * 4
        async with store.begin() as connection:
            await connection.execute(text("SELECT 1"))


async def test_a_server_that_dies_inside_a_transaction_is_one_error(fresh_postgres: PostgresServer) -> None:
    async with _store(fresh_postgres, migrate=True) as store:

        async def write_while_it_dies() -> None:
            async with store.begin() as connection:
                await connection.execute(text("UPDATE event SET kind = kind"))
                await fresh_postgres.kill()
                await connection.execute(text("UPDATE event SET kind = kind"))

        with pytest.raises(StoreUnreachable):
            await write_while_it_dies()


@pytest.mark.slow  # psycopg gives the cancelled statement 10 s to end
async def test_a_frozen_server_costs_the_limit_and_not_for_ever(
    fresh_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbre.core.store.store.READ_SECONDS", 0.5)
    async with _store(fresh_postgres, migrate=True) as store:
        await _ask(store)
        await fresh_postgres.freeze()
        try:
            async with asyncio.timeout(20):
                with pytest.raises(StoreTimeout):
                    await _ask(store)
        finally:
            await fresh_postgres.thaw()
        monkeypatch.undo()
        assert await _ask(store) == 1


@asynccontextmanager
async def _freezing_at(word: bytes, server: PostgresServer) -> AsyncIterator[str]:
    """The URL of a server that answers no more once ``word`` is in what it is asked."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(server.address.host, server.address.port)

        async def ask() -> None:
            while (data := await reader.read(65536)) and word not in data:
                to_server.write(data)
            await ended.wait()

        async def answer() -> None:
            while data := await from_server.read(65536):
                writer.write(data)

        await asyncio.wait({asyncio.ensure_future(ask()), asyncio.ensure_future(answer())}, return_when=asyncio.FIRST_COMPLETED)
        to_server.close()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as proxy:
        try:
            yield f"postgresql://{server.superuser}@127.0.0.1:{proxy.sockets[0].getsockname()[1]}/postgres?sslmode=disable"
        finally:
            ended.set()


@pytest.mark.slow  # psycopg gives the cancelled statement 10 s to end
async def test_a_server_that_freezes_while_the_store_is_opened_costs_the_limit_and_not_for_ever(
    fresh_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _store(fresh_postgres, migrate=True):
        pass
    for module in ("opening", "control_plane", "status"):
        monkeypatch.setattr(f"dbre.core.store.{module}.OPEN_SECONDS", 0.5)
    monkeypatch.setattr("dbre.core.store.migrate.MIGRATE_SECONDS", 0.5)

    async def failure_of(word: bytes, **options: bool) -> StoreError | None:
        async with _freezing_at(word, fresh_postgres) as url:
            if not options:
                return (await inspect_store(url, password=fresh_postgres.password)).problem
            with pytest.raises(StoreError) as caught:
                async with open_store(url, clock=SystemClock(), password=fresh_postgres.password, **options):
                    pass
            return caught.value

    async with asyncio.timeout(40):
        failures = await asyncio.gather(
            failure_of(b"pg_database_size"),
            failure_of(b"dbre_schema", migrate=False),
            failure_of(b"pg_try_advisory_lock", exclusive=True),
            failure_of(b"pg_advisory_xact_lock", migrate=True),
        )
    assert [type(one) for one in failures] == [StoreTimeout] * 4
    assert [one.message.rpartition(": ")[2].split(" was")[0] for one in failures] == [
        "looking at it",
        "opening it",
        "taking the control plane's lock",
        "migrating it",
    ]


async def test_a_writer_that_holds_the_lock_for_too_long_is_named(postgres_place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbre.core.store.postgres.LOCK_WAIT_SECONDS", 0.3)
    async with postgres_place.open(migrate=True) as store, postgres_place.open() as other, other.begin():
        with pytest.raises(StoreBusy, match="locked by another session"):
            async with store.begin():
                pass


async def test_a_replica_takes_no_state(postgres_pair: PostgresPair) -> None:
    async with _store(postgres_pair.primary, migrate=True) as store, store.read() as connection:
        written = (await connection.execute(text("SELECT pg_current_wal_lsn()::text"))).scalar_one()
    async with asyncio.timeout(20), await postgres_pair.replica.connect() as replica:
        behind = "SELECT pg_last_wal_replay_lsn() < %s::pg_lsn"
        while (await (await replica.execute(behind, [written])).fetchone())[0]:  # noqa: ASYNC110 (another process moves)
            await asyncio.sleep(0.05)
    with pytest.raises(StoreNotWritable, match="takes no writes"):
        async with _store(postgres_pair.replica) as store, store.begin() as connection:
            await connection.execute(text("UPDATE event SET kind = kind"))


@pytest.mark.slow
async def test_a_frozen_writer_keeps_others_waiting_for_ten_seconds_and_no_longer(fresh_postgres: PostgresServer) -> None:
    async with _store(fresh_postgres, migrate=True) as store, _store(fresh_postgres) as other:
        waited: list[float] = []

        async def freeze() -> None:
            async with other.begin() as connection:  # as of a process that was stopped: its transaction says nothing more
                waited.append(await _seconds_until_written(store))
                await connection.execute(text("SELECT 1"))

        with pytest.raises(StoreError):
            await freeze()
        assert 8 < waited[0] < 16  # about half of the lease of those who wait


async def _seconds_until_written(store: Store) -> float:
    began = time.monotonic()
    while True:
        try:
            async with store.begin() as connection:
                await connection.execute(text("SELECT 1"))
        except StoreBusy:
            continue
        return time.monotonic() - began
