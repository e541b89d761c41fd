"""A userland watchdog beside each node of a Patroni lab, as docs/reference/failover.md says to set it up."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

from dbre.lab.errors import LabError
from dbre.lab.patroni.server import PatroniServer

__all__ = ["watchdogs"]

_PIPE_SECONDS = 30.0


@asynccontextmanager
async def watchdogs(nodes: Sequence[PatroniServer], *, margin_seconds: int) -> AsyncIterator[None]:
    """Start them, then start each node again with its watchdog required; they go away at the end of the block."""
    async with AsyncExitStack() as stack:
        for one in nodes:
            await stack.enter_async_context(_beside(one))
        for one in nodes:
            device = str(one.directory / "watchdog")
            guarded = {"mode": "required", "driver": "testing", "device": device, "safety_margin": margin_seconds}
            one.options = replace(one.options, watchdog=guarded)
        for one in nodes:
            await one.stop()
        await asyncio.gather(*(one.start() for one in nodes))
        yield


@asynccontextmanager
async def _beside(node: PatroniServer) -> AsyncIterator[None]:
    device, words = node.directory / "watchdog", [sys.executable, "-P", "-m", "dbre", "ha", "watchdog", "patroni"]
    with (node.directory / "watchdog.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *words, "--device", str(device), "--data-directory", str(node.data_directory), stdout=log, stderr=log
        )
    try:
        end = asyncio.get_running_loop().time() + _PIPE_SECONDS
        while not device.is_fifo():
            if process.returncode is not None or asyncio.get_running_loop().time() > end:
                raise LabError(f"no watchdog beside {node.name}: {(node.directory / 'watchdog.log').read_text()[-500:]}")
            await asyncio.sleep(0.1)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
