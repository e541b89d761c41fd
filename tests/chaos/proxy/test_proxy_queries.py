"""Faults of queries on a real PostgreSQL: as many as asked, of those that were asked for, the same ones at every replay."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from proxy_kit import Driver, driver, until
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.slow
QUERIES = 1000


@pytest_asyncio.fixture(loop_scope="session")
async def proxied(postgres15: PostgresServer) -> AsyncIterator[tuple[Driver, str]]:
    given = conninfo_to_dict(postgres15.conninfo(database="postgres"))
    async with driver(seed=7) as proxy:
        host, port = await proxy.proxy("pg", str(postgres15.address), engine="postgresql")
        given = {
            key: value for key, value in given.items() if key not in ("host", "hostaddr", "port", "sslmode", "application_name")
        }
        yield proxy, make_conninfo(**given, host=host, port=port, sslmode="prefer", application_name="shop")


async def connect(conninfo: str, **more: Any) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(conninfo, autocommit=True, **more)


async def failures(conninfo: str, count: int) -> list[int]:
    found = []
    async with await connect(conninfo) as one:
        for number in range(count):
            try:
                row = await (await one.execute("SELECT %s::int", (number,))).fetchone()
                assert row == (number,), "the answer belongs to another query"
            except psycopg.errors.QueryCanceled:
                found.append(number)
    return found


async def test_errors_come_as_often_as_asked_and_replay(proxied: tuple[Driver, str], postgres15: PostgresServer) -> None:
    proxy, conninfo = proxied
    await proxy.toxic("pg", "error", unit="query", toxicity=0.1)
    found = await failures(conninfo, QUERIES)
    assert 55 <= len(found) <= 145, "outside of what chance does once in two hundred thousand runs"
    counts = (await proxy.state("pg"))["counts"]
    assert (counts["queries"], counts["hits"]["error"]) == (QUERIES, len(found))
    async with driver(seed=7) as again:  # the same seed, proxy and number of the connection: the same queries
        host, port = await again.proxy("pg", str(postgres15.address), engine="postgresql")
        await again.toxic("pg", "error", unit="query", toxicity=0.1)
        assert await failures(make_conninfo(conninfo, host=host, port=port), 300) == [one for one in found if one < 300]
    await proxy.remove("pg", "error")
    assert await failures(conninfo, 50) == []


async def test_an_error_has_its_code_and_the_transaction_fails_as_the_server_does_it(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    async with await connect(conninfo) as one, one.cursor() as cursor:
        await cursor.execute("CREATE TEMP TABLE kept (n int)")
        await proxy.toxic("pg", "error", unit="query", match={"regex": "poison"}, code="40001", message="try again")
        await cursor.execute("BEGIN")
        await cursor.execute("INSERT INTO kept VALUES (1)")
        await cursor.execute("SAVEPOINT here")
        with pytest.raises(psycopg.errors.SerializationFailure, match="try again"):
            await cursor.execute("INSERT INTO kept VALUES (2) /* poison */")
        assert one.info.transaction_status is psycopg.pq.TransactionStatus.INERROR
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await cursor.execute("SELECT 1")
        await cursor.execute("ROLLBACK TO here")
        await cursor.execute("COMMIT")
        await cursor.execute("SELECT array_agg(n) FROM kept")
        assert await cursor.fetchone() == ([1],), "the poisoned statement was run, or a good one was lost"


async def test_only_the_chosen_queries_are_late(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    match = {"application": "shop", "class": "write", "database": "postgres"}
    async with await connect(conninfo) as one, await connect(conninfo, application_name="other") as other:
        await one.execute("CREATE TEMP TABLE late (n int)")
        await other.execute("CREATE TEMP TABLE late (n int)")
        await proxy.toxic("pg", "latency", unit="query", match=match, latency=300)
        for connection, text, is_late in (
            (one, "INSERT INTO late VALUES (1)", True),
            (one, "SELECT * FROM late", False),
            (other, "INSERT INTO late VALUES (1)", False),
        ):
            before = await hits(proxy)
            began = time.monotonic()
            await connection.execute(text)
            assert (await hits(proxy) > before) is is_late
            assert not is_late or time.monotonic() - began >= 0.299


async def hits(proxy: Driver) -> int:
    counts = (await proxy.state("pg"))["counts"]
    return sum(counts["hits"].values())


async def has_hit(proxy: Driver, name: str) -> bool:
    return name in (await proxy.state("pg"))["counts"]["hits"]


async def test_prepared_pipelined_and_copied(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    async with await connect(conninfo, prepare_threshold=0) as one:
        await one.execute("CREATE TEMP TABLE copied (n int)")
        await proxy.toxic("pg", "error", unit="query", toxicity=1.0, match={"regex": "poison"})
        for _ in range(3):
            with pytest.raises(psycopg.errors.QueryCanceled):
                await one.execute("SELECT %s::int /* poison */", (1,))
            assert await (await one.execute("SELECT %s::int", (2,))).fetchone() == (2,)
        async with one.cursor() as cursor, cursor.copy("COPY copied FROM STDIN") as copy:
            for number in range(20_000):
                await copy.write_row((number,))
        async with one.cursor() as cursor, cursor.copy("COPY copied TO STDOUT") as copy:
            assert len([row async for row in copy.rows()]) == 20_000
        async with one.pipeline():
            cursors = [await one.execute("SELECT %s::int", (number,)) for number in range(200)]
        assert [(await cursor.fetchone()) for cursor in cursors] == [(number,) for number in range(200)]
        big = "x" * 3_000_000
        assert await (await one.execute("SELECT length(%s::text)", (big,))).fetchone() == (3_000_000,)
        assert (await proxy.connections("pg"))[0]["why_opaque"] == ""


async def test_pipelined_errors_meet_the_right_query(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    await proxy.toxic("pg", "error", unit="query", match={"regex": "poison"})
    async with await connect(conninfo) as one:
        async with one.pipeline() as pipeline:
            first = await one.execute("SELECT 1")
            await pipeline.sync()
            poisoned = await one.execute("SELECT 2 /* poison */")
            with pytest.raises(psycopg.errors.QueryCanceled):
                await finished(pipeline, poisoned)
        assert await first.fetchone() == (1,)
        assert await (await one.execute("SELECT 3")).fetchone() == (3,)


async def finished(pipeline: psycopg.AsyncPipeline, cursor: psycopg.AsyncCursor) -> None:
    await pipeline.sync()
    await cursor.fetchone()


async def test_cancel_and_replication_are_left_alone(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    await proxy.toxic("pg", "error", unit="query", match={"class": "other"})
    async with await connect(conninfo) as one:
        sleeping = asyncio.create_task(one.execute("SELECT pg_sleep(120)"))
        await until(lambda: one.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE)
        while not sleeping.done():
            await one.cancel_safe(timeout=30)
            await asyncio.sleep(0.05)
        with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
            await sleeping
    async with await connect(conninfo, replication="database") as walsender:
        async with psycopg.AsyncClientCursor(walsender) as cursor:
            await cursor.execute("IDENTIFY_SYSTEM")
        assert [one["why_opaque"] for one in await proxy.connections("pg") if one["why_opaque"]] == ["replication"]


async def test_dropped_and_reset_queries(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    await proxy.toxic("pg", "timeout", unit="query", match={"regex": "lost"})
    await proxy.toxic("pg", "reset_peer", unit="query", match={"regex": "cut"})
    one = await connect(conninfo)
    assert await (await one.execute("SELECT 1")).fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError):
        await one.execute("SELECT 'cut'")
    assert one.broken
    other = await connect(conninfo)
    waiting = asyncio.create_task(other.execute("SELECT 'lost'"))
    await until(lambda: has_hit(proxy, "timeout"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await proxy.call("POST", "/proxies/pg", {"enabled": False})
    with pytest.raises(psycopg.OperationalError):
        await waiting


async def test_tls_is_answered_as_told(proxied: tuple[Driver, str], postgres15: PostgresServer) -> None:
    proxy, conninfo = proxied
    with pytest.raises(psycopg.OperationalError, match="SSL"):
        await connect(conninfo, sslmode="require")
    host, port = await proxy.proxy("asking", str(postgres15.address), engine="postgresql", tls="pass")
    async with await connect(make_conninfo(conninfo, host=host, port=port)) as one:  # this server has no TLS and says so
        assert await (await one.execute("SELECT 1")).fetchone() == (1,)
        assert (await proxy.state("asking"))["counts"]["queries"] == 1


async def test_a_prepared_statement_of_a_driver_is_known_by_its_text(proxied: tuple[Driver, str]) -> None:
    proxy, conninfo = proxied
    async with await connect(conninfo, prepare_threshold=0) as one:
        for number in range(2):
            await one.execute("SELECT %s::int /* poison */", (number,))
        await proxy.toxic("pg", "error", unit="query", match={"regex": "poison"})  # it was prepared before
        with pytest.raises(psycopg.errors.QueryCanceled):
            await one.execute("SELECT %s::int /* poison */", (2,))
