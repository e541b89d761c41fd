"""SIGKILL at any moment: what was acknowledged is there, what was not is there as a whole or not at all."""

import asyncio
import random
import signal
import sys

import pytest
from sqlalchemy import text

WRITER = """
import asyncio, sys
from sqlalchemy import text
from dbre.core.clock import SystemClock
from dbre.core.secrets import Secret
from dbre.core.store import open_store

async def main():
    async with open_store(sys.argv[1], clock=SystemClock(), exclusive=True, password=Secret(sys.argv[2])) as store:
        number = int(sys.argv[3])
        while True:
            number += 1
            async with store.begin() as connection:
                for half in ("left", "right"):
                    await connection.execute(
                        text("INSERT INTO pairs (number, half) VALUES (:number, :half)"), {"number": number, "half": half}
                    )
            print(number, flush=True)

asyncio.run(main())
"""


async def test_sigkill_in_the_middle_of_transactions_leaves_nothing_half_written_and_loses_nothing_acknowledged(place) -> None:
    chance = random.Random(7)
    async with place.open(migrate=True) as store, store.begin() as connection:
        await connection.execute(text("CREATE TABLE pairs (number BIGINT, half TEXT)"))
    acknowledged = 0
    for _ in range(3):
        acknowledged = await _write_until_killed(place, acknowledged, after_seconds=chance.uniform(0.02, 0.3))
        async with asyncio.timeout(30), place.open() as store, store.begin() as connection:  # begin: PostgreSQL has noticed
            rows = (await connection.execute(text("SELECT number, half FROM pairs ORDER BY number, half"))).all()
        numbers = [row.number for row in rows]
        assert [row.half for row in rows] == ["left", "right"] * (len(rows) // 2)
        assert numbers == [number for number in range(1, numbers[-1] + 1) for _ in range(2)]
        assert acknowledged <= numbers[-1] <= acknowledged + 1  # the one whose commit was under way may be there
        acknowledged = numbers[-1]


async def _write_until_killed(place, start: int, *, after_seconds: float) -> int:
    """Run a writer, kill it, and give the last number whose commit it was told of."""
    for patience in range(50):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, place.url, place.password.reveal() if place.password else "-", str(start),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(30):
            first = await process.stdout.readline()
        if first:
            break
        assert patience < 49, (await process.communicate())[1].decode()  # the killed one's session is still ending
        await process.wait()
    await asyncio.sleep(after_seconds)
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    await process.wait()
    lines = (first + rest).decode().split("\n")[:-1]  # what follows the last line end was cut off
    return int(lines[-1])


@pytest.mark.parametrize("fault", ["truncate", "garbage"])
async def test_a_torn_log_is_read_up_to_its_last_whole_transaction(file_place, fault: str) -> None:
    async with file_place.open(migrate=True) as store:
        async with store.begin() as connection:
            await connection.execute(text("CREATE TABLE numbers (number INTEGER)"))
        log = file_place.path.with_name("dbre.db-wal")
        for number in range(20):
            async with store.begin() as connection:
                await connection.execute(text("INSERT INTO numbers VALUES (:number)"), {"number": number})
        files = {path.name: path.read_bytes() for path in (file_place.path, log)}
    torn = bytearray(files["dbre.db-wal"])
    if fault == "truncate":
        torn = torn[: len(torn) - 3000]
    else:
        torn[-3000:] = bytes(3000)
    file_place.path.write_bytes(files["dbre.db"])
    log.write_bytes(bytes(torn))
    async with file_place.open() as store, store.read() as connection:
        found = (await connection.execute(text("SELECT number FROM numbers ORDER BY number"))).scalars().all()
    assert found == list(range(19))
