"""One client process as who started it sees it: started, heard, told to end."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Sequence
from typing import Any, Self

from dbre.capabilities.ha.clients.order import ClientOrder
from dbre.core.errors import DbreError, UsageError
from dbre.core.packets.namespaces import NAMED
from dbre.core.programs.starting import start
from dbre.core.text import quoted

__all__ = ["ClientDied", "Worker"]

_FORWARDED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "VIRTUAL_ENV")
_STARTING_SECONDS = 60.0
_LONGEST_WORD = 500
_PATIENCE_SECONDS = 30.0  # beyond the deadline of the last act


class ClientDied(DbreError):
    """A client process ended before it was told to: what it saw after that is not known."""

    code = "ha.client_died"


class Worker:
    """A client process."""

    def __init__(self, process: asyncio.subprocess.Process, order: ClientOrder) -> None:
        self._process = process
        self.order = order
        self.acked = self.failed = self.unknown = 0
        self.last_ack_seconds: float | None = None  # of the history
        self.last_node: str | None = None
        self._state = "starting"
        self._detail = ""
        self._changed = asyncio.Event()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._hear_errors())]

    @classmethod
    async def start(cls, program: Sequence[str], order: ClientOrder, *, namespace: str | None) -> Self:
        """Start a client with its order. Raises: UsageError where the namespace cannot be entered."""
        if namespace is not None and not (NAMED / namespace).exists():
            raise UsageError(f"there is no network namespace {quoted(namespace, limit=80)} here", hint="see ip netns list")
        enter = ("ip", "netns", "exec", namespace) if namespace is not None else ()
        try:
            process = await start(
                *enter,
                *program,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={name: value for name in _FORWARDED if (value := os.environ.get(name)) is not None},
            )
        except FileNotFoundError as error:
            raise UsageError(
                f"{(*enter, *program)[0]} is not there", hint="namespaces need ip (apt: iproute2) and root"
            ) from error
        assert process.stdin is not None  # noqa: S101 -- opened with a pipe
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # then it says why it ended
            process.stdin.write(order.line())
            await process.stdin.drain()
        return cls(process, order)

    @property
    def has_ended(self) -> bool:
        """Whether it acts no more."""
        return self._state in ("ended", "failed", "gone")

    async def wait_until_on(self) -> None:
        """Wait until it acts. Raises: ClientDied with what it said."""
        await self._wait(lambda: self._state != "starting", _STARTING_SECONDS)
        if self._state in ("failed", "gone", "starting"):
            raise ClientDied(f"client {self.order.name} did not start: {self._detail or self._state}", hint="dbre ha probe -vv")

    def tell_to_end(self) -> None:
        """Ask it to begin nothing any more."""
        if self._process.stdin is not None and not self._process.stdin.is_closing():
            self._process.stdin.close()

    async def end(self, *, is_told: bool = True) -> str | None:
        """Wait for what is under way; gives why it ended otherwise than it should, if it did."""
        if is_told:
            self.tell_to_end()
        seconds = None if not is_told else self.order.deadline_seconds + self.order.connect_seconds + _PATIENCE_SECONDS
        await self._wait(lambda: self.has_ended, seconds)
        await self.kill()
        if self._state == "ended":
            return None
        return f"client {self.order.name} {self._state}: {self._detail or 'it did not end'}"

    async def kill(self) -> None:
        """Leave no process."""
        if self._process.returncode is None and not self.has_ended:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.tell_to_end()
        await self._process.wait()
        await asyncio.wait(self._tasks)

    async def _wait(self, is_reached: Any, seconds: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not is_reached():
                    self._changed.clear()
                    await self._changed.wait()

    async def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 -- opened with a pipe
        while line := await self._process.stdout.readline():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                self._take(json.loads(line))
            self._changed.set()
        await self._process.wait()
        if not self.has_ended:
            self._state = "gone"
        self._changed.set()

    async def _hear_errors(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 -- opened with a pipe
        while line := await self._process.stderr.readline():
            self._detail = line.decode("utf-8", "replace").strip()[:_LONGEST_WORD] or self._detail

    def _take(self, said: dict[str, Any]) -> None:
        self._state = said["state"]
        self._detail = str(said.get("detail", self._detail))
        self.acked, self.failed = int(said.get("acked", self.acked)), int(said.get("failed", self.failed))
        self.unknown = int(said.get("unknown", self.unknown))
        last = said.get("last_ack")
        self.last_ack_seconds = last / 1e9 if last is not None else self.last_ack_seconds
        self.last_node = said.get("last_node") or self.last_node
