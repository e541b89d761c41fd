"""Copies of Redis as the backup capability asks for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from dbre.core.errors import Unsupported
from dbre.engines.redis.backup.copying import ENGINE, copy_facts, copy_server
from dbre.engines.redis.backup.log_scan import scan_log
from dbre.engines.redis.backup.log_source import RedisLogSource
from dbre.engines.redis.backup.positions import as_log_file, parse_position
from dbre.engines.redis.backup.programs import find_tools
from dbre.engines.redis.backup.receiving import AofReceiver
from dbre.engines.redis.backup.recovering import RedisRecovered, assemble, recovered
from dbre.engines.redis.backup.source import read_source, require_log_end
from dbre.engines.redis.backup.stopping import require_target
from dbre.engines.redis.backup.survey import survey_source
from dbre.ports.backup.engine import CopyProgress, LogReceiver, ReceiveOrder, RecoverOrder
from dbre.ports.backup.model import (
    CopyFacts,
    CopyKind,
    CopyOrder,
    LogFile,
    LogPosition,
    Phase,
    Place,
    RecoveryTarget,
    SourceSurvey,
    Tool,
    Verified,
)
from dbre.ports.engine import Access
from dbre.ports.file_manifest import verify_files

__all__ = ["RedisBackups"]

_WATCH_SECONDS = 1.0


class RedisBackups:
    """Implements ``ports.backup.engine.BackupPort`` with Redis's own programs."""

    engine = ENGINE

    def __init__(self, place: Place) -> None:
        self._place = place

    def kinds(self) -> Sequence[CopyKind]:
        """Full copies, with the append-only file where there is one; snapshots."""
        return (CopyKind.FULL, CopyKind.SNAPSHOT)

    async def tools(self, *, version: str | None = None) -> Sequence[Tool]:
        """redis-server not older than the source, redis-cli, redis-check-aof, redis-check-rdb."""
        return await find_tools(self._place, version=version)

    async def survey(self, source: Access) -> SourceSurvey:
        """Look at a server."""
        return await survey_source(source, self._place)

    async def copy(self, source: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
        """Copy a server: its append-only file from this machine's disk, or a snapshot from anywhere."""
        return await copy_server(source, order, progress, place=self._place)

    async def facts(self, directory: Path) -> CopyFacts:
        """What a copy says of itself."""
        return await asyncio.to_thread(copy_facts, directory)

    async def verify(self, directory: Path, *, manifest: Path | None = None) -> Verified:
        """Compare every file with the manifest that was written when the copy ended."""
        return await asyncio.to_thread(verify_files, directory, engine=ENGINE, manifest=manifest)

    async def assemble(
        self, chain: Sequence[Path], target: Path, progress: CopyProgress, *, may_move: bool = False
    ) -> Sequence[Phase]:
        """A copy of the only member of the chain."""
        return await assemble(chain, target, progress, place=self._place, may_move=may_move)

    def log_file(self, name: str, *, size: int, sha256: str, segment_bytes: int | None) -> LogFile | None:  # noqa: ARG002 - the port's signature
        """A file of commands."""
        return as_log_file(name, size=size, sha256=sha256)

    def parse_position(self, text: str, *, timeline: int) -> LogPosition:  # noqa: ARG002 - the port's signature
        """``appendonly.aof.4.incr.aof:328``."""
        name, offset = parse_position(text)
        return name.at(offset)

    def require_target(self, target: RecoveryTarget) -> None:
        """A time, or a place. Raises: Unsupported, UsageError."""
        require_target(target)

    async def scan_log(self, files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
        """Read every command; the format has no checksums, so only its shape is proved."""
        return await asyncio.to_thread(scan_log, files, start=start, end=end)

    def receiver(self, source: Access, order: ReceiveOrder) -> LogReceiver:
        """A receiver of the append-only file. Raises: Unsupported for a synchronous one."""
        if order.is_synchronous:
            raise Unsupported(
                "Redis answers before the append-only file was received: nothing makes writes wait for that",
                hint="set appendfsync always, and keep a replica with WAIT",
            )
        return AofReceiver(source, order, place=self._place)

    def log_source(self, source: Access) -> RedisLogSource:
        """What the server keeps of its log; does no I/O yet."""
        return RedisLogSource(source)

    async def position(self, source: Access) -> LogPosition:
        """Where the append-only file ends. Raises: Unsupported where there is none, or it cannot be read here."""
        return await asyncio.to_thread(require_log_end, await read_source(source), source)

    def recover(self, order: RecoverOrder) -> AbstractAsyncContextManager[RedisRecovered]:
        """Put the log behind an assembled copy, cut it at the target, and load it."""
        return recovered(order, place=self._place)

    async def watch(self, source: Access) -> AsyncIterator[LogPosition]:
        """Where the append-only file ends, once a second."""
        while True:
            yield await self.position(source)
            await asyncio.sleep(_WATCH_SECONDS)
