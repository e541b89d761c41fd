"""The SQLSTATE table against errors that real servers raise."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import psycopg
import pytest

from dbre.core.errors import Denied, Unreachable, Unsupported, UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.facts import SQLSTATES, meaning_of
from dbre.engines.postgres.faults import FAULTS
from dbre.lab.postgres import PostgresServer
from dbre.ports.engine import Access, Blame
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import opened

Connect = Callable[[], Awaitable[psycopg.AsyncConnection]]


@pytest.fixture
async def connect(server: PostgresServer) -> AsyncIterator[Connect]:
    """Superuser sessions that are closed afterwards, dead or alive."""
    opened_ones = []

    async def one() -> psycopg.AsyncConnection:
        connection = await server.connect()
        opened_ones.append(connection)
        return connection

    yield one
    for connection in opened_ones:
        await connection.close()


def judged(error: BaseException) -> tuple[str | None, Blame, bool]:
    verdict = PostgresEngine().classify(error)
    assert verdict is not None
    assert "\n" not in verdict.reason
    return verdict.code, verdict.blame, verdict.retryable


@pytest.mark.parametrize(
    ("statements", "code", "blame", "retryable"),
    [
        (["SELECT FROM nothing"], "42P01", Blame.EXCLUDED, False),
        (["SELEKT"], "42601", Blame.EXCLUDED, False),
        (["SELECT 1 / 0"], "22012", Blame.EXCLUDED, False),
        (["CREATE TEMPORARY TABLE t (i integer UNIQUE)", "INSERT INTO t VALUES (1), (1)"], "23505", Blame.EXCLUDED, False),
        (["DO 'BEGIN RAISE EXCEPTION ''no''; END'"], "P0001", Blame.EXCLUDED, False),
        (["SET ROLE nobody_at_all"], "22023", Blame.EXCLUDED, False),
        (["SET ROLE pg_monitor", "CREATE TABLE public.mine ()"], "42501", Blame.EXCLUDED, False),
        (["SET statement_timeout = '10ms'", "SELECT pg_catalog.pg_sleep(5)"], "57014", Blame.BAD, False),
        (["BEGIN READ ONLY", "CREATE TABLE public.mine ()"], "25006", Blame.BAD, False),
        (["SET temp_file_limit = '64kB'", "SET work_mem = '64kB'",
          "SELECT pg_catalog.max(i) FROM (SELECT i FROM pg_catalog.generate_series(1, 100000) AS i ORDER BY i DESC) AS s"],
         "53400", Blame.BAD, False),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
async def test_errors_of_one_session(
    connect: Connect, statements: list[str], code: str, blame: Blame, *, retryable: bool
) -> None:
    connection = await connect()
    *preparation, failing = statements
    for statement in preparation:
        await connection.execute(statement.encode())
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute(failing.encode())
    assert judged(caught.value) == (code, blame, retryable)


async def test_a_cancel_on_request_is_the_callers_own_doing(connect: Connect) -> None:
    connection, other = await connect(), await connect()
    sleeping = asyncio.create_task(connection.execute("SELECT pg_catalog.pg_sleep(30)"))
    await asyncio.sleep(0.1)
    await other.execute("SELECT pg_catalog.pg_cancel_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(psycopg.errors.QueryCanceled) as caught:
        await sleeping
    assert judged(caught.value) == ("57014", Blame.EXCLUDED, False)


async def test_a_terminated_session_is_bad(connect: Connect) -> None:
    connection, other = await connect(), await connect()
    await other.execute("SELECT pg_catalog.pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute("SELECT 1")
    assert judged(caught.value) == ("57P01", Blame.BAD, True)


@pytest.mark.parametrize(
    ("setting", "begin", "code"),
    [("idle_session_timeout", "SELECT 1", "57P05"), ("idle_in_transaction_session_timeout", "BEGIN", "25P03")],
)
async def test_a_session_ended_for_idleness_is_bad(connect: Connect, setting: str, begin: str, code: str) -> None:
    connection = await connect()
    await connection.execute(f"SET {setting} = '20ms'".encode())
    await connection.execute(begin.encode())
    await asyncio.sleep(0.2)
    with pytest.raises(psycopg.Error) as caught:
        await connection.execute("SELECT 1")
    assert judged(caught.value) == (code, Blame.BAD, True)


async def test_deadlock_lock_timeout_and_serialization_failure_are_bad_and_may_pass(connect: Connect) -> None:
    one, two = await connect(), await connect()
    await one.execute("CREATE TABLE IF NOT EXISTS public.accounts (id integer PRIMARY KEY, balance integer)")
    await one.execute("INSERT INTO public.accounts VALUES (1, 0), (2, 0) ON CONFLICT DO NOTHING")
    update = "UPDATE public.accounts SET balance = balance + 1 WHERE id = %s"

    await one.execute("BEGIN")
    await one.execute(update, [1])
    await two.execute("SET lock_timeout = '20ms'")
    with pytest.raises(psycopg.Error) as locked:
        await two.execute(update, [1])
    assert judged(locked.value) == ("55P03", Blame.BAD, True)

    await two.execute("SET lock_timeout = 0")
    await two.execute("BEGIN")
    await two.execute("SET LOCAL deadlock_timeout = '10ms'")
    await two.execute(update, [2])
    waiting = asyncio.create_task(one.execute(update, [2]))
    await asyncio.sleep(0.1)
    with pytest.raises(psycopg.Error) as deadlock:
        await two.execute(update, [1])
    assert judged(deadlock.value) == ("40P01", Blame.BAD, True)
    await two.execute("ROLLBACK")
    await waiting
    await one.execute("ROLLBACK")

    for session in (one, two):
        await session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        await session.execute("SELECT pg_catalog.sum(balance) FROM public.accounts")
    await one.execute(update, [1])
    await one.execute("COMMIT")
    with pytest.raises(psycopg.Error) as serialization:
        await two.execute(update, [1])
    assert judged(serialization.value) == ("40001", Blame.BAD, True)


@pytest.mark.parametrize(
    ("make_ready", "change", "kind", "code"),
    [
        ("ALTER ROLE refused LOGIN", {"password": "wrong"}, Denied, "28P01"),
        ("ALTER ROLE refused NOLOGIN", {}, Denied, "28000"),
        ("ALTER ROLE refused LOGIN", {"database": 'no "such"\ndatabase'}, Denied, "3D000"),
        ("ALTER ROLE refused LOGIN CONNECTION LIMIT 0", {}, Unreachable, "53300"),
        ("ALTER DATABASE closed CONNECTION LIMIT 0", {"database": "closed"}, Unreachable, "53300"),
        ("ALTER DATABASE closed ALLOW_CONNECTIONS false", {"database": "closed"}, Unreachable, "55000"),
    ],
    ids=["password", "nologin", "database", "role-limit", "database-limit", "no-connections"],
)
async def test_refused_connections_tell_their_sqlstate(
    subject: Subject, make_ready: str, change: dict[str, str], kind: type[Exception], code: str
) -> None:
    """libpq keeps the SQLSTATE of a refused login to itself; the translated message alone would not do."""
    access = await subject.new_login("refused", "s3cret-refused", is_granted=False)
    await subject.new_database("closed")
    async with await subject.server.connect() as admin:
        await admin.execute("ALTER ROLE refused LOGIN CONNECTION LIMIT -1")
        await admin.execute("ALTER DATABASE closed CONNECTION LIMIT -1 ALLOW_CONNECTIONS true")
        await admin.execute(make_ready.encode())
    if "password" in change:
        access = replace(access, password=Secret(change["password"]))
    access = replace(access, database=change.get("database", "postgres"))
    async with opened(subject, access) as handle:
        with pytest.raises(kind) as caught:
            await handle.session.identify()
    assert caught.value.context["sqlstate"] == code
    assert caught.value.message.endswith(f"({code})")
    assert "\n" not in caught.value.message
    verdict = subject.engine.classify(caught.value)
    assert verdict is not None
    assert verdict.code == code


async def test_a_server_that_shuts_down_or_crashes(fresh_postgres: PostgresServer) -> None:
    engine = PostgresEngine()
    bystander, victim = await fresh_postgres.connect(), await fresh_postgres.connect()
    await victim.execute("SELECT 1")
    os.kill(victim.info.backend_pid, signal.SIGKILL)
    with pytest.raises(psycopg.Error) as crashed:
        await asyncio.wait_for(bystander.execute("SELECT pg_catalog.pg_sleep(20)"), 25)
    # Its 57P02 comes as a warning before the socket closes (quickdie() in postgres.c): the error itself has no SQLSTATE.
    assert judged(crashed.value) == (None, Blame.BAD, True)
    assert FAULTS.network_code(crashed.value) == "connection_lost"

    async def until_back() -> psycopg.AsyncConnection:
        while True:
            try:
                return await fresh_postgres.connect()
            except psycopg.OperationalError:
                await asyncio.sleep(0.05)

    last = await asyncio.wait_for(until_back(), 30)
    assert fresh_postgres.pid is not None
    os.kill(fresh_postgres.pid, signal.SIGTERM)  # smart shutdown: waits for the last session
    await asyncio.sleep(0.2)
    handle = engine.connect(fresh_postgres.access())
    with pytest.raises(Unreachable) as stopping:
        await handle.session.identify()
    assert stopping.value.context["sqlstate"] == "57P03"
    assert judged(stopping.value) == ("57P03", Blame.BAD, True)
    await handle.aclose()
    for session in (bystander, victim, last):
        await session.close()


async def test_a_full_server_is_bad(fresh_postgres: PostgresServer) -> None:
    async with await fresh_postgres.connect() as admin:
        await admin.execute("ALTER SYSTEM SET max_connections = 8")
        await admin.execute("CREATE ROLE client LOGIN PASSWORD 's3cret-client'")
    await fresh_postgres.stop()
    await fresh_postgres.start()
    crowd = [await fresh_postgres.connect() for _ in range(8)]
    handle = PostgresEngine().connect(fresh_postgres.access())
    with pytest.raises(Unreachable) as caught:
        await handle.session.identify()
    assert judged(caught.value) == ("53300", Blame.BAD, True)
    for connection in crowd:
        await connection.close()
    await handle.aclose()


def test_the_table_names_each_code_once_and_every_class_of_an_objective() -> None:
    prefixes = [meaning.prefix for meaning in SQLSTATES]
    assert len(prefixes) == len(set(prefixes))
    assert {len(prefix) for prefix in prefixes} == {2, 5}
    for bad in ("08006", "53200", "57P01", "57P05", "58030", "XX001", "40P01", "40001", "55P03", "25006", "28P01"):
        assert meaning_of(bad).blame is Blame.BAD, bad
    for excluded in ("22012", "23505", "42703", "P0001", "3D000", "99999", "25001"):
        assert meaning_of(excluded).blame is Blame.EXCLUDED, excluded


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (TimeoutError(), Unreachable, "timeout"),
        (ConnectionResetError("gone\x1b[2J\n"), Unreachable, "connection_lost"),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL"), UsageError, "client_error"),
        (psycopg.errors.UndefinedFunction("no"), Unsupported, "client_error"),
    ],
)
def test_errors_without_a_server(fresh_access: Access, error: Exception, kind: type, word: str) -> None:
    found = FAULTS.translate(error, fresh_access, limit_seconds=2.0)
    assert type(found) is kind
    assert FAULTS.network_code(error) == word
    assert "\x1b" not in found.message
    assert found.message.startswith("PostgreSQL at 127.0.0.1:5432: ")


def test_a_password_that_a_server_echoes_is_taken_out(fresh_access: Access) -> None:
    found = FAULTS.translate(psycopg.OperationalError("I heard s3cret-echo, s3cret-echo!"), fresh_access)
    assert "s3cret-echo" not in found.message
    assert "***" in found.message


@pytest.fixture
def fresh_access() -> Access:
    return Access(address=Address("127.0.0.1", 5432), user="dbre", password=Secret("s3cret-echo"), database="postgres")
