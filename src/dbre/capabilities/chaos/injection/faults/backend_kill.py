"""``backend-kill``: one process of the server is killed, as the kernel does it when memory is short; also again and again."""

import asyncio
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from dbre.capabilities.chaos.injection.local_process import family, main_process
from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.core.config import Duration, between
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.core.text import printable, quoted
from dbre.lab.processes import Process, send
from dbre.ports.engine import Server

__all__ = ["BACKEND_KILL", "BackendKill", "BackendKillParameters"]


class BackendKillParameters(Parameters):
    """Which process, and how often."""

    only: str | None = Field(
        None, min_length=3, max_length=100, description="one whose title holds this text: checkpointer, a database, a user"
    )
    every: Annotated[Duration, between("1s", "1h")] | None = Field(None, description="again after this; default once")


class BackendKill(Fault):
    """SIGKILL to a child of the server's main process; how the others take it is the server's own affair."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._killed: list[str] = []
        self._last = 0.0
        self._is_over = False

    async def prepare(self) -> Mapping[str, Any]:
        """See that there is such a process."""
        await asyncio.to_thread(self._choose)
        return {}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Kill the first one."""
        await self._kill()
        return inverse

    async def tend(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing is remembered
        """Kill the next one when it is time."""
        every = self.scene.parameters.every
        if every is not None and asyncio.get_running_loop().time() - self._last >= every.total_seconds():
            try:
                await self._kill()
            except PrecheckFailed:
                return  # the server is just starting its processes again

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:  # noqa: ARG002 - nothing is remembered
        """On: one has been killed, and more may be. Off: nobody kills, and the server answers."""
        killed = f"{len(self._killed)} killed: {', '.join(self._killed[-3:])}" if self._killed else "none was killed by us"
        if self._killed and not self._is_over:
            return Sighting(True, killed)
        server: Server = self.scene.engines.get(self.scene.engine).connect(self.scene.access)
        try:
            await server.session.identify()
        except DbreError as error:
            return Sighting(True, f"{killed}; the server does not answer yet: {error.message}")
        finally:
            await server.aclose()
        return Sighting(False, f"{killed}; the server answers")

    async def end(self, inverse: Mapping[str, Any]) -> None:  # noqa: ARG002 - nothing is remembered
        """Kill no more; the server brings itself back."""
        self._is_over = True

    async def _kill(self) -> None:
        process, title = await asyncio.to_thread(self._choose)
        if not send(process, signal.SIGKILL):
            raise InjectionFailed(f"process {process.pid} of {self.scene.instance} ended before it was killed")
        self._last = asyncio.get_running_loop().time()
        self._killed.append(f"{process.pid} ({printable(title, limit=60)})")

    def _choose(self) -> tuple[Process, str]:
        main = main_process(self.scene.access.address)
        only = self.scene.parameters.only
        titles = [(one, _title(one)) for one in family(main) if one.pid != main.pid and one.is_alive]
        found = [(one, title) for one, title in titles if only is None or only in title]
        if not found:
            what = f"process with {quoted(only)} in its title" if only else "process besides the main one"
            raise PrecheckFailed(
                f"{self.scene.instance} has no {what}",
                hint="its titles: "
                + (printable("; ".join(title for _, title in titles), limit=500) or "none; kill it with crash"),
            )
        return secrets.choice(found)


def _title(process: Process) -> str:
    try:
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except OSError:  # ended meanwhile
        return ""
    return words.replace(b"\0", b" ").decode(errors="replace").strip()


BACKEND_KILL = FaultKind(
    name="backend-kill",
    summary="one of the server's processes is killed, as when memory runs out; PostgreSQL then restarts all of them",
    privilege="the server's account or root, on its machine",
    proof="the kernel took the signal for exactly that process",
    undo="no more are killed; seen to answer again",
    parameters=BackendKillParameters,
    make=BackendKill,
    is_local=True,
)
