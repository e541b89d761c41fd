"""What was set aside before a gap: its whole files go into the vaults, its unfinished one is kept until nobody can want it."""

import asyncio
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.log.intervals import usable_sets
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.origin import LogOrigin
from dbre.capabilities.backup.log.places import SET_ASIDE
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.core.errors import DbreError
from dbre.core.store import Store
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes
from dbre.ports.backup.model import LogKind

__all__ = ["SetAside"]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class NotRetired(DbreError):
    """Files of the spool that nobody needs cannot be removed."""

    code = "backup.log_not_retired"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remains:
    """A directory in which only unfinished files are left."""

    directory: Path
    at: datetime
    files: tuple[str, ...]
    bytes: int


class SetAside:
    """Looked at in each round of the guard."""

    def __init__(self, origin: LogOrigin, spool: Path, *, store: Store, news: LogNews) -> None:
        self._origin = origin
        self._spool = spool
        self._store = store
        self._news = news

    async def retire(self) -> int:
        """Remove what a full copy that was verified and sealed made needless; how many directories those were.

        What was not sealed yet, and what no recovery can tell from log, stays.
        """
        try:
            retired = await self._retire()
        except OSError as error:
            failed = NotRetired(f"what was received before a gap cannot be removed from {self._spool}: {error}")
            await self._news.trouble("backup.log_not_retired", failed)
            return 0
        await self._news.well("backup.log_not_retired")
        return retired

    async def _retire(self) -> int:
        remains = await asyncio.to_thread(lambda: list(self._remains()))
        if not remains:
            return 0
        async with self._store.read() as connection:
            sets = await list_sets(connection, cluster=self._origin.cluster.name)
        usable = usable_sets(Catalog(sets=tuple(sets), logs=(), switches=()))
        retired = 0
        for one in remains:
            later = next((found for found in usable if self._is_behind(found, one)), None)
            if later is not None:
                await asyncio.to_thread(shutil.rmtree, one.directory)
                if one.files:
                    await self._tell(one, later)
                retired += 1
        return retired

    def _is_behind(self, found: BackupSet, one: _Remains) -> bool:
        return found.parent_id is None and found.system_id == self._origin.system_id and found.started_at > one.at

    async def _tell(self, one: _Remains, later: BackupSet) -> None:
        names = ", ".join(printable(name, limit=60) for name in one.files)
        message = (
            f"what was received before the gap of {one.at:%Y-%m-%d %H:%M:%SZ} is removed from the spool, because set {later.id}"
            f" was sealed after it: {counted(len(one.files), 'unfinished file')}, {format_bytes(one.bytes)}: {names}"
        )
        await self._news.tell("backup.log_retired", message, set=later.id, files=list(one.files), bytes=one.bytes)

    def _remains(self) -> Iterator[_Remains]:
        for directory in self._spool.glob(f"{SET_ASIDE}*"):
            number = directory.name.removeprefix(SET_ASIDE)
            if _UUID.fullmatch(number) is None or directory.is_symlink() or not directory.is_dir():
                continue
            paths = sorted(directory.iterdir())
            if all(self._is_unfinished(path) for path in paths):
                yield _Remains(
                    directory=directory,
                    at=_made_at(UUID(number)),
                    files=tuple(path.name for path in paths),
                    bytes=sum(path.lstat().st_size for path in paths),
                )

    def _is_unfinished(self, path: Path) -> bool:
        """A directory is where a receiver worked: what was in it is in the partial file too."""
        if path.is_dir() and not path.is_symlink():
            return True
        size = path.lstat().st_size
        file = self._origin.port.log_file(path.name, size=size, sha256="", segment_bytes=self._origin.segment_bytes)
        return file is not None and file.kind is LogKind.PARTIAL


def _made_at(number: UUID) -> datetime:
    """When a UUID of version 7 was made: its first 48 bits are milliseconds. Source: RFC 9562, 5.7."""
    return datetime.fromtimestamp((number.int >> 80) / 1000, UTC)
