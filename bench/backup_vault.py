"""How fast sets and log files go into an encrypted vault and out of it, beside compression and encryption alone.

Run: ``.venv/bin/python bench/backup_vault.py [MEGABYTES]`` (default 200). Two kinds of contents: rows that compress to a
ninth, and noise that does not compress. The floor is what the same libraries do with the same bytes from memory to a file that
is flushed (put: zstd level 3, then age; fetch: age, then zstd, to a file), by one thread and without tar, SHA-256, index and
signature. ``put_log`` is of log files of 16 MiB, one after the other.

The limit: a put at 0.4 of the floor, a fetch at 0.4 (it reads and compares all of the ciphertext before it decrypts any).

``far``: noise in parts of 16 MiB from a bucket of moto whose streams begin 100 ms late and give 40 MB/s each, as those of a
service far away; by one thread, and by as many as a vault uses (three: 1.5 times as fast is the limit).
"""

import asyncio
import io
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyrage
import zstandard
from kit.backup_scene import CLUSTER, VAULT, ground_of, log_file, nobody_watches, processor_seconds, vault_in
from kit.far_bucket import far_bucket, slowed
from kit.report import report
from kit.two_servers import quantile
from pyrage import x25519

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.capabilities.backup.vault import fetching
from dbre.capabilities.backup.vault.ahead import AHEAD, fetched_ahead
from dbre.capabilities.backup.vault.opening import open_document, open_vault
from dbre.capabilities.backup.vault.vault import Vault
from dbre.core.clock import SystemClock
from dbre.core.fleet import Fleet
from dbre.core.ids import uuid7
from dbre.core.programs.account import choose_account
from dbre.lab.site import Site
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import ChecksumState, CopyKind

GOAL_OF_FLOOR = 0.4
GOAL_OF_GAIN = 1.5
ROUNDS = 3
_MEGABYTE = 1 << 20
_FILE_BYTES = 32 * _MEGABYTE
_SEGMENT = 16 * _MEGABYTE
_FAR_PART = 16 * _MEGABYTE
_LOG_FILES = 12
SYSTEM = "7461122334455667788"


def contents(kind: str, size: int) -> bytes:
    """Noise, or rows that are mostly blanks, as those of pgbench."""
    if kind == "noise":
        return os.urandom(size)
    pool, row = os.urandom(1 << 20), 100
    rows = (b"%08d" % n + pool[(at := 8 * n % len(pool)) : at + 8] + b" " * (row - 16) for n in range(size // row + 1))
    return b"".join(rows)[:size]


@dataclass
class Floor:
    """The libraries alone."""

    directory: Path
    identity: x25519.Identity
    recipients: list[x25519.Recipient]

    def put(self, data: bytes) -> float:
        began = time.perf_counter()
        with (self.directory / "floor.age").open("wb") as file:
            compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
            with compressor.stream_reader(io.BytesIO(data), read_size=_MEGABYTE) as compressed:
                pyrage.encrypt_io(compressed, file, self.recipients)
            file.flush()
            os.fsync(file.fileno())
        return time.perf_counter() - began

    def fetch(self) -> float:
        began = time.perf_counter()
        with (
            (self.directory / "floor.age").open("rb") as file,
            (self.directory / "floor").open("wb") as plain,
            zstandard.ZstdDecompressor().stream_writer(plain, closefd=False) as target,
        ):
            pyrage.decrypt_io(file, target, [self.identity])
        return time.perf_counter() - began


def a_set() -> BackupSet:
    """A record of a copy that is no server's."""
    return BackupSet(
        id=str(uuid7(SystemClock())),
        cluster=CLUSTER,
        engine="postgresql",
        policy="bench",
        provider="native",
        system_id=SYSTEM,
        kind=CopyKind.FULL,
        parent_id=None,
        state=SetState.VERIFIED,
        start=None,
        stop=None,
        started_at=datetime.now(UTC),
        stopped_at=datetime.now(UTC),
        version_text="15",
        tool="bench",
        checksums=ChecksumState.OFF,
        bytes_source=0,
        bytes_stored=None,
        manifest_sha256=None,
    )


async def set_rates(vault: Vault, floor: Floor, root: Path, kind: str, size: int) -> dict[str, float]:
    """Put, fetch and both floors, the fastest of some rounds in turns; megabytes a second."""
    data = contents(kind, size)
    copy = root / f"copy-{kind}"
    copy.mkdir()
    for number, at in enumerate(range(0, size, _FILE_BYTES)):
        (copy / f"{number}").write_bytes(data[at : at + _FILE_BYTES])
    best: dict[str, tuple[float, float]] = {}
    for turn in range(ROUNDS):
        one, into = a_set(), root / f"out-{kind}-{turn}"
        works: dict[str, Callable[[], Awaitable[object]]] = {
            "floor_put": lambda: asyncio.to_thread(floor.put, data),
            "floor_fetch": lambda: asyncio.to_thread(floor.fetch),
            "put": lambda one=one: vault.put_set(one, copy, nobody_watches),  # type: ignore[misc]
            "fetch": lambda one=one, into=into: vault.fetch_set(one.id, into, nobody_watches),  # type: ignore[misc]
        }
        for name, work in works.items():
            began, used = time.perf_counter(), processor_seconds()
            await work()
            took = time.perf_counter() - began, processor_seconds() - used
            before = best.get(name, took)
            best[name] = min(before[0], took[0]), min(before[1], took[1])
    found = {f"{name}_mb_s": size / seconds / 1e6 for name, (seconds, _) in best.items()}
    return found | {f"{name}_mb_a_cpu_s": size / seconds / 1e6 for name, (_, seconds) in best.items()}


async def far_rates(ground: BackupGround, document: VaultDocument, root: Path, size: int) -> dict[str, float]:
    """Fetches of a set from far away by one thread and by several; megabytes a second."""
    one, copy = a_set(), root / "copy-far"
    found: dict[str, float] = {}
    copy.mkdir()
    (copy / "0").write_bytes(os.urandom(size))
    with far_bucket(root, document) as far, slowed():
        async with open_document(ground, far, part_bytes=_FAR_PART) as vault:
            await vault.put_set(one, copy, nobody_watches)
            for threads in (1, AHEAD, 1, AHEAD):
                fetching.fetched_ahead = partial(fetched_ahead, ahead=threads)  # type: ignore[attr-defined]
                began = time.perf_counter()
                await vault.fetch_set(one.id, root / f"far-{threads}-{len(found)}-{time.monotonic_ns()}", nobody_watches)
                name = f"far_fetch_{threads}_mb_s"
                found[name] = max(found.get(name, 0.0), size / (time.perf_counter() - began) / 1e6)
    return found


async def log_times(vault: Vault, port: BackupPort, floor: Floor, root: Path) -> dict[str, float]:
    """Milliseconds of ``put_log``, and of compressing, encrypting and flushing the same bytes."""
    put: list[float] = []
    alone: list[float] = []
    for number in range(1, _LOG_FILES + 1):
        path = root / f"00000001{0:08X}{number:08X}"
        data = contents("rows", _SEGMENT // 2) + contents("noise", _SEGMENT // 2)
        path.write_bytes(data)
        file = log_file(port, path)
        if file is None:
            raise RuntimeError(f"{path.name} is no name of a log file")
        began = time.perf_counter()
        await vault.put_log(CLUSTER, SYSTEM, file, path)
        put.append(time.perf_counter() - began)
        alone.append(await asyncio.to_thread(floor.put, data))
    return {
        "put_log_p50_ms": round(quantile(put, 0.5) * 1000),
        "put_log_max_ms": round(max(put) * 1000),
        "put_log_floor_p50_ms": round(quantile(alone, 0.5) * 1000),
        "put_log_ratio": round(quantile(put, 0.5) / quantile(alone, 0.5), 2),
    }


async def run(megabytes: int) -> dict[str, object]:
    """Both kinds of contents, then log files."""
    with tempfile.TemporaryDirectory(prefix="dbre-bench-", dir=Path.cwd()) as name:  # /tmp may be memory
        root = Path(name)
        document = vault_in(root)
        account = choose_account(os.environ)
        site = Site(directory=root, account=account, cache=root / "cache")
        ground = ground_of(site, document, Fleet(), root / "backup")
        identity = x25519.Identity.from_str((root / "identity.age").read_text().strip())
        floor = Floor(root, identity, [x25519.Recipient.from_str(one) for one in document.recipients])
        found: dict[str, object] = {}
        ratios: list[float] = []
        async with open_vault(ground, VAULT) as vault:
            for kind in ("rows", "noise"):
                rates = await set_rates(vault, floor, root, kind, megabytes * 1_000_000)
                found |= {f"{kind}_{name}": round(value) for name, value in rates.items()}
                for way in ("put", "fetch"):
                    ratios.append(rates[f"{way}_mb_s"] / rates[f"floor_{way}_mb_s"])
                    found[f"{kind}_{way}_ratio"] = round(ratios[-1], 2)
                    found[f"{kind}_{way}_cpu_ratio"] = round(rates[f"{way}_mb_a_cpu_s"] / rates[f"floor_{way}_mb_a_cpu_s"], 2)
            port = ground.engines.get("postgresql").backups(ground.place)
            found |= await log_times(vault, port, floor, root)
        far = await far_rates(ground, document, root, megabytes * 1_000_000)
    gain = far[f"far_fetch_{AHEAD}_mb_s"] / far["far_fetch_1_mb_s"]
    found |= {name: round(value) for name, value in far.items()} | {"far_gain": round(gain, 2)}
    is_ok = min(ratios) >= GOAL_OF_FLOOR and gain >= GOAL_OF_GAIN
    return {"bench": "backup_vault", "mb": megabytes, **found, "goal_of_floor": GOAL_OF_FLOOR, "is_ok": is_ok}


if __name__ == "__main__":
    sys.exit(report(asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 200))))
