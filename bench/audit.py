"""How fast the audit log takes entries that are safe on disk, beside the bare commit floor of the same store in the same run.

Run: ``.venv/bin/python bench/audit.py [SECONDS]``. 64 callers append one entry at a time to SQLite and to a PostgreSQL made
for the run, each waiting for its commit. The floor is what a store commits when each caller writes one row alone, and when
the callers' rows are written by a single statement and commit, with neither tree nor canonical JSON.

The goal on SQLite: 10,000 entries a second with a p99 below 20 ms.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from kit.report import report
from kit.two_servers import quantile
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import SystemClock
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site

CALLERS = 64
GOAL_PER_SECOND = 10_000
GOAL_P99_SECONDS = 0.020
_NUMBER = BigInteger().with_variant(Integer(), "sqlite")

floor = Table(
    "bench_floor",
    MetaData(),
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("entry", String(300), nullable=False),
    Column("nodes", LargeBinary, nullable=False),
)
ROW = {"entry": "x" * 300, "nodes": bytes(64)}


async def hammer(act: Callable[[int], Awaitable[object]], *, callers: int, seconds: float) -> tuple[float, float, float]:
    """Acts a second of that many callers at once, and their p50 and p99 in seconds."""
    waits: list[float] = []
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        while (began := time.perf_counter()) < end:
            await act(number)
            waits.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(callers)))
    return len(waits) / (time.perf_counter() - began), quantile(waits, 0.5), quantile(waits, 0.99)


async def measure(store: Store, seconds: float) -> dict[str, float]:
    """The log and both floors of one store."""
    async with store.begin() as connection:
        await connection.run_sync(floor.create)
    log = AuditLog(SystemClock())

    async def alone(_: int) -> None:
        async with store.begin() as connection:
            await connection.execute(insert(floor), [ROW])

    async def many(_: int) -> None:
        async with store.begin() as connection:
            await connection.execute(insert(floor), [ROW] * CALLERS)

    async def recorded(connection: AsyncConnection, number: int) -> None:
        await connection.execute(insert(floor), [ROW])
        await log.record(connection, draft(number))

    single = await hammer(alone, callers=1, seconds=seconds / 2)
    batch = await hammer(many, callers=1, seconds=seconds / 2)
    lone_append = await hammer(lambda number: log.append(store, draft(number)), callers=1, seconds=seconds / 2)
    appended = await hammer(lambda number: log.append(store, draft(number)), callers=CALLERS, seconds=seconds)
    shared = await hammer(
        lambda number: store.grouped(lambda connection: recorded(connection, number)), callers=CALLERS, seconds=seconds
    )
    name = store.dialect
    return {
        f"{name}_floor_commits_s": round(single[0]),
        f"{name}_floor_rows_s_by_{CALLERS}": round(batch[0] * CALLERS),
        f"{name}_one_caller_entries_s": round(lone_append[0]),
        f"{name}_entries_s": round(appended[0]),
        f"{name}_p50_ms": round(appended[1] * 1000, 2),
        f"{name}_p99_ms": round(appended[2] * 1000, 2),
        f"{name}_grouped_works_s": round(shared[0]),
        f"{name}_grouped_works_p99_ms": round(shared[2] * 1000, 2),
    }


def draft(number: int) -> AuditDraft:
    """An entry like those of the journal."""
    return AuditDraft(
        action="operation.step_done",
        actor=f"person-{number}",
        subject=f"operation/0192f3c1-4f2e-7c3a-9d1b-{number:012}",
        data={"attempt": 1, "kind": "settings.apply", "step": "reload:orders-1", "target": "cluster/orders"},
    )


@asynccontextmanager
async def postgres_url() -> AsyncIterator[tuple[str, PostgresServer]]:
    """A server that waits for the disk at each commit, as in production."""
    with temporary_site(prefix="dbre-bench-") as site:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=None)
        server = PostgresServer("state", site, binaries=binaries, settings={"fsync": "on", "synchronous_commit": "on"})
        await server.start()
        yield f"postgresql://{server.superuser}@{server.address}/postgres", server


async def run(seconds: float) -> dict[str, object]:
    """Both stores, one after the other."""
    found: dict[str, float] = {}
    clock = SystemClock()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as directory:  # /tmp may be memory, where a commit costs nothing
        async with open_store(f"sqlite:///{directory}/dbre.db", clock=clock, migrate=True) as store:
            found |= await measure(store, seconds)
    async with (
        postgres_url() as (url, server),
        open_store(url, clock=clock, migrate=True, password=server.password) as store,
    ):
        found |= await measure(store, seconds)
    is_fast = found["sqlite_entries_s"] >= GOAL_PER_SECOND and found["sqlite_p99_ms"] < GOAL_P99_SECONDS * 1000
    goals = {"goal_entries_s": GOAL_PER_SECOND, "goal_p99_ms": GOAL_P99_SECONDS * 1000}
    return {"bench": "audit", "callers": CALLERS, **found, **goals, "is_ok": is_fast}


if __name__ == "__main__":
    sys.exit(report(asyncio.run(run(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))))
