"""SIGKILL in the middle of taking events in: nothing that was acknowledged is lost, nothing is counted twice."""

import asyncio
import os
import sys
import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from dbre.capabilities.slo.ingest.tables import slo_latencies
from dbre.capabilities.slo.tables import slo_series, slo_slots
from dbre.core.clock import SystemClock
from dbre.core.store import open_store
from dbre.lab.free_port import choose_port

HERE = Path(__file__).parent
BATCH, SENDERS = 50, 4
KILLS = int(os.environ.get("DBRE_TEST_KILLS", "5"))


async def start(directory: Path, port: int) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(HERE / "ingest_process.py"), str(directory), str(port)),
        env={"PYTHONPATH": f"{HERE}:{HERE.parent}:{HERE.parent.parent}", "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    said = []
    async with asyncio.timeout(60):
        while (line := await process.stdout.readline()) != b"ready\n":
            assert line, b"".join(said).decode()
            said.append(line)
    return process


class Sender:
    """Numbers its batches, and sends each until it is acknowledged."""

    def __init__(self, name: str, port: int) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}/ingest/v1/events"
        self.acknowledged = self.duplicates = 0
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        async with httpx.AsyncClient(timeout=10) as client:
            while not self.stopping.is_set():
                await self._deliver(client)

    async def _deliver(self, client: httpx.AsyncClient) -> None:
        body = {"ts": [int(time.time() * 1000)] * BATCH, "slo": "fast@orders", "ms": [float(self.acknowledged % 90)] * BATCH}
        headers = {"authorization": f"Bearer {self.name}", "dbre-sequence": str(self.acknowledged)}
        while True:
            try:
                answer = await client.post(self.url, json=body, headers=headers)
            except httpx.TransportError:
                await asyncio.sleep(0.02)
                continue
            if answer.status_code == 503:
                await asyncio.sleep(0.02)
                continue
            told = answer.raise_for_status().json()
            assert told["rejected"] == 0
            self.duplicates += told["duplicate"]
            self.acknowledged += 1
            return


async def stored(directory: Path) -> tuple[int, int]:
    """Good events in the slots, and durations in the histograms."""
    store = open_store(f"sqlite:///{directory}/dbre.db", clock=SystemClock())
    async with store as opened, opened.read() as connection:
        slots = select(func.sum(slo_slots.c.good * slo_slots.c.length)).join(
            slo_series, slo_series.c.id == slo_slots.c.series_id
        )
        counted = (await connection.execute(slots.where(slo_series.c.slo == "fast"))).scalar_one() or 0
        return counted, (await connection.execute(select(func.sum(slo_latencies.c.total)))).scalar_one() or 0


async def kill_again_and_again(directory: Path, kills: int) -> tuple[int, int, int]:
    """Batches acknowledged, and events counted and in histograms in the end."""
    port = choose_port()
    process = await start(directory, port)
    senders = [Sender(f"sender-{one}", port) for one in range(SENDERS)]
    tasks = [asyncio.ensure_future(one.run()) for one in senders]
    try:
        for turn in range(kills):
            before = sum(one.acknowledged for one in senders)
            async with asyncio.timeout(60):
                while sum(one.acknowledged for one in senders) < before + 40 + 13 * turn:  # noqa: ASYNC110 - of tasks that tell nobody
                    await asyncio.sleep(0.01)
            process.kill()
            await process.wait()
            process = await start(directory, port)
        for one in senders:
            one.stopping.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)
            wanted = BATCH * sum(one.acknowledged for one in senders)
            while await stored(directory) != (wanted, wanted):  # noqa: ASYNC110 - in another process
                await asyncio.sleep(0.2)
    except TimeoutError:
        assert await stored(directory) == (wanted, wanted)  # says by how much
    finally:
        for task in tasks:
            task.cancel()
        process.kill()
        await process.wait()
    return sum(one.acknowledged for one in senders), *await stored(directory)


@pytest.mark.slow
@pytest.mark.timeout(60 + 20 * KILLS)
async def test_kills_lose_nothing_and_double_nothing(tmp_path):
    acknowledged, counted, measured = await kill_again_and_again(tmp_path, KILLS)
    assert acknowledged > 0
    assert (counted, measured) == (acknowledged * BATCH, acknowledged * BATCH)
