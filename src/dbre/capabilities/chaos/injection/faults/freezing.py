"""``freeze``: every process of a server is stopped; its sockets stay open and nobody answers."""

import asyncio
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from dbre.capabilities.chaos.injection.local_process import (
    family,
    known,
    main_process,
    noted,
    processes_at,
    signal_all,
)
from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.core.errors import PrecheckFailed
from dbre.core.text import counted, printable, quoted
from dbre.lab.processes import Process

__all__ = ["FREEZE", "Freeze", "FreezeParameters"]

_SECONDS = 5.0
_POLL_SECONDS = 0.02


class FreezeParameters(Parameters):
    """Which processes are stopped."""

    only: str | None = Field(
        None, min_length=3, max_length=100, description="those whose title holds this text; default all: startup, archiver"
    )
    beside: str | None = Field(
        None, max_length=300, description="host:port of the program that runs the server, such as Patroni: it is stopped too"
    )


class Freeze(Fault):
    """SIGSTOP to the server's main process and to all that descend from it, or to some of them."""

    async def prepare(self) -> Mapping[str, Any]:
        """Find the server's processes."""
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        processes, only = family(main), self.scene.parameters.only
        if only is None:
            beside = self.scene.parameters.beside
            return noted([*processes, *(await asyncio.to_thread(processes_at, beside) if beside is not None else [])])
        titles = await asyncio.to_thread(_titles, processes)
        chosen = [one for one in processes if only in titles[one.pid]]
        if not chosen:
            raise PrecheckFailed(
                f"no process of {self.scene.instance} has {quoted(only)} in its title",
                hint="its titles: " + printable("; ".join(titles.values()), limit=500),
            )
        if main in chosen:  # its planner went by the server's going on
            raise PrecheckFailed(
                f"the main process of {self.scene.instance} has {quoted(only)} in its title too",
                hint="name a part, or leave out only",
            )
        return noted(chosen)

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stop the main process first, so that it makes no further ones, and then the others."""
        deadline = time.monotonic() + _SECONDS
        while moving := [one for one in known(inverse) if not one.is_stopped]:
            if time.monotonic() > deadline:
                left = counted(len(moving), "process", "processes")
                raise InjectionFailed(f"{left} of {self.scene.instance} cannot be stopped")
            signal_all(moving, signal.SIGSTOP)
            await asyncio.sleep(_POLL_SECONDS)
        found = known(inverse)
        if not found:
            raise InjectionFailed(f"the processes of {self.scene.instance} ended before they were stopped")
        return noted(found)

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Ask the kernel for the state of each process."""
        processes = known(inverse)
        stopped = sum(one.is_stopped for one in processes)
        return Sighting(stopped > 0, f"{stopped} of {counted(len(processes), 'process', 'processes')} stopped")

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Let all of them go on."""
        signal_all(known(inverse), signal.SIGCONT)
        await asyncio.sleep(_POLL_SECONDS)


def _titles(processes: list[Process]) -> dict[int, str]:
    found = {}
    for one in processes:
        try:
            words = Path(f"/proc/{one.pid}/cmdline").read_bytes()
        except OSError:  # ended meanwhile, or not ours to look at
            words = b""
        found[one.pid] = words.replace(b"\0", b" ").decode(errors="replace").strip()
    return found


def _make(scene: Scene) -> Fault:
    return Freeze(scene)


FREEZE = FaultKind(
    name="freeze",
    summary="the server's processes are stopped, or only those of a title: connections stay open, and nobody answers",
    privilege="the server's account or root, on its machine",
    proof="the kernel's state of each process",
    undo="SIGCONT to each",
    parameters=FreezeParameters,
    make=_make,
    is_local=True,
    is_outage=True,
    outage_when=lambda written: "only" not in written,
)
