"""Runs a backup tool of others to its end, and says how it ended: its exit status alone never decides anything."""

import asyncio
import os
import pwd
import shutil
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import BinariesMissing, ProgramFailed
from dbre.core.programs.starting import start
from dbre.core.text import one_line

__all__ = ["Ended", "call", "find_program"]

_SHOWN = 600  # characters of what a program said


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended. Its output may hold connection strings: what is shown of it is chosen, never dumped."""

    status: int
    stdout: bytes  # empty where it went into a file
    stderr: bytes
    seconds: float

    @property
    def said(self) -> str:
        """What it wrote to its standard error, else to its standard output, on one short printable line."""
        return one_line((self.stderr.strip() or self.stdout.strip()).decode(errors="replace"), limit=_SHOWN)


def find_program(name: str, *, hint: str) -> Path:
    """Where a program is. Raises: BinariesMissing."""
    found = shutil.which(name)
    if found is None:
        raise BinariesMissing(f"{name} is not on the path of this machine", hint=hint)
    return Path(found)


async def call(
    argv: Sequence[str | Path],
    *,
    account: Account,
    timeout_seconds: float,
    into: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> Ended:
    """Run a program as ``account``, in a session of its own; ``into`` gets what it prints, as a new file.

    Nothing of the caller's environment but PATH reaches it, and ``environment``, which alone may hold secrets: every
    account of a machine can read argument lists. ``stdin`` is what it reads. No process of it is left when this returns.

    Raises: ProgramFailed where it cannot be run or does not end in time.
    """
    words = [os.fspath(one) for one in argv]
    name = Path(words[0]).name
    began = time.monotonic()
    with _output(into, account) as output:
        try:
            child = await start(
                *words,
                cwd="/",
                env={**_environment(account), **(environment or {})},
                stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if output is None else output,
                stderr=asyncio.subprocess.PIPE,
                umask=0o077,
                **account.credentials(),
            )
        except OSError as error:
            raise ProgramFailed(
                f"{words[0]} cannot be run as {account.name!r}: {error.strerror}",
                hint="see that every directory on the way to it may be entered by that account",
            ) from error
        try:
            async with asyncio.timeout(timeout_seconds):
                stdout, stderr = await child.communicate(stdin)
        except TimeoutError as error:
            raise ProgramFailed(
                f"{name} did not end within {timeout_seconds:.0f} s and was stopped",
                hint=f"run it by hand as {account.name} and see what it waits for",
            ) from error
        finally:
            await _end(child)
    return Ended(status=child.returncode or 0, stdout=stdout or b"", stderr=stderr or b"", seconds=time.monotonic() - began)


async def _end(child: asyncio.subprocess.Process) -> None:
    """Tools start workers; none may go on writing behind our back."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # the whole group has ended
    await child.wait()


@contextmanager
def _output(into: Path | None, account: Account) -> Iterator[IO[bytes] | None]:
    if into is None:
        yield None
        return
    descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        give(into, account)
        yield file


def _environment(account: Account) -> dict[str, str]:
    """The home is the account's own: that is where its operators put keys and password files."""
    try:
        home = pwd.getpwuid(account.uid).pw_dir
    except KeyError:
        home = "/"
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": home, "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}
