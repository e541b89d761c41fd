"""Where log lies: what of a vault is needed here, and the directories of spools."""

import hashlib
import os
import re
from datetime import datetime
from pathlib import Path
from typing import Protocol

from dbre.core.programs.account import Account, give
from dbre.ports.backup.model import LogFile

__all__ = ["SET_ASIDE", "LogVault", "make_spool", "spool_directory", "spool_files"]

SET_ASIDE = ".before-gap-"
"""Directories in a spool with what was received before a gap: a receiver must not go on from it, all else uses it."""

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


class LogVault(Protocol):
    """The part of ``vault.vault.Vault`` that the log needs."""

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        ...

    async def put_log(
        self, cluster: str, system_id: str, file: LogFile, path: Path, *, last_commit_at: datetime | None = None
    ) -> None:
        """Store a log file; the same again is nothing. Raises: LogConflict for the same name with other contents."""
        ...

    async def note_damage(self, system_id: str, file: LogFile, reason: str) -> None:
        """Note that the records of a stored log file cannot be read; the same again is nothing."""
        ...

    async def fetch_log(self, system_id: str, name: str, into: Path) -> bool:
        """Put a log file at ``into``; False where it is certainly not there."""
        ...


def spool_directory(directory: Path, cluster: str, system_id: str) -> Path:
    """Where the log of one system is received; what a server says of itself never chooses a path.

    >>> spool_directory(Path("/b"), "orders", "7461").as_posix()
    '/b/spool/orders/7461'
    """
    plain = system_id if _PLAIN.fullmatch(system_id) else "x" + hashlib.sha256(system_id.encode()).hexdigest()[:32]
    return directory / "spool" / cluster / plain


def make_spool(directory: Path, cluster: str, system_id: str, account: Account) -> Path:
    """Make it, with ways that the account may pass and only the last part its own."""
    target = spool_directory(directory, cluster, system_id)
    for parent in (directory, target.parent.parent, target.parent):
        parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    target.mkdir(mode=0o700, exist_ok=True)
    give(target, account)
    return target


def spool_files(spool: Path) -> list[Path]:
    """Regular files of a spool, what was set aside before a gap among them, by name. Raises: FileNotFoundError."""
    with os.scandir(spool) as entries:
        found = list(entries)
    files = [Path(one.path) for one in found if one.is_file(follow_symlinks=False) and not one.name.startswith(".")]
    for one in found:
        if one.name.startswith(SET_ASIDE) and one.is_dir(follow_symlinks=False):
            files += spool_files(Path(one.path))
    return sorted(files, key=lambda path: path.name)
