"""``freeze``: every process of a server is stopped; its sockets stay open and nobody answers."""

import asyncio
import signal
import time
from collections.abc import Mapping
from typing import Any

from dbre.capabilities.chaos.injection.local_process import family, known, main_process, noted, signal_all
from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, NoParameters, Scene, Sighting

__all__ = ["FREEZE", "Freeze"]

_SECONDS = 5.0
_POLL_SECONDS = 0.02


class Freeze(Fault):
    """SIGSTOP to the server's main process and to all that descend from it."""

    async def prepare(self) -> Mapping[str, Any]:
        """Find the server's processes."""
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        return noted(family(main))

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stop the main process first, so that it makes no further ones, and then the others."""
        deadline = time.monotonic() + _SECONDS
        while moving := [one for one in known(inverse) if not one.is_stopped]:
            if time.monotonic() > deadline:
                raise InjectionFailed(f"{len(moving)} processes of {self.scene.instance} cannot be stopped")
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
        return Sighting(stopped > 0, f"{stopped} of {len(processes)} processes stopped")

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Let all of them go on."""
        signal_all(known(inverse), signal.SIGCONT)
        await asyncio.sleep(_POLL_SECONDS)


def _make(scene: Scene) -> Fault:
    return Freeze(scene)


FREEZE = FaultKind(
    name="freeze",
    summary="the server's processes are stopped: connections stay open, and nobody answers",
    privilege="the server's account or root, on its machine",
    proof="the kernel's state of each process",
    undo="SIGCONT to each",
    parameters=NoParameters,
    make=_make,
    is_local=True,
    is_outage=True,
)
