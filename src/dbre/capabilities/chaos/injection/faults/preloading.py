"""Faults by a library that is loaded before all others: the server is started anew with it, and once more without."""

import asyncio
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from dbre.capabilities.chaos.injection.local_process import family, is_listening, main_process
from dbre.capabilities.chaos.injection.model import Fault, InjectionFailed, Parameters, Scene
from dbre.capabilities.chaos.injection.restarting import (
    how_it_was_started,
    lives,
    log_of,
    start_again,
    stop_in_order,
    wait_until_listening,
)
from dbre.core.errors import DbreError, PrecheckFailed
from dbre.lab.processes import Process
from dbre.ports.engine import Server

__all__ = ["Preloaded", "PreloadedParameters"]

_STOP_SECONDS = 20.0
_START_SECONDS = 25.0
_POLL_SECONDS = 0.1
_TAG = "DBRE_CHAOS"


class PreloadedParameters(Parameters):
    """What all of them have to be told."""

    restarts: bool = Field(False, description="has to be yes: the server is stopped and started twice")

    @property
    def starts_server(self) -> bool:
        """Without the library, in the end."""
        return True


class Preloaded(Fault):
    """The server runs with the library and the fault's tag in its environment, by which it is known again."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._log: int | None = None  # of the server that was stopped last
        self._again: Process | None = None  # started without the library; it may take its time to listen

    async def prepare(self) -> Mapping[str, Any]:
        """See that it may be restarted and how. Raises: PrecheckFailed."""
        if not self.scene.parameters.restarts:
            raise PrecheckFailed(
                f"{self.scene.instance} would be stopped and started twice, which was not agreed", hint="add restarts=yes"
            )
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        return {"start": await asyncio.to_thread(how_it_was_started, main.pid)}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Stop it, start it with the library, and wait until it answers."""
        await self._stop()
        await self._start(inverse, {**await self.environment(inverse), _TAG: self.scene.id})
        return inverse

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Stop it if it runs with the library, and start it without."""
        if await asyncio.to_thread(self.is_tagged):
            await self._stop()
        if not await asyncio.to_thread(is_listening, self.scene.access.address):
            await self._start(inverse, {})

    @abstractmethod
    async def environment(self, inverse: Mapping[str, Any]) -> dict[str, str]:
        """What the server gets besides."""

    def is_tagged(self) -> bool:
        """Whether the server, or what is left of it, runs with this fault's library."""
        try:
            main = main_process(self.scene.access.address)
        except PrecheckFailed:  # nobody listens
            return False
        wanted = f"{_TAG}={self.scene.id}".encode()
        return any(wanted in _environment(one) for one in family(main)[:1])

    async def _stop(self) -> None:
        port = self.scene.engines.get(self.scene.engine).mischief(self.scene.access)
        main = await asyncio.to_thread(main_process, self.scene.access.address)
        self._log = await asyncio.to_thread(log_of, main.pid)
        await asyncio.to_thread(stop_in_order, main, port.stop_signal, limit_seconds=_STOP_SECONDS)

    async def _start(self, inverse: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        if environment or self._again is None or not lives(self._again):
            pid = await asyncio.to_thread(partial(start_again, inverse["start"], environment, log=self._log))
            self._again = None if environment else Process.read(pid)
        if not await asyncio.to_thread(wait_until_listening, self.scene.access.address, limit_seconds=_START_SECONDS):
            raise InjectionFailed(f"{self.scene.instance} does not listen after it was started", hint="see the server's log")
        deadline = asyncio.get_running_loop().time() + _START_SECONDS
        server: Server = self.scene.engines.get(self.scene.engine).connect(self.scene.access)
        try:
            while True:
                try:
                    await server.session.identify()
                except DbreError:
                    if asyncio.get_running_loop().time() > deadline:
                        raise
                    await asyncio.sleep(_POLL_SECONDS)
                else:
                    return
        finally:
            await server.aclose()


def _environment(process: Process) -> list[bytes]:
    try:
        return Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except OSError as error:
        raise PrecheckFailed(
            f"the environment of process {process.pid} cannot be read: {error.strerror}",
            hint="run it as its account, or as root",
        ) from error
