"""From the spool into the vaults: each finished file is hashed, written down, stored, read for damage, and let go."""

import asyncio
import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dbre.capabilities.backup.catalog.logs import get_log, insert_log, mark_logs
from dbre.capabilities.backup.catalog.switches import insert_switch
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.open_vaults import OpenVaults
from dbre.capabilities.backup.log.places import spool_files
from dbre.capabilities.backup.log.position_text import text_like
from dbre.capabilities.backup.model import LogState, StoredLog, TimelineSwitch
from dbre.core.clock import Clock
from dbre.core.errors import Conflict, DbreError, Unsupported
from dbre.core.programs.errors import ProgramFailed
from dbre.core.store import Store
from dbre.core.text import quoted
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.log_source import LogSource
from dbre.ports.backup.model import LogFile, LogKind, LogPosition, Verified

__all__ = ["LogOwner", "Sealer"]

_DONE = frozenset({LogState.VAULTED, LogState.VERIFIED})
_HASHED_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOwner:
    """Whose log is sealed, and how its files are read."""

    cluster: str
    system_id: str
    segment_bytes: int | None
    position_example: str  # how the engine writes positions
    port: BackupPort
    source: LogSource | None


class Sealer:
    """Seals the files of one spool, in the order of the log; safe to be killed anywhere and begun again."""

    def __init__(
        self,
        owner: LogOwner,
        spool: Path,
        *,
        vaults: OpenVaults,
        vault_names: Sequence[str],
        store: Store,
        clock: Clock,
        news: LogNews,
    ) -> None:
        self._owner = owner
        self._spool = spool
        self._vaults = vaults
        self._vault_names = tuple(vault_names)
        self._store = store
        self._clock = clock
        self._news = news
        self._known: dict[str, StoredLog] = {}
        self._paths: dict[str, Path] = {}
        self._scanned: set[str] = set()

    async def seal(self) -> int:
        """Bring everything that is finished as far as it gets; how many files came into all vaults.

        Raises: DbreError where a vault does not take them; what was stored before stays stored.
        """
        sealed = 0
        for path in await asyncio.to_thread(self._finished):
            self._paths[path.name] = path
            known = self._known.get(path.name) or await self._note(path)
            if known is not None and known.state is LogState.RECEIVED:
                sealed += await self._store_away(known, path)
        await self._scan()
        await self._let_go()
        return sealed

    def _finished(self) -> list[Path]:
        source = self._owner.source
        files = spool_files(self._spool)
        return [one for one in files if source is None or _is_whole(source, one)]

    async def _note(self, path: Path) -> StoredLog | None:
        """The row of a file, made where there is none yet; None for a file that is not of this log."""
        owner = self._owner
        found_size = (await asyncio.to_thread(path.stat)).st_size
        named = owner.port.log_file(path.name, size=found_size, sha256="", segment_bytes=owner.segment_bytes)
        if named is None or named.kind is LogKind.PARTIAL:  # still written, perhaps: it is not read in vain
            return None
        try:
            system = None if owner.source is None else await asyncio.to_thread(owner.source.system_of, path)
            if system not in (None, owner.system_id):
                raise LogConflict(
                    f"log file {quoted(path.name, limit=80)} is of system {system}, and {owner.cluster} is {owner.system_id}",
                    hint=f"it stays in {self._spool}: find out who wrote it",
                )
            size, sha256 = await asyncio.to_thread(_hash, path)
            file = owner.port.log_file(path.name, size=size, sha256=sha256, segment_bytes=owner.segment_bytes)
            if file is None:
                return None
            found = await self._write(path, file)
        except Conflict as error:
            await self._news.trouble("backup.log_conflict", error, about=path.name, file=path.name)
            return None
        self._known[path.name] = found
        return found

    async def _write(self, path: Path, file: LogFile) -> StoredLog:
        owner = self._owner
        row = StoredLog(
            cluster=owner.cluster,
            system_id=owner.system_id,
            file=file,
            state=LogState.RECEIVED,
            received_at=self._clock.now(),
        )
        switches = await asyncio.to_thread(self._switches, path, file)
        async with self._store.begin() as connection:
            await insert_log(connection, row)
            for one in switches:
                await insert_switch(connection, one)
            return await get_log(connection, owner.cluster, owner.system_id, file.name) or row

    def _switches(self, path: Path, file: LogFile) -> list[TimelineSwitch]:
        source = self._owner.source
        if file.kind is not LogKind.HISTORY or source is None:
            return []
        return [
            TimelineSwitch(system_id=self._owner.system_id, timeline=one.timeline, parent=one.parent, at=one.at)
            for one in source.departures(file.name, path.read_bytes())
        ]

    async def _store_away(self, known: StoredLog, path: Path) -> bool:
        stored = set(known.vaults)
        try:
            for vault in await self._vaults.get():
                if vault.name not in stored:
                    await vault.put_log(known.cluster, known.system_id, known.file, path, last_commit_at=known.last_commit_at)
                    stored.add(vault.name)
        except LogConflict as error:
            await self._news.trouble("backup.log_conflict", error, about=path.name, file=path.name)
            return False
        except DbreError:
            await self._vaults.reset()
            raise
        finally:
            if stored - set(known.vaults):
                state = LogState.VAULTED if stored >= set(self._vault_names) else None
                await self._mark([known], state=state, vaults=sorted(stored))
        return True

    async def _mark(self, logs: Iterable[StoredLog], *, state: LogState | None, vaults: Sequence[str] | None = None) -> None:
        for one in logs:
            async with self._store.begin() as connection:
                await mark_logs(connection, one.cluster, one.system_id, [one.file.name], state=state, vaults=vaults)
                found = await get_log(connection, one.cluster, one.system_id, one.file.name)
            if found is not None:
                self._known[one.file.name] = found

    async def _scan(self) -> None:
        """Read the records of every stored file whose successor is here too: a record may go on in it (level L2)."""
        segments = sorted(
            (one for one in self._known.values() if one.file.kind is LogKind.SEGMENT),
            key=lambda one: (one.file.timeline, one.file.start),
        )
        for one, following in pairwise(segments):
            is_next = (one.file.timeline, one.file.end) == (following.file.timeline, following.file.start)
            if one.state is LogState.VAULTED and is_next and one.file.name not in self._scanned:
                await self._scan_one(one, following)

    async def _scan_one(self, one: StoredLog, following: StoredLog) -> None:
        files = [self._paths[one.file.name], self._paths[following.file.name]]
        try:
            verified = await self._owner.port.scan_log(
                files, start=self._at(one, one.file.start), end=self._at(one, one.file.end)
            )
        except (ProgramFailed, Unsupported) as error:  # it lies in the vaults; only nobody can say that its records are whole
            await self._news.trouble("backup.log_not_scanned", error, file=one.file.name)
            self._scanned.add(one.file.name)
            return
        if verified.is_good:
            self._scanned.add(one.file.name)
            await self._mark([one], state=LogState.VERIFIED)
            await self._news.well("backup.log_not_scanned")
        else:
            await self._tell_damage(one, verified)
            self._scanned.add(one.file.name)

    async def _tell_damage(self, one: StoredLog, verified: Verified) -> None:
        """The vaults hear of it first: whoever plans from one of them alone must see the hole, too."""
        fault = verified.faults[0]
        try:
            for vault in await self._vaults.get():
                await vault.note_damage(one.system_id, one.file, fault.detail)
        except DbreError:
            await self._vaults.reset()
            raise
        await self._mark([one], state=LogState.LOST)
        await self._news.tell("backup.log_damaged", f"log file {one.file.name}: {fault.detail}", rule=fault.rule)

    def _at(self, one: StoredLog, value: int) -> LogPosition:
        return LogPosition(one.file.timeline, value, text_like(self._owner.position_example, value))

    async def _let_go(self) -> None:
        """Remove what is stored and read. The newest file stays: a receiver finds from it where to go on."""
        segments = [one for one in self._known.values() if one.file.kind is LogKind.SEGMENT]
        if not segments:
            return
        newest = max(segments, key=lambda one: (one.file.timeline, one.file.start))
        begins = {(one.file.timeline, one.file.start) for one in segments}
        for one in segments:
            is_before_gap = self._paths[one.file.name].parent != self._spool
            # nothing will follow that could be read with it
            is_last = (is_before_gap or one.file.timeline < newest.file.timeline) and (
                one.file.timeline,
                one.file.end,
            ) not in begins
            is_read = one.state is LogState.VERIFIED or one.file.name in self._scanned or is_last
            if (one is not newest or is_before_gap) and one.state in _DONE and is_read:
                await asyncio.to_thread(self._paths.pop(one.file.name).unlink, missing_ok=True)
                del self._known[one.file.name]
                self._scanned.discard(one.file.name)


def _is_whole(source: LogSource, path: Path) -> bool:
    try:
        return source.is_whole(path)
    except (Conflict, FileNotFoundError):  # just begun, or just renamed: the next round sees it
        return False


def _hash(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        while block := file.read(_HASHED_AT_ONCE):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()
