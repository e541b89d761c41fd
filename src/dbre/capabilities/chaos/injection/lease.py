"""How long a fault may stay: as long as its runner says so each second, and never past its deadline."""

import asyncio
import signal
import sys
import time

__all__ = ["LEASE_SECONDS", "RENEWAL_SECONDS", "Lease"]

LEASE_SECONDS = 3.0
RENEWAL_SECONDS = 1.0
_LOOK_SECONDS = 0.1


class Lease:
    """The injector's end of the runner's pipe. ``over`` says why the fault has to go, once it has."""

    def __init__(self, *, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._heard = time.monotonic()
        self._why: str | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self, stream: asyncio.StreamReader) -> None:
        """Listen to the pipe and to signals from now on."""
        self._heard = time.monotonic()
        self._tasks = [asyncio.create_task(self._listen(stream)), asyncio.create_task(self._count())]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, f"{signal.Signals(number).name} was sent to the injector")

    def restart(self, *, seconds: float) -> None:
        """Count its time from now on: the fault has just come."""
        self._deadline = time.monotonic() + seconds

    @property
    def over(self) -> str | None:
        """Why the fault has to go; None while it may stay."""
        if self._why is None and time.monotonic() >= self._deadline:
            self._why = "its time is over"
        return self._why

    async def ended(self) -> str:
        """Wait until the fault has to go; gives why."""
        while (why := self.over) is None:  # noqa: ASYNC110 - by the clock: we may have been stopped ourselves
            await asyncio.sleep(_LOOK_SECONDS)
        return why

    def _end(self, why: str) -> None:
        self._why = self._why or why

    async def _count(self) -> None:
        """Overdue at two looks: where we ourselves were held up, what the runner said meanwhile is read in between."""
        was_overdue = False
        while True:
            silent = time.monotonic() - self._heard
            if was_overdue and silent > LEASE_SECONDS:
                self._end(f"its runner has not renewed the lease for {silent:.1f} s")
            was_overdue = silent > LEASE_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)

    async def _listen(self, stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            self._heard = time.monotonic()
            if line.strip() == b"end":
                self._end("its runner ended it")
        self._end("its runner is gone: the pipe is closed")


async def standard_input() -> asyncio.StreamReader:
    """The pipe from the runner."""
    stream = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), sys.stdin.buffer)
    return stream
