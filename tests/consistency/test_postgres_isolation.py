"""A real server: read committed shows its anomalies, serializable none, and repeatable read is snapshot isolation."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from consistency_kit import judged, names, op
from psycopg import sql

from dbre.capabilities.consistency.history import Op
from dbre.capabilities.consistency.report import Report, Verdict
from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.slow
CLIENTS, ROUNDS = 5, 30
LONGEST_SECONDS = 60.0


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres15: PostgresServer) -> AsyncIterator[str]:
    name = f"isolation_{secrets.token_hex(4)}"
    async with await postgres15.connect() as admin:
        await admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        async with await postgres15.connect(database=name) as here:
            await here.execute("CREATE TABLE lists (key int PRIMARY KEY, elements int[] NOT NULL)")
            await here.execute("INSERT INTO lists SELECT key, '{}' FROM generate_series(1, 1000) AS key")
        yield name
        await admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Run:
    """Clients that read and append at the same time, and the history of it."""

    def __init__(self, level: psycopg.IsolationLevel, first_key: int) -> None:
        self.level, self.first_key = level, first_key
        self.history: list[Op] = []
        self.element = 0

    async def client(self, connection: psycopg.AsyncConnection, number: int, chance: Random) -> None:
        await connection.set_autocommit(False)
        await connection.set_isolation_level(self.level)
        for turn in range(ROUNDS):
            process = turn * CLIENTS + number
            keys = chance.sample(range(self.first_key, self.first_key + 3), 2)
            acts = [["r", keys[0], None], [chance.choice(["r", "append"]), keys[1], None], ["append", keys[0], None]]
            for act in acts:
                if act[0] == "append":
                    self.element += 1
                    act[2] = self.element
            self.history.append(op("invoke", process, "txn", acts))
            self.history.append(await self.transaction(connection, process, acts))

    async def transaction(self, connection: psycopg.AsyncConnection, process: int, acts: list[list[Any]]) -> Op:
        done = []
        try:
            for act, key, element in acts:
                if act == "append":
                    await connection.execute("UPDATE lists SET elements = elements || %s::int WHERE key = %s", (element, key))
                    done.append([act, key, element])
                else:
                    row = await (await connection.execute("SELECT elements FROM lists WHERE key = %s", (key,))).fetchone()
                    assert row is not None
                    done.append([act, key, row[0]])
                await asyncio.sleep(0)
            await connection.commit()
        except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
            await connection.rollback()
            return op("fail", process, "txn", acts)
        return op("ok", process, "txn", done)


async def run_at(server: PostgresServer, database: str, level: psycopg.IsolationLevel, seed: int) -> list[Op]:
    run = Run(level, first_key=1 + 3 * seed)
    connections = [await server.connect(database=database) for _ in range(CLIENTS)]
    try:
        for one in connections:
            await one.execute("SET deadlock_timeout = '20ms'")  # of which there are many, on purpose
        async with asyncio.timeout(LONGEST_SECONDS):
            await asyncio.gather(
                *(run.client(one, number, Random(seed * 100 + number)) for number, one in enumerate(connections))
            )
    finally:
        for one in connections:
            await one.close()
    return run.history


def at(history: list[Op], model: str) -> Report:
    return judged(history, model, workload="list-append")


async def test_read_committed_shows_its_anomalies(postgres15: PostgresServer, database: str) -> None:
    for seed in range(20):  # one is enough nearly always
        history = await run_at(postgres15, database, psycopg.IsolationLevel.READ_COMMITTED, seed)
        report = at(history, "serializable")
        if report.verdict is Verdict.ANOMALY:
            break
    assert report.verdict is Verdict.ANOMALY
    assert names(report) & {"lost-update", "G-single"}
    assert at(history, "read-committed").verdict is Verdict.OK, report


async def test_repeatable_read_is_snapshot_isolation_with_write_skew(postgres15: PostgresServer, database: str) -> None:
    for seed in range(100, 120):
        history = await run_at(postgres15, database, psycopg.IsolationLevel.REPEATABLE_READ, seed)
        assert at(history, "strong-snapshot-isolation").verdict is Verdict.OK
        if at(history, "serializable").verdict is Verdict.ANOMALY:
            break
    assert {one.name for one in at(history, "serializable").anomalies if one.is_violation} == {"G2-item"}


async def test_serializable_shows_none(postgres15: PostgresServer, database: str) -> None:
    for seed in (200, 201):
        report = at(await run_at(postgres15, database, psycopg.IsolationLevel.SERIALIZABLE, seed), "serializable")
        assert report.verdict is Verdict.OK, report
        assert report.ok_calls > CLIENTS
