"""How fast a copy is compared with its manifest: dbre, ``pg_verifybackup`` of PostgreSQL 15, and the hash alone.

Run: ``.venv/bin/python bench/backup_verify.py [MEGABYTES]`` (default 500, made by pgbench). The copy is one of PostgreSQL 15
with SHA-256 of every file, in the page cache for all. The floor is ``hashlib`` over the same bytes in memory, by one thread and
by as many as there are processors. Each is measured five times in turns; the fastest counts, as other work only makes slower.

The limit: at least 0.8 of the floor of as many threads.
"""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from kit.backup_scene import DEBIAN, Scene, Stopwatch, backup_scene, processor_seconds
from kit.report import report

from dbre.lab.temporary_site import temporary_site

GOAL_OF_FLOOR = 0.8
ROUNDS = 5
_PIECE = 1 << 20


def hash_all(pieces: list[bytes], threads: int) -> None:
    """Hash what is in memory."""

    def one(data: bytes) -> None:
        digest = hashlib.sha256()
        for at in range(0, len(data), _PIECE):
            digest.update(memoryview(data)[at : at + _PIECE])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, pieces))


async def timed(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """How long it takes, and how much of processors."""
    began, used = time.perf_counter(), processor_seconds()
    await work()
    return time.perf_counter() - began, processor_seconds() - used


async def measure(scene: Scene) -> dict[str, object]:
    """All of them in turns."""
    _, directory = await scene.copy(Stopwatch())
    pieces = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    size, threads = sum(len(one) for one in pieces), os.cpu_count() or 1
    works: dict[str, Callable[[], Awaitable[object]]] = {
        "floor_one_thread": lambda: asyncio.to_thread(hash_all, pieces, 1),
        "floor_threads": lambda: asyncio.to_thread(hash_all, pieces, threads),
        "dbre": lambda: scene.port.verify(directory),
        "pg_verifybackup": lambda: scene.run(DEBIAN / "pg_verifybackup", "--no-parse-wal", "--quiet", directory),
    }
    best: dict[str, tuple[float, float]] = {}
    for _ in range(ROUNDS):
        for name, work in works.items():
            took = await timed(work)
            before = best.get(name, took)
            best[name] = min(before[0], took[0]), min(before[1], took[1])
    rate = {name: size / seconds / 1e6 for name, (seconds, _) in best.items()}
    processor = {name: size / seconds / 1e6 for name, (_, seconds) in best.items()}
    return {
        "files": len(pieces),
        "mb": round(size / 1e6),
        "threads": threads,
        **{f"{name}_mb_s": round(value) for name, value in rate.items()},
        **{f"{name}_mb_a_cpu_s": round(value) for name, value in processor.items()},
        "ratio_to_floor": round(rate["dbre"] / rate["floor_threads"], 2),
        "ratio_to_floor_of_one_thread": round(rate["dbre"] / rate["floor_one_thread"], 2),
        "ratio_to_pg_verifybackup": round(rate["dbre"] / rate["pg_verifybackup"], 2),
        "cpu_ratio_to_floor": round(processor["dbre"] / processor["floor_one_thread"], 2),
        "cpu_ratio_to_pg_verifybackup": round(processor["dbre"] / processor["pg_verifybackup"], 2),
    }


async def run(megabytes: int) -> dict[str, object]:
    """One server, one copy."""
    with temporary_site(prefix="dbre-bench-", parent=tempfile.gettempdir(), durable=True) as site:
        async with backup_scene(site, version=15, megabytes=megabytes) as scene:
            found = await measure(scene)
    ratio = found["ratio_to_floor"]
    is_ok = isinstance(ratio, float) and ratio >= GOAL_OF_FLOOR
    return {"bench": "backup_verify", **found, "goal_of_floor": GOAL_OF_FLOOR, "is_ok": is_ok}


if __name__ == "__main__":
    sys.exit(report(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 500))))
