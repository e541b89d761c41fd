"""Where, as whom and how carefully servers run."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import clean_environment, run
from dbre.lab.errors import ServerFailed
from dbre.lab.guardian import Guardian
from dbre.lab.network.host import Host

__all__ = ["Site", "log_tail", "run_program"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where, as whom and how carefully servers run; every server gets a directory of its name below ``directory``.

    ``guardian`` ends the servers when this process dies; None: they outlive it. ``durable`` False trades the safety of
    data at a crash of the *machine* for speed (no fsync); a crash of the server alone loses nothing either way.
    ``host`` is where their sockets are.
    """

    directory: Path
    account: Account
    cache: Path
    guardian: Guardian | None = None
    durable: bool = True
    host: Host = field(default_factory=Host)

    def at(self, host: Host) -> Self:
        """The same site, with the servers' sockets at another place in the network."""
        return replace(self, host=host)

    def make_directory(self, path: Path, *, mode: int = 0o700) -> Path:
        """Make a directory that belongs to the servers' account."""
        path.mkdir(mode=mode)
        path.chmod(mode)  # whatever the umask
        give(path, self.account)
        return path

    def write_file(self, path: Path, text: str) -> Path:
        """Write a file that only the servers' account (and root) can read."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text)
        give(path, self.account)
        return path

    def spawn(self, command: Sequence[str | Path], *, directory: Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a server program in its data directory, in a session of its own: Ctrl-C reaches us, not the server."""
        try:
            output = log.open("ab")
        except OSError as error:
            raise ServerFailed(f"{log} cannot be written: {error.strerror}") from error
        with output:
            return self.host.call(
                lambda: subprocess.Popen(  # noqa: S603 -- a server program that we looked for and examined
                    [os.fspath(part) for part in command],
                    cwd=directory,
                    env=clean_environment(directory),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    umask=0o077,
                    **self.account.credentials(),
                )
            )


def log_tail(log: Path, *, lines: int = 12) -> str:
    """The last lines of a server's log, or why it cannot be read."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(nothing was logged)"
    except OSError as error:
        return f"(no log: {error})"


async def run_program(
    command: Sequence[str | Path],
    *,
    account: Account,
    directory: Path,
    timeout_seconds: float = 120.0,
    variables: Mapping[str, str] | None = None,
) -> str:
    """Run a program of a server to its end as ``account`` and return what it printed.

    Raises: ServerFailed with the tail of its output if it does not end with 0, or not in time.
    """
    try:
        done = await run(command, account=account, directory=directory, timeout_seconds=timeout_seconds, environment=variables)
    except ProgramFailed as error:
        raise ServerFailed(error.message, hint=error.hint, context=error.context) from error
    return done.stdout + done.stderr
