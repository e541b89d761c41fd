"""Log files for recovery: from vaults, from the spool, and from what was being received when all else ended."""

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.places import SET_ASIDE, LogVault
from dbre.core.errors import Conflict, DbreError
from dbre.core.programs.account import give
from dbre.core.text import quoted
from dbre.ports.backup.errors import LogConflict

__all__ = ["StoredLogFetch", "check_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,150}")
_PARTIAL = ".partial"


def check_name(name: str) -> str:
    """A name that is one file of a directory and nothing else. Raises: Conflict."""
    if _NAME.fullmatch(name) is None:
        raise Conflict(f"{quoted(name, limit=80)} is not the name of a log file", hint="letters, digits, dots, - and _")
    return name


class StoredLogFetch:
    """Implements ``ports.backup.engine.LogFetch``: vaults in order, then the spool, then its partial file.

    False only where every place said for certain that it has no such file: what cannot be asked raises, or recovery would
    end early and lose what is there.
    """

    def __init__(self, ground: BackupGround, vaults: Sequence[LogVault], spool: Path | None, system_id: str) -> None:
        self._ground = ground
        self._vaults = tuple(vaults)
        self._spool = spool
        self._system_id = system_id

    async def fetch(self, name: str, into: Path) -> bool:
        """Put the log file at ``into``, owned by the account that servers run as."""
        check_name(name)
        failure: DbreError | None = None
        for vault in self._vaults:
            try:
                if await vault.fetch_log(self._system_id, name, into):
                    return await self._hand_over(into)
            except LogConflict:
                raise
            except DbreError as error:  # another place may have it; where none has, this is why nobody knows
                failure = failure or error
                await asyncio.to_thread(into.unlink, missing_ok=True)
        for directory in await asyncio.to_thread(self._directories):
            # The vault that does not answer may have the whole file, and recovery would end in the middle of its part.
            for candidate in (name, name + _PARTIAL) if failure is None else (name,):
                if await asyncio.to_thread(_copy, directory / candidate, into):
                    return await self._hand_over(into)
        if failure is not None:
            raise failure
        return False

    def _directories(self) -> list[Path]:
        if self._spool is None:
            return []
        return [self._spool, *sorted(self._spool.glob(f"{SET_ASIDE}*"), reverse=True)]

    async def _hand_over(self, into: Path) -> bool:
        await asyncio.to_thread(give, into, self._ground.place.account)
        return True


def _copy(source: Path, into: Path) -> bool:
    """Copy a regular file; False where there is none. Raises: OSError for everything else that is in the way."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    temporary = into.with_name(into.name + ".dbre-part")
    with os.fdopen(descriptor, "rb") as reader:
        with open(temporary, "wb", opener=_private) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        temporary.rename(into)
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
