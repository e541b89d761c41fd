"""A control plane that is killed while it keeps log: nothing of it stays behind, and the next one loses nothing."""

import asyncio
import random
import sys
from pathlib import Path

import pytest
from log_plane import CLUSTER, Plane, plane, until

from dbre.capabilities.backup.catalog.loading import load_catalog
from dbre.capabilities.backup.log.gaps import ancestry, stretches
from dbre.capabilities.backup.log.origin import find_origin, receiver_name
from dbre.capabilities.backup.model import LogState
from dbre.lab.postgres import PostgresServer
from dbre.ports.backup.model import LogKind

ROUNDS = 3


async def write_segments(server: PostgresServer, count: int) -> None:
    for _ in range(count):
        async with await server.connect() as connection:
            await connection.execute("CREATE TABLE IF NOT EXISTS ledger (id bigint)")
            await connection.execute("INSERT INTO ledger SELECT generate_series(1, 1000)")
            await connection.execute("SELECT pg_switch_wal()")


@pytest.mark.slow
async def test_a_killed_keeper_leaves_no_receiver_and_no_hole(fresh_postgres: PostgresServer, workplace: Path) -> None:
    server, dice = fresh_postgres, random.Random(7)
    async with plane(workplace, [server], cache=server.site.cache, name="looker") as looker:
        origin = await find_origin(looker.ground, looker.ground.fleet.cluster(CLUSTER), looker.ground.require_policy(CLUSTER))
        assert origin.source is not None
        source = origin.source

        async def is_received() -> bool:
            return (await source.backlog(receiver_name(CLUSTER))).is_active is True

        async def is_free() -> bool:
            return not await is_received()

        for _ in range(ROUNDS):
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(Path(__file__).with_name("log_process.py")), str(workplace), str(server.address.port),
                str(server.site.cache), stdin=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(f"{server.password.reveal()}\n".encode())
            await process.stdin.drain()
            await until(is_received, "the process receives")
            await write_segments(server, 3)
            await asyncio.sleep(dice.uniform(0, 1.5))  # in the middle of sealing, or before, or after it
            process.kill()
            await process.wait()
            await until(is_free, "its receiver is gone as well")
        await write_segments(server, 1)
        async with plane(workplace, [server], cache=server.site.cache) as one, one.keeping():
            await _all_sealed(one, 3 * ROUNDS + 1)


async def _all_sealed(one: Plane, count: int) -> None:
    async def is_whole() -> bool:
        catalog = await load_catalog(one.store, CLUSTER)
        segments = [log for log in catalog.logs if log.file.kind is LogKind.SEGMENT]
        stored = [log for log in segments if log.state in (LogState.VAULTED, LogState.VERIFIED)]
        return len(stored) >= count and len(stored) == len(segments) and len(stretches(stored, ancestry([], 1))) == 1

    await until(is_whole, "everything is in the vault, without a hole")
    names = {path.name for path in (one.ground.directory / "spool").rglob("*") if path.is_file() and len(path.name) == 24}
    assert len(names) <= count
