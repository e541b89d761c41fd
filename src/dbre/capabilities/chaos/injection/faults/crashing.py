"""``crash``: a server's processes are killed at once, as by a machine that loses its memory but not its disk."""

import asyncio
import signal
import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import Field

from dbre.capabilities.chaos.injection.local_process import (
    family,
    is_listening,
    is_taken_up,
    known,
    main_process,
    noted,
    processes_at,
    signal_all,
)
from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.capabilities.chaos.injection.restarting import how_it_was_started, lives, log_of, start_again
from dbre.core.fleet import Address
from dbre.core.text import counted
from dbre.lab.processes import Process

__all__ = ["CRASH", "Crash", "CrashParameters", "Restart"]

_SECONDS = 5.0
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.1  # each one reads tables of the kernel, maybe of many namespaces
_START_SECONDS = 20.0
_TAKEN_UP_SECONDS = 10.0  # some inits look every few seconds


class Restart(StrEnum):
    """Who brings the server back."""

    SUPERVISOR = "supervisor"  # whoever runs it: systemd, Patroni; the injector only waits for it
    SAME = "same"  # the injector, with the words it was started with


class CrashParameters(Parameters):
    """How a crash ends."""

    restart: Restart = Field(Restart.SUPERVISOR, description="who starts the server again: its supervisor, or the injector")
    beside: str | None = Field(
        None, max_length=300, description="host:port of the program that runs the server, such as Patroni: it dies too"
    )

    @property
    def starts_server(self) -> bool:
        """Where nobody else does: a Patroni that is started again asks who leads first."""
        return self.restart is Restart.SAME and self.beside is None


class Crash(Fault):
    """SIGKILL to the server's main process and to all that descend from it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._log: int | None = None  # of the server before it was killed
        self._started: Process | None = None  # by us, once; it may take its time to listen

    async def prepare(self) -> Mapping[str, Any]:
        """Find the server's processes, and how the main one was started."""
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        beside = self.scene.parameters.beside
        programs = await asyncio.to_thread(processes_at, beside) if beside is not None else []
        found: dict[str, Any] = noted([*family(main), *programs])
        if self.scene.parameters.restart is Restart.SAME:
            starts = programs[0] if programs else main  # who runs the server starts it
            found["start"] = how_it_was_started(starts.pid)
            self._log = log_of(starts.pid)
        return found

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Kill the main process first, so that it cannot replace its children."""
        deadline = time.monotonic() + _SECONDS
        while living := known(inverse):
            if time.monotonic() > deadline:
                left = counted(len(living), "process", "processes")
                raise InjectionFailed(f"{left} of {self.scene.instance} left after SIGKILL")
            signal_all(living, signal.SIGKILL)
            await asyncio.sleep(_POLL_SECONDS)
        return {**inverse, "killed": True}

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Whether a server listens again; one that never died is none that crashed."""
        if not inverse.get("killed") and known(inverse):
            return Sighting(False, "the server was not killed")
        is_back = await asyncio.to_thread(is_listening, self.scene.access.address)
        return Sighting(not is_back, f"{'somebody' if is_back else 'nobody'} listens at {self.scene.access.address}")

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Start it again if that is ours to do, and nobody did; wait a while for it to listen."""
        address = self.scene.access.address
        beside = self.scene.parameters.beside
        starts = Address.parse(beside, default_port=0) if beside is not None else address
        if (
            "start" in inverse
            and not known(inverse)
            and not (self._started and lives(self._started))
            and not is_listening(starts)
        ):
            await self._until_taken_up(inverse)
            self._started = Process.read(start_again(inverse["start"], log=self._log))
        deadline = time.monotonic() + _START_SECONDS
        while not is_listening(address) and time.monotonic() < deadline:  # noqa: ASYNC110 - another program's doing
            await asyncio.sleep(_LOOK_SECONDS)

    async def _until_taken_up(self, inverse: Mapping[str, Any]) -> None:
        """Servers do not start while the number in their lock file is of some process, and dead ones wait for init."""
        deadline = time.monotonic() + _TAKEN_UP_SECONDS
        while not is_taken_up(inverse) and time.monotonic() < deadline:  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(_POLL_SECONDS)


def _make(scene: Scene) -> Fault:
    return Crash(scene)


CRASH = FaultKind(
    name="crash",
    summary="the server's processes are killed",
    privilege="the server's account or root, on its machine",
    proof="the processes are gone, and nobody listens at the address",
    undo="its supervisor starts it, or the injector does with the same words; seen to listen again",
    parameters=CrashParameters,
    make=_make,
    is_local=True,
    is_outage=True,
)
