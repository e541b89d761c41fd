"""Start a program such that the start may be cancelled."""

import asyncio
import contextlib
import os
import signal
from typing import Any

__all__ = ["start"]


async def start(*words: str, **options: Any) -> asyncio.subprocess.Process:
    """``asyncio.create_subprocess_exec``, in a session of its own; cancelled, it leaves no process and does not hang.

    Who cancels asyncio's own start between the fork and the connection of the pipes waits for ever: the transport is woken
    only once every pipe was lost, and those that were never connected are never lost (CPython 3.11 to 3.13,
    ``BaseSubprocessTransport._try_finish``). So the start is always let come to its end, and then undone.

    Raises: OSError where the program cannot be run.
    """
    starting = asyncio.ensure_future(asyncio.create_subprocess_exec(*words, start_new_session=True, **options))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _undo(starting)
        raise


async def _undo(starting: "asyncio.Future[asyncio.subprocess.Process]") -> None:
    while not starting.done():
        with contextlib.suppress(asyncio.CancelledError):  # it is a matter of milliseconds, and we are ending anyway
            await asyncio.wait([starting])
    if starting.cancelled() or starting.exception() is not None:
        return
    process = starting.result()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(asyncio.CancelledError):
        await process.wait()
