"""What a backup costs those who use the database meanwhile: latency of pgbench without one, with one, and with a limited one.

Run: ``.venv/bin/python bench/backup_impact.py [MEGABYTES [SECONDS]]`` (default 500, 20 a window). pgbench asks for a fixed
number of transactions a second, and its latency counts from when each was due, so that a stall is not forgotten. Meanwhile
backups run one after the other, each copied, verified and put into an encrypted vault on the same two processors and the same
disk as the database: the worst place for them. Windows take turns, twice. The peer is bare ``pg_basebackup``.

No limit is set: with everything on one small machine the numbers say how bad it is at worst.
"""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kit.backup_scene import DEBIAN, VAULT, Scene, Stopwatch, backup_scene
from kit.report import report
from kit.two_servers import quantile

from dbre.capabilities.backup.vault.opening import open_vault
from dbre.lab.temporary_site import temporary_site

ROUNDS = 2
TRANSACTIONS_A_SECOND = 200
LIMIT_BYTES = 20_000_000
_CLIENTS = "4"


class Windows:
    """Latencies of each kind of window, in seconds, and how many backups ended in it."""

    def __init__(self, scene: Scene, seconds: int) -> None:
        self.scene = scene
        self.seconds = seconds
        self.waits: dict[str, list[float]] = {}
        self.ended: dict[str, int] = {}

    async def measure(self, name: str, work: Callable[[], Awaitable[None]] | None) -> None:
        """A window of pgbench while ``work`` is done over and over."""
        logs = self.scene.new_directory(f"window-{len(self.ended)}-{name}")
        async with self._over_and_over(name, work):
            await self.scene.run(
                DEBIAN / "pgbench", "-n", "-c", _CLIENTS, "-T", str(self.seconds), "-R", str(TRANSACTIONS_A_SECOND),
                "-M", "prepared", "--log", directory=logs,
            )  # fmt: skip
        found = self.waits.setdefault(name, [])
        for path in logs.iterdir():
            found += [int(line.split()[2]) / 1e6 for line in path.read_text().splitlines()]
        shutil.rmtree(logs)

    @asynccontextmanager
    async def _over_and_over(self, name: str, work: Callable[[], Awaitable[None]] | None) -> AsyncIterator[None]:
        self.ended.setdefault(name, 0)

        async def repeat() -> None:
            while work is not None:
                await work()
                self.ended[name] += 1

        task = asyncio.create_task(repeat())
        try:
            yield
        finally:
            if task.done():
                task.result()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def result(self) -> dict[str, object]:
        """p50 and p99 of each in milliseconds, and ratios of p99 to the quiet windows."""
        quiet = quantile(self.waits["quiet"], 0.99)
        found: dict[str, object] = {}
        for name, waits in self.waits.items():
            found[f"{name}_p50_ms"] = round(quantile(waits, 0.5) * 1000, 2)
            found[f"{name}_p99_ms"] = round(quantile(waits, 0.99) * 1000, 2)
            found[f"{name}_p99_ratio"] = round(quantile(waits, 0.99) / quiet, 2)
            found[f"{name}_transactions"] = len(waits)
            found[f"{name}_backups_ended"] = self.ended[name]
        return found


async def backup(scene: Scene, *, bytes_per_second: int | None) -> None:
    """One of dbre; the copy is removed, as an operation does."""
    one, directory = await scene.copy(Stopwatch(), bytes_per_second=bytes_per_second)
    async with open_vault(scene.ground, VAULT) as vault:
        await vault.put_set(one, directory)
    await asyncio.to_thread(shutil.rmtree, directory)


async def base_backup(scene: Scene, numbers: list[int]) -> None:
    """Bare ``pg_basebackup``."""
    numbers.append(len(numbers))
    directory = scene.new_directory(f"bare-{len(numbers)}")
    process = await asyncio.create_subprocess_exec(
        str(DEBIAN / "pg_basebackup"), f"--pgdata={directory}", "--checkpoint=fast", "--wal-method=none",
        "--manifest-checksums=SHA256", env=scene.environment, cwd=directory, stderr=asyncio.subprocess.DEVNULL,
        **scene.site.account.credentials(),
    )  # fmt: skip
    try:
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.to_thread(shutil.rmtree, directory)


async def run(megabytes: int, seconds: int) -> dict[str, object]:
    """All kinds of windows in turns, after one that warms up."""
    with temporary_site(prefix="dbre-bench-", parent=tempfile.gettempdir(), durable=True) as site:
        async with backup_scene(site, version=15, megabytes=megabytes) as scene:
            windows, numbers = Windows(scene, seconds), list[int]()
            for _ in range(ROUNDS):
                await windows.measure("quiet", None)
                await windows.measure("bare_pg_basebackup", lambda: base_backup(scene, numbers))
                await windows.measure("dbre", lambda: backup(scene, bytes_per_second=None))
                await windows.measure("dbre_limited", lambda: backup(scene, bytes_per_second=LIMIT_BYTES))
    return {
        "bench": "backup_impact",
        "mb": megabytes,
        "seconds_a_window": seconds,
        "transactions_s": TRANSACTIONS_A_SECOND,
        "limit_bytes_s": LIMIT_BYTES,
        **windows.result(),
        "is_ok": True,
    }


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    sys.exit(report(asyncio.run(run(given[0] if given else 500, given[1] if len(given) > 1 else 20))))
