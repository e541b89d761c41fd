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
        self._reader: asyncio.Task[None] | None = None

    def watch(self, stream: asyncio.StreamReader) -> None:
        """Listen to the pipe and to signals from now on."""
        self._heard = time.monotonic()
        self._reader = asyncio.create_task(self._listen(stream))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._end, f"{signal.Signals(number).name} was sent to the injector")

    def restart(self, *, seconds: float) -> None:
        """Count its time from now on: the fault has just come."""
        self._deadline = time.monotonic() + seconds

    @property
    def over(self) -> str | None:
        """Why the fault has to go; None while it may stay."""
        now = time.monotonic()
        if self._why is None and now >= self._deadline:
            self._why = "its time is over"
        if self._why is None and now - self._heard > LEASE_SECONDS:
            self._why = f"its runner has not renewed the lease for {now - self._heard:.1f} s"
        return self._why

    async def ended(self) -> str:
        """Wait until the fault has to go; gives why."""
        while (why := self.over) is None:  # noqa: ASYNC110 - by the clock: we may have been stopped ourselves
            await asyncio.sleep(_LOOK_SECONDS)
        return why

    def _end(self, why: str) -> None:
        self._why = self._why or why

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
