"""The runner's side of one injector: started, told to go on each second, ended, and seen to have ended."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from dbre.capabilities.chaos.injection.lease import LEASE_SECONDS, RENEWAL_SECONDS
from dbre.capabilities.chaos.injection.model import InjectionFailed, InjectionRefused, NotReverted
from dbre.capabilities.chaos.injection.order import Order
from dbre.core.programs.starting import start

__all__ = ["Injection"]

_STARTING_SECONDS = 60.0
_LEAVING_SECONDS = 10.0  # of a process that has nothing left to do
_FORWARDED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV")


def _remove_empty(log: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if os.stat(log).st_size == 0:  # noqa: PTH116 - a blocking call, and a short one
            os.unlink(log)  # noqa: PTH108 - as above


class Injection:
    """One fault in the hands of its injector."""

    def __init__(self, process: asyncio.subprocess.Process, order: Order) -> None:
        self._process = process
        self.order = order
        self.is_on = False
        self.detail = ""  # what was last seen
        self.why = ""  # why it was ended
        self.is_reverted = False
        self._failure: str | None = None
        self._hint: str | None = None  # what may help against it
        self._is_refusal = False  # whether it looked, and did not begin
        self._changed = asyncio.Event()
        self._heard = asyncio.get_running_loop().time()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._renew())]

    @classmethod
    async def start(cls, program: Sequence[str], order: Order) -> Self:
        """Start the injector with its order; returns before the fault is on."""
        directory = Path(order.directory)
        os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - a blocking call, and a short one
        log = os.open(
            directory / f"{order.id}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            # In a session of its own: Ctrl-C reaches us, and through the pipe the injector.
            process = await start(
                *program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={name: value for name in _FORWARDED if (value := os.environ.get(name)) is not None},
            )
        finally:
            os.close(log)
        found = cls(process, order)
        found._write(order.line())
        return found

    @property
    def has_ended(self) -> bool:
        """Whether the injector says that its fault is gone, or never came."""
        return self.is_reverted or self._failure is not None or self._process.returncode is not None

    @property
    def silent_seconds(self) -> float:
        """How long the injector has not said that it lives."""
        return asyncio.get_running_loop().time() - self._heard

    async def wait_until_on(self) -> None:
        """Wait until the fault was seen. Raises: InjectionFailed with the reason; InjectionRefused where nothing was begun."""
        try:
            async with asyncio.timeout(_STARTING_SECONDS):
                while not self.is_on and not self.has_ended:
                    await self._next()
        except TimeoutError as error:
            raise InjectionFailed(f"{self._name} was not on within {_STARTING_SECONDS:.0f} s") from error
        if not self.is_on:
            message, hint = f"{self._name}: {self._failure or self._died()}", self._hint or "see dbre chaos faults"
            if self._is_refusal:
                raise InjectionRefused(message, hint=hint, context={"is_refusal": True})
            raise InjectionFailed(message, hint=hint)

    async def end(self, *, limit_seconds: float) -> None:
        """Ask for the way back and wait for its proof. Raises: NotReverted after the limit; the injector goes on trying."""
        self._write(b"end\n")
        try:
            async with asyncio.timeout(limit_seconds):
                while not self.has_ended:
                    await self._next()
        except TimeoutError as error:
            raise self._not_reverted(f"is still there after {limit_seconds:.0f} s: {self.detail}") from error
        finally:
            await self._leave()
        if not self.is_reverted and self._failure is None:
            raise self._not_reverted(self._died())

    async def kill(self) -> None:
        """End an injector that does not answer; its fault stays, and is for ``heal``."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await self._leave()

    @property
    def is_silent(self) -> bool:
        """Whether the injector is stopped or hangs."""
        return self.is_on and not self.has_ended and self.silent_seconds > 2 * LEASE_SECONDS

    @property
    def _name(self) -> str:
        return f"{self.order.fault} on {self.order.instance}"

    def _not_reverted(self, what: str) -> NotReverted:
        return NotReverted(f"{self._name} {what}", hint="dbre chaos heal", context={"fault": self.order.id})

    def _died(self) -> str:
        status = self._process.returncode
        return f"its injector ended with status {status}; see {self.order.directory}/{self.order.id}.log"

    async def _leave(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()  # whatever else goes wrong: the end of the pipe ends the fault
        if self.is_reverted or self._failure is not None:
            await asyncio.wait(self._tasks[:1], timeout=_LEAVING_SECONDS)
            _remove_empty(f"{self.order.directory}/{self.order.id}.log")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _next(self) -> None:
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self._changed.wait()

    def _write(self, line: bytes) -> None:
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._process.stdin.write(line)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWAL_SECONDS)
            self._write(b"lease\n")

    async def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 -- opened with a pipe
        while line := await self._process.stdout.readline():
            self._heard = asyncio.get_running_loop().time()
            with contextlib.suppress(ValueError):
                self._take(json.loads(line))
            self._changed.set()
        await self._process.wait()
        self._changed.set()

    def _take(self, said: Mapping[str, Any]) -> None:
        self.detail = str(said.get("detail", self.detail))
        match said.get("state"):
            case "on":
                self.is_on = True
            case "reverted":
                self.is_reverted, self.why = True, str(said.get("why", ""))
            case "failed":
                self._failure = self.detail
                self._hint = str(said["hint"]) if said.get("hint") else None
                self._is_refusal = said.get("is_refusal") is True
