"""Starts of programs that are cancelled."""

import asyncio
import os
from pathlib import Path

import pytest

from dbre.core.programs.starting import start

PIPE = asyncio.subprocess.PIPE


async def _sleeping(marker: str) -> asyncio.subprocess.Process:
    return await start("sh", "-c", "sleep 300; :", marker, stdin=PIPE, stdout=PIPE, stderr=PIPE)


def _is_alive(marker: str) -> bool:
    """Whether a process has this word among its arguments."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker in path.read_bytes().decode(errors="replace").split("\0"):
                return True
        except OSError:  # it ended meanwhile
            continue
    return False


async def _has_gone(marker: str) -> None:
    for _ in range(1200):
        if not _is_alive(marker):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{marker} lives on")


@pytest.mark.parametrize("turns", range(12))
async def test_a_start_that_is_cancelled_at_any_turn_of_the_loop_ends_and_leaves_nothing(turns: int) -> None:
    marker = f"dbre-start-{os.getpid()}-{turns}"
    starting = asyncio.create_task(_sleeping(marker))
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    async with asyncio.timeout(60):
        [ended] = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(ended, asyncio.subprocess.Process):  # it was faster than we were
            assert _is_alive(marker)
            ended.kill()
            await ended.wait()
        else:
            assert isinstance(ended, asyncio.CancelledError)
        await _has_gone(marker)


async def test_a_start_that_is_cancelled_again_and_again_ends_and_leaves_nothing() -> None:
    marker = f"dbre-start-{os.getpid()}-again"
    starting = asyncio.create_task(_sleeping(marker))
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        while not starting.done():
            starting.cancel()
            await asyncio.sleep(0)
        assert starting.cancelled()
        await _has_gone(marker)


async def test_a_program_that_is_not_there_is_an_error_of_the_system() -> None:
    with pytest.raises(FileNotFoundError):
        await start("/nowhere/at/all", stdout=PIPE)
