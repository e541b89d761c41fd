"""The program pgbackrest: one command at a time, and what its exit statuses mean.

Source: pgBackRest, ``src/build/error/error.yaml`` (the exit status is the number of the error).
"""

from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import Conflict, DbreError, Denied, Refused, Unreachable, Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.tools.call import Ended, call, find_program

__all__ = ["MISSING", "BackupSetUnusable", "PgBackRest"]

MISSING = 55
"""file-missing"""


class BackupSetUnusable(Conflict):
    """The set that was asked for does not exist, or the tool calls it invalid."""

    code = "pgbackrest.set_unusable"


_MEANINGS: dict[int, tuple[type[DbreError], str]] = {
    27: (UsageError, "see the section of the stanza in the configuration file"),
    29: (Conflict, "a file of the repository cannot be read as what it should be: dbre backup inspect pgbackrest --verify"),
    31: (Unsupported, "this version of pgBackRest does not know the option"),
    32: (Unsupported, "this version of pgBackRest does not know the value"),
    37: (UsageError, "the configuration file lacks an option: pgbackrest help"),
    38: (Conflict, "a server runs in that directory: choose a new one"),
    40: (Conflict, "choose a new directory"),
    41: (Denied, "run dbre as the account that owns the repository"),
    44: (Conflict, "the repository is of another server or version: pgbackrest stanza-upgrade"),
    48: (Unsupported, "this version of pgBackRest does not know the command"),
    49: (Unreachable, "see that the other machine answers: pgbackrest check"),
    50: (Conflict, "another pgbackrest works on this stanza: wait for it, or see who holds the lock"),
    53: (Denied, "run dbre as the account that owns the repository"),
    56: (Unreachable, "see that the server runs where the configuration says: pgbackrest check"),
    75: (BackupSetUnusable, "dbre backup inspect pgbackrest shows the sets that there are"),
    82: (Unreachable, "the server did not archive in time: see archive_command and the server's log"),
    87: (Refused, "archive_mode is off on the server"),
    95: (Denied, "the passphrase of the repository is wrong or missing: repo1-cipher-pass"),
    103: (Unreachable, "no repository of the configuration can be used: pgbackrest info"),
    105: (Denied, "the storage refuses the credentials of the configuration"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PgBackRest:
    """How the program is called. Secrets stay in its configuration file, which only it reads."""

    account: Account
    config: Path | None  # None: where the program looks by itself
    stanza: str
    repository: int = 1  # of those that the configuration numbers

    @property
    def where(self) -> str:
        """The repository as messages name it."""
        file = f" of {self.config}" if self.config is not None else ""
        return f"stanza {self.stanza}{file}, repository {self.repository}"

    async def version(self) -> str:
        """The version of the program. Raises: BinariesMissing, ProgramFailed."""
        ended = await call([_program(), "version"], account=self.account, timeout_seconds=30)
        if ended.status != 0:
            raise ProgramFailed(f"pgbackrest version ended with {ended.status}: {ended.said}")
        return ended.stdout.decode(errors="replace").strip().removeprefix("pgBackRest ")

    async def run(
        self,
        command: str,
        *options: str,
        timeout_seconds: float,
        into: Path | None = None,
        allowed: frozenset[int] = frozenset(),
    ) -> Ended:
        """One command to its end. ``allowed`` are exit statuses besides 0 that the caller understands.

        Raises: what the exit status means, else ProgramFailed.
        """
        words: list[str | Path] = [_program(), f"--stanza={self.stanza}", f"--repo={self.repository}"]
        if self.config is not None:
            words.append(f"--config={self.config}")
        words += ["--log-level-file=off", "--log-level-stderr=error", command, *options]
        ended = await call(words, account=self.account, timeout_seconds=timeout_seconds, into=into)
        if ended.status == 0 or ended.status in allowed:
            return ended
        raise self._error(command, ended)

    def _error(self, command: str, ended: Ended) -> DbreError:
        kind, hint = _MEANINGS.get(
            ended.status, (ProgramFailed, f"run it by hand as {self.account.name}: pgbackrest {command}")
        )
        message = f"pgbackrest {command} of {self.where} ended with {ended.status}: {ended.said or 'it said nothing'}"
        return kind(message, hint=hint, context={"program": "pgbackrest", "exit_status": ended.status, "command": command})


def _program() -> Path:
    return find_program("pgbackrest", hint="apt: pgbackrest; run dbre where the repository can be reached")
