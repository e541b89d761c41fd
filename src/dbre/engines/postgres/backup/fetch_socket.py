"""Our end of ``restore_command``: log files for a server that recovers, over a socket in a directory of its own."""

import asyncio
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from dbre.core.errors import DbreError
from dbre.core.programs.account import Account, first_barrier, give
from dbre.core.programs.errors import BinariesMissing
from dbre.core.text import one_line
from dbre.engines.postgres.backup.log_names import is_log_name
from dbre.engines.postgres.backup.private_files import write_private
from dbre.ports.backup.engine import LogFetch

__all__ = ["Fetched", "fetch_socket"]

_SOCKET, _SCRIPT, _SERVED = "fetch.sock", "fetch.py", "served"
_LONGEST_NAME = 256


@dataclass(slots=True)
class Fetched:
    """What the server asked for, and what it got."""

    command: str = ""  # restore_command
    names: list[str] = field(default_factory=list)  # of segments that were there, in order, with repetitions
    last_absent: str | None = None  # the last segment that is certainly not there
    absences: int = 0  # how often it was asked for since something was there
    failure: DbreError | OSError | None = None  # the first that was no clear answer
    bytes: int = 0


@asynccontextmanager
async def fetch_socket(log: LogFetch | None, account: Account, *, directory: Path) -> AsyncIterator[Fetched]:
    """Serve ``log`` from ``directory`` (0700, of ``account``) until the end of the block.

    Raises: BinariesMissing where the account can run no Python.
    """
    fetched = Fetched()
    script = write_private(directory / _SCRIPT, _script(), account)
    served = directory / _SERVED
    served.mkdir(mode=0o700)
    give(served, account)
    socket_path = directory / _SOCKET

    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        # The stream's own callback would log a cancelled task as an error; only our end cancels it.
        with suppress(OSError, asyncio.CancelledError):
            name = os.fsdecode((await reader.readline()).rstrip(b"\n"))
            writer.write(await _answer(log, name, served, account, fetched) + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, socket_path)
    socket_path.chmod(0o600)
    give(socket_path, account)
    words = [str(_interpreter(account)), "-I", "-S", str(script), str(socket_path)]
    # %f and %p are PostgreSQL's; a percent sign of ours is written twice.
    fetched.command = " ".join(shlex.quote(word).replace("%", "%%") for word in words) + " %f %p"
    try:
        yield fetched
    finally:
        server.close()
        for task in tuple(tasks):  # a server that was stopped may have left a question: its answer would outlive the vaults
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _script() -> bytes:
    return resources.files("dbre.engines.postgres.backup").joinpath("fetch_script.py").read_bytes()


def _interpreter(account: Account) -> Path:
    """A Python that the account may run: ours, or else the system's; the script wants no more than 3.8."""
    ours, system = Path(os.path.realpath(sys.executable)), shutil.which("python3", path="/usr/bin:/usr/local/bin")
    for candidate in (ours, Path(system) if system else ours):
        if first_barrier(candidate.parent, account) is None:
            return candidate
    raise BinariesMissing(
        f"{account.name!r}, as whom the server runs, may run no Python: {ours} lies in a directory that is closed to it",
        hint="install python3, or run dbre as another user than root",
    )


async def _answer(log: LogFetch | None, name: str, served: Path, account: Account, fetched: Fetched) -> bytes:
    if len(name) > _LONGEST_NAME or not is_log_name(name):
        return b"absent"  # such as 000000010000000000000003.00000028.backup, which recovery does not need
    into = served / name
    try:
        with suppress(FileNotFoundError):
            into.unlink()
        is_there = log is not None and await log.fetch(name, into)
        if is_there:
            give(into, account)
            fetched.bytes += into.lstat().st_size
    except (DbreError, OSError) as error:
        fetched.failure = fetched.failure or error
        return b"failed " + one_line(str(error)).encode(errors="replace")
    if name.endswith(".history"):
        return b"here " + os.fsencode(into) if is_there else b"absent"
    if not is_there:
        fetched.absences = fetched.absences + 1 if fetched.last_absent == name else 1
        fetched.last_absent = name
        return b"absent"
    fetched.names.append(name)
    return b"here " + os.fsencode(into)
