"""A server on a restored directory as a child of this process: for engines whose server is one program."""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import DbreError
from dbre.core.programs.account import Account, give
from dbre.core.programs.confined import Confinement
from dbre.core.programs.run import Child, spawn
from dbre.core.text import printable
from dbre.ports.backup.errors import RecoveryFailed
from dbre.ports.engine import Access

__all__ = ["ChildServer", "Launch", "child_server", "write_private"]

_POLL_SECONDS = 0.1
_STOP_SECONDS = 600.0
_LOG_LINES = 200
_TAIL_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is started, where, and how one sees that it is up."""

    words: Sequence[str | Path]  # after those of the confinement
    program: str  # its name in messages
    directory: Path
    access: Access
    ask: Callable[[], Awaitable[object]]  # returns when it is up
    not_yet: tuple[type[DbreError], ...]  # what ``ask`` raises until then
    timeout_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildServer:
    """A server that runs on a copy."""

    access: Access
    child: Child
    log: deque[str]

    async def stop(self) -> None:
        """End it in order. Raises: RecoveryFailed where it does not end, or ends with an error."""
        self.child.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                status = await self.child.wait()
        except TimeoutError as error:
            message = f"the recovered server did not stop within {_STOP_SECONDS:.0f} s{self._tail()}"
            raise RecoveryFailed(message) from error
        if status != 0:
            raise RecoveryFailed(f"the recovered server stopped with {status}{self._tail()}")

    async def wait_until_up(self, launch: Launch) -> None:
        """Ask until it answers. Raises: RecoveryFailed with the end of its log."""
        deadline = time.monotonic() + launch.timeout_seconds
        while True:
            if self.child.status is not None:
                status = await self.child.wait()
                raise RecoveryFailed(
                    f"the server that was started from the copy ended with {status}{self._tail()}",
                    hint="see its last lines; verify the set, and try another one",
                )
            try:
                await launch.ask()
            except launch.not_yet as error:
                if time.monotonic() > deadline:
                    message = f"the server that was started from the copy does not answer: {error.message}{self._tail()}"
                    raise RecoveryFailed(message, hint="see its last lines") from error
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return

    def _tail(self) -> str:
        return "".join(f"\n{printable(line, limit=400)}" for line in list(self.log)[-_TAIL_LINES:])


@asynccontextmanager
async def child_server(launch: Launch, confinement: Confinement) -> AsyncIterator[ChildServer]:
    """Start it and wait until it answers; it is killed at the end.

    Raises: RecoveryFailed with the end of its log.
    """
    log: deque[str] = deque(maxlen=_LOG_LINES)
    async with spawn(
        [*confinement.prefix, *launch.words],
        account=confinement.account,
        directory=launch.directory,
        on_line=log.append,
        program=launch.program,
    ) as child:
        server = ChildServer(access=launch.access, child=child, log=log)
        await server.wait_until_up(launch)
        yield server


def write_private(path: Path, text: str, account: Account) -> None:
    """A new file that only the account may read, such as one with a password. Raises: FileExistsError."""
    with open(path, "x", encoding="utf-8", opener=_private) as file:
        file.write(text)
    give(path, account)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)
