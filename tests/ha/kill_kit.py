"""The process that runs an operation ends by SIGKILL, at a moment that is counted."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from dbre.core.clock import SystemClock
from dbre.core.store import Store, open_store


class Failpoints:
    """Counts the moments before and after each commit; ends the process at one of them, whatever it was doing."""

    def __init__(self, number: int) -> None:
        self._left = number

    async def before(self, _: str) -> None:
        await self._pass()

    async def after(self, _: str) -> None:
        await self._pass()

    async def _pass(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def die_in(url: str, run: Callable[[Store], Awaitable[object]]) -> bool:
    """Run something over a store of its own in a child process; whether the child was killed."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_run(url, run))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


async def _run(url: str, run: Callable[[Store], Awaitable[object]]) -> None:
    async with open_store(url, clock=SystemClock()) as store:
        await run(store)
