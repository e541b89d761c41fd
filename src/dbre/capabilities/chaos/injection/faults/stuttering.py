"""``stutter``: a server is stopped for a moment again and again: every answer may come late, and every one comes."""

import asyncio
import signal
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.chaos.injection.local_process import family, known, main_process, noted, signal_all
from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.core.config import Duration, between
from dbre.core.errors import UsageError
from dbre.core.text import counted
from dbre.core.units import format_duration

__all__ = ["STUTTER", "Stutter", "StutterParameters"]

_POLL_SECONDS = 0.02


class StutterParameters(Parameters):
    """How long, and how often."""

    pause: Annotated[Duration, between("20ms", "5s")] = Field(timedelta(milliseconds=200), description="so long each time")
    every: Annotated[Duration, between("50ms", "1m")] = Field(timedelta(milliseconds=500), description="from stop to stop")

    @model_validator(mode="after")
    def _lets_it_work(self) -> Self:
        if self.pause > self.every * 0.9:
            raise UsageError(
                f"a pause of {format_duration(self.pause.total_seconds())} every {format_duration(self.every.total_seconds())}"
                " leaves the server no time",
                hint="at most 90 %; to stop it altogether: freeze",
            )
        return self


class Stutter(Fault):
    """SIGSTOP and SIGCONT in turns to the server's main process and to all that descend from it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._beating: asyncio.Task[None] | None = None
        self._stops = 0  # that the kernel showed

    async def prepare(self) -> Mapping[str, Any]:
        """Find the server's processes."""
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        return noted(family(main))

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Begin to stop it and let it go on."""
        self._beating = asyncio.create_task(self._beat(inverse))
        return inverse

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Whether the kernel has shown the server stopped since it began, and it goes on; else whether it is stopped now."""
        if self._beating is not None and not self._beating.cancelled():
            if self._beating.done():
                self._beating.result()
            asked: StutterParameters = self.scene.parameters
            pause, every = (format_duration(one.total_seconds()) for one in (asked.pause, asked.every))
            return Sighting(self._stops > 0, f"stopped {counted(self._stops, 'time')}, {pause} of every {every}")
        processes = await asyncio.to_thread(known, inverse)
        stopped = sum(one.is_stopped for one in processes)
        return Sighting(stopped > 0, f"{stopped} of {counted(len(processes), 'process', 'processes')} stopped")

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Stop it no more, and let all of it go on."""
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait({self._beating})
        signal_all(await asyncio.to_thread(known, inverse), signal.SIGCONT)
        await asyncio.sleep(_POLL_SECONDS)

    async def tend(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - what is to be undone does not change
        """Fail where the server is gone: it is another one's affair then."""
        if self._beating is not None and self._beating.done():
            self._beating.result()

    async def _beat(self, inverse: Mapping[str, Any]) -> None:
        """Signals go out from this task alone, so that none comes after it was cancelled."""
        asked: StutterParameters = self.scene.parameters
        pause, rest = asked.pause.total_seconds(), (asked.every - asked.pause).total_seconds()
        while True:
            processes = await asyncio.to_thread(known, inverse)  # its clients come and go
            if not processes:
                raise InjectionFailed(f"the processes of {self.scene.instance} have ended meanwhile")
            signal_all(processes, signal.SIGSTOP)
            await asyncio.sleep(pause)
            self._stops += any(one.is_stopped for one in await asyncio.to_thread(known, inverse))
            signal_all(processes, signal.SIGCONT)
            await asyncio.sleep(rest)


def _make(scene: Scene) -> Fault:
    return Stutter(scene)


STUTTER = FaultKind(
    name="stutter",
    summary="the server's processes are stopped for a moment again and again: answers come late",
    privilege="the server's account or root, on its machine",
    proof="the kernel's state of the processes, in each pause",
    undo="SIGCONT to each",
    parameters=StutterParameters,
    make=_make,
    is_local=True,
)
