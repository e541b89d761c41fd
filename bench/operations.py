"""What a durable step costs, beside DBOS and beside the bare commit of the same store; operations a second; takeover.

Run: ``.venv/bin/python bench/operations.py [OPERATIONS]``. An operation has five steps that do nothing, so what is measured
is journalling alone: plan hash, lease, fencing, audit tree, events. DBOS Transact runs the same five steps as a workflow, in
an environment of its own under ``.uv/peers``. Both stores wait for the disk at each commit.

Goals: at most three commits a step, and less time a step than DBOS, on both stores; 100 operations a second with four
workers (processes, on PostgreSQL); after SIGKILL of a worker another has the operation within the lease and a second.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kit.operations import LEASE_SECONDS, STEPS, Bench, open_bench
from kit.report import report
from sqlalchemy import text

from dbre.core.store import Store
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site

ROOT = Path(__file__).resolve().parent.parent
DBOS = "dbos==3.4.0"
WORKERS = 4
GOAL_OPERATIONS_PER_SECOND = 100
COMMITS_PER_STEP = 3


async def commit_floor(store: Store, count: int = 300) -> float:
    """Seconds of a commit that writes one row and nothing else."""
    async with store.begin() as connection:
        await connection.execute(text("CREATE TABLE bench_floor (number integer)"))
    began = time.perf_counter()
    for number in range(count):
        async with store.begin() as connection:
            await connection.execute(text("INSERT INTO bench_floor (number) VALUES (:number)"), {"number": number})
    return (time.perf_counter() - began) / count


async def cost(bench: Bench, operations: int) -> dict[str, float]:
    """One operation after the other, and then ``WORKERS`` at a time in one process."""
    await bench.walk(await bench.submit(0))
    commits = 0

    def committed(outcome: str, _: float) -> None:
        nonlocal commits
        commits += outcome == "committed"

    bench.store.write_observer = committed
    began = time.perf_counter()
    for number in range(operations):
        await bench.walk(await bench.submit(number))
    alone = time.perf_counter() - began
    bench.store.write_observer = None
    turns = asyncio.Semaphore(WORKERS)

    async def one(number: int) -> None:
        async with turns:
            await bench.walk(await bench.submit(number))

    began = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(operations * 4)))
    together = time.perf_counter() - began
    return {
        "commits_per_step": commits / (operations * STEPS),
        "step_seconds": alone / (operations * STEPS),
        "operations_per_second": operations * 4 / together,
    }


def dbos_python() -> Path:
    """An interpreter that has DBOS; made at the first use."""
    place = ROOT / ".uv" / "peers" / "dbos"
    python = place / "bin" / "python"
    if not python.exists():
        uv = ROOT / ".uv" / "bin" / "uv"
        subprocess.run([uv, "venv", "-q", "-p", sys.executable, place], check=True)
        subprocess.run([uv, "pip", "install", "-q", "-p", python, DBOS], check=True)
    return python


def dbos_cost(url: str, operations: int, password: str | None = None) -> dict[str, float]:
    """The same five steps with DBOS."""
    numbers = [str(one) for one in (STEPS, operations, operations * 4, WORKERS)]
    environment = os.environ | ({"PGPASSWORD": password} if password else {})
    program = [str(dbos_python()), str(ROOT / "bench/peers/dbos_steps.py"), url, *numbers]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=300, env=environment)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def worker(url: str, password: str | None, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs what is due."""
    environment = os.environ | ({"BENCH_PASSWORD": password} if password else {})
    program = [sys.executable, str(ROOT / "bench/kit/operations.py"), url, *arguments]
    return subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)


async def throughput(bench: Bench, url: str, password: str | None, operations: int, *, steps: int) -> float:
    """Operations a second that four worker processes finish, each on a target of its own, from the first submission on."""
    processes = [worker(url, password) for _ in range(WORKERS)]
    try:
        await asyncio.gather(*(asyncio.to_thread(one.stdout.readline) for one in processes if one.stdout))  # "ready"
        began = time.perf_counter()
        await asyncio.gather(*(bench.submit(number, steps=steps) for number in range(operations)))
        await bench.until_ended()
        return operations / (time.perf_counter() - began)
    finally:
        for one in processes:
            one.kill()
            one.wait()


async def takeover(bench: Bench, url: str, password: str | None) -> float:
    """Seconds from SIGKILL of the worker that runs an operation until another one has it."""
    first = worker(url, password)
    second: subprocess.Popen[str] | None = None
    try:
        assert first.stdout
        await asyncio.to_thread(first.stdout.readline)
        operation_id = await bench.submit(0, sleep_seconds=60)
        await bench.until_attempt(operation_id, 1)
        second = worker(url, password)
        assert second.stdout
        await asyncio.to_thread(second.stdout.readline)
        await asyncio.sleep(LEASE_SECONDS / 2)
        first.send_signal(signal.SIGKILL)
        killed = time.perf_counter()
        await bench.until_attempt(operation_id, 2)
        return time.perf_counter() - killed
    finally:
        for one in (first, second):
            if one is not None:
                one.kill()
                one.wait()


@asynccontextmanager
async def postgres() -> AsyncIterator[PostgresServer]:
    """A server that waits for the disk at each commit, as in production."""
    with temporary_site(prefix="dbre-bench-") as site:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=None)
        server = PostgresServer("state", site, binaries=binaries, settings={"fsync": "on", "synchronous_commit": "on"})
        await server.start()
        yield server


def compared(name: str, floor: float, ours: Mapping[str, float], peer: Mapping[str, Any]) -> dict[str, object]:
    """The rows of one store."""
    return {
        f"{name}_commit_floor_ms": round(floor * 1000, 3),
        f"{name}_step_ms": round(ours["step_seconds"] * 1000, 2),
        f"{name}_dbos_step_ms": round(peer["step_seconds"] * 1000, 2),
        f"{name}_step_ratio_to_dbos": round(ours["step_seconds"] / peer["step_seconds"], 2),
        f"{name}_step_ratio_to_commit": round(ours["step_seconds"] / floor, 1),
        f"{name}_commits_per_step": round(ours["commits_per_step"], 2),
        f"{name}_operations_s": round(ours["operations_per_second"], 1),
        f"{name}_dbos_operations_s": round(peer["operations_per_second"], 1),
    }


async def run(operations: int) -> dict[str, object]:
    """Everything, one after the other."""
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=ROOT) as directory:  # /tmp may be memory, where a commit costs nothing
        async with open_bench(f"sqlite:///{directory}/dbre.db") as bench:
            floor, ours = await commit_floor(bench.store), await cost(bench, operations)
        peer = await asyncio.to_thread(dbos_cost, f"sqlite:///{directory}/dbos.db", operations)
        found |= compared("sqlite", floor, ours, peer)
    async with postgres() as server:
        password = server.password.reveal()
        url = f"postgresql://{server.superuser}@{server.address}/postgres"
        async with open_bench(url, password=server.password) as bench:
            floor, ours = await commit_floor(bench.store), await cost(bench, operations)
            rate = await throughput(bench, url, password, operations * 6, steps=STEPS)
            short = await throughput(bench, url, password, operations * 6, steps=1)
            seconds = await takeover(bench, url, password)
        peer = await asyncio.to_thread(dbos_cost, url, operations, password)
        found |= compared("postgresql", floor, ours, peer)
        found |= {"peer": peer["peer"], "four_workers_operations_s": round(rate, 1)}
        found |= {"four_workers_one_step_operations_s": round(short, 1), "takeover_s": round(seconds, 2)}
    found |= {"lease_s": LEASE_SECONDS, "is_ok": is_ok(found)}
    return {"bench": "operations", **found}


def is_ok(found: Mapping[str, Any]) -> bool:
    """Whether every goal is met."""
    stores = ("sqlite", "postgresql")
    return (
        all(found[f"{one}_step_ratio_to_dbos"] < 1 and found[f"{one}_commits_per_step"] <= COMMITS_PER_STEP for one in stores)
        and found["four_workers_one_step_operations_s"] >= GOAL_OPERATIONS_PER_SECOND
        and found["takeover_s"] <= LEASE_SECONDS + 1
    )


if __name__ == "__main__":
    sys.exit(report(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 100))))
