"""Programs of others, run to their end: as which account, with what environment, and never left behind."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.starting import start
from dbre.core.text import printable

__all__ = ["Child", "Finished", "clean_environment", "run", "spawn"]

_TAIL_LINES = 12
_TAIL_CHARACTERS = 4000
_LINE_BYTES = 1 << 20  # a longer line is handed over in parts
_KILL_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A program that ended with 0, and what it printed."""

    stdout: str
    stderr: str
    seconds: float


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of children: none of the caller's PG* or MYSQL* variables can reach them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(home), "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


async def run(
    argv: Sequence[str | Path],
    *,
    account: Account,
    directory: Path,
    timeout_seconds: float = 120.0,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | Path | None = None,
    program: str | None = None,
    leaves_servers: bool = False,
) -> Finished:
    """Run a program to its end in ``directory``, with ``environment`` added to a clean one.

    ``stdin`` is what it reads: bytes, or a file that we open, however large.
    ``program`` is what errors call it, where the first word only prepares its start.
    Its whole process group is killed: when the time is up or the task is cancelled, and what is left of it at the end.
    With ``leaves_servers`` what it started lives on where it ended well.

    Raises: ProgramFailed with the tail of its output if it cannot be run, or ends with another status than 0, or not in time.
    """
    begun = time.monotonic()
    words = [os.fspath(part) for part in argv]
    name = program or words[0]
    if isinstance(stdin, Path):
        source = os.open(stdin, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            process = await _start(words, account, directory, environment, source)
        finally:
            os.close(source)
    else:
        process = await _start(words, account, directory, environment, asyncio.subprocess.DEVNULL if stdin is None else None)
    given = stdin if isinstance(stdin, bytes) else None
    output, complaints = bytearray(), bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(
                _feed(process, given), _collect(process.stdout, output), _collect(process.stderr, complaints), process.wait()
            )
    except TimeoutError as error:
        said = _tail((complaints or output).decode(errors="replace"))
        raise ProgramFailed(
            f"{Path(name).name} did not end within {timeout_seconds:.0f} s{said}", context={"program": name}
        ) from error
    finally:
        if not (leaves_servers and process.returncode == 0):
            await _end_group(process)
    done = Finished(
        stdout=output.decode(errors="replace"),
        stderr=complaints.decode(errors="replace"),
        seconds=time.monotonic() - begun,
    )
    if process.returncode != 0:
        raise _failure(name, process.returncode, done.stderr.strip() or done.stdout)
    return done


class Child:
    """A program that runs on while we do other things; its lines have been handed to the callbacks."""

    def __init__(self, process: asyncio.subprocess.Process, program: str, readers: Sequence["asyncio.Task[None]"]) -> None:
        self._process = process
        self._program = program
        self._readers = readers
        self._tail: list[str] = []

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group and session too."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended: an exit status, or minus the number of a signal; None while it runs."""
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program alone; nothing if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def wait(self) -> int:
        """Wait until it has ended and its last line was handed over; gives its status. May be given up and begun again."""
        if self._readers:
            await asyncio.wait(self._readers)  # unlike gather, it leaves them alone when the wait is cancelled
        for reader in self._readers:
            reader.result()
        return await self._process.wait()

    async def require_success(self) -> None:
        """Wait for the end. Raises: ProgramFailed with the tail of its output if the status is not 0."""
        status = await self.wait()
        if status != 0:
            raise self.failure(status)

    def failure(self, status: int | None) -> ProgramFailed:
        """The error for an end that was not wanted."""
        return _failure(self._program, status, "\n".join(self._tail))

    def remember(self, line: str) -> None:
        """Keep a line for the error message, as long as it is among the last."""
        self._tail = [*self._tail[1 - _TAIL_LINES :], line]


@asynccontextmanager
async def spawn(
    argv: Sequence[str | Path],
    *,
    account: Account,
    directory: Path,
    on_line: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    program: str | None = None,
) -> AsyncIterator[Child]:
    """Start a program and hand each line that it prints to ``on_line``, whether it is of stdout or stderr.

    ``program`` is what errors call it, where the first word only prepares its start.
    At the end of the block its whole process group is killed; so end it first where it must end in good order.

    Raises: ProgramFailed if it cannot be run.
    """
    words = [os.fspath(part) for part in argv]
    process = await _start(words, account, directory, environment, asyncio.subprocess.DEVNULL)
    readers: list[asyncio.Task[None]] = []
    child = Child(process, program or words[0], readers)

    def note(line: str) -> None:
        child.remember(line)
        on_line(line)

    for stream in (process.stdout, process.stderr):
        assert stream is not None  # noqa: S101 -- opened with pipes
        readers.append(asyncio.create_task(_hand_over(stream, note)))
    try:
        yield child
    finally:
        for reader in readers:
            reader.cancel()
        await _end_group(process)  # kills before it waits for anything: nobody can cancel that away
        await asyncio.gather(*readers, return_exceptions=True)


async def _start(
    words: Sequence[str], account: Account, directory: Path, environment: Mapping[str, str] | None, stdin: int | None
) -> asyncio.subprocess.Process:
    try:
        return await start(
            *words,
            cwd=directory,
            env={**clean_environment(directory), **(environment or {})},
            stdin=asyncio.subprocess.PIPE if stdin is None else stdin,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE_BYTES,
            umask=0o077,
            **account.credentials(),
        )
    except OSError as error:
        raise ProgramFailed(
            f"{words[0]} cannot be run as {account.name!r} in {directory}: {error.strerror}",
            hint="see that every directory on the way to both may be entered by that account",
            context={"program": words[0]},
        ) from error


async def _feed(process: asyncio.subprocess.Process, data: bytes | None) -> None:
    if data is None or process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it did not want it all; its status tells
        process.stdin.write(data)
        await process.stdin.drain()
        process.stdin.close()


async def _collect(stream: asyncio.StreamReader | None, into: bytearray) -> None:
    while stream is not None and (part := await stream.read(_LINE_BYTES)):
        into += part


async def _hand_over(stream: asyncio.StreamReader, note: Callable[[str], None]) -> None:
    while True:
        try:
            line = await stream.readuntil()
        except asyncio.IncompleteReadError as error:  # the end, perhaps in the middle of a line
            line = error.partial
        except asyncio.LimitOverrunError as error:  # whoever stopped reading here would block the child for ever
            line = await stream.read(error.consumed)
        if not line:
            return
        note(line.decode(errors="replace").rstrip("\r\n"))


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of the group: also after the program's own end, because its children hold our pipes and files."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.returncode is None:
        await asyncio.wait_for(asyncio.shield(asyncio.ensure_future(process.wait())), _KILL_SECONDS)


def _failure(program: str, status: int | None, output: str) -> ProgramFailed:
    how = f"was ended by signal {-status}" if status is not None and status < 0 else f"ended with {status}"
    return ProgramFailed(f"{Path(program).name} {how}{_tail(output)}", context={"program": program, "exit_status": status})


def _tail(output: str) -> str:
    lines = [printable(line, limit=400) for line in output.strip().splitlines()[-_TAIL_LINES:]]
    return "".join(f"\n{line}" for line in lines)[-_TAIL_CHARACTERS:]
