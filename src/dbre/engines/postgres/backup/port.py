"""``BackupPort`` of PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from dbre.core.errors import Unreachable
from dbre.engines.postgres.backup.asking import ask, asking
from dbre.engines.postgres.backup.assembling import assemble
from dbre.engines.postgres.backup.copying import copy
from dbre.engines.postgres.backup.facts import copy_facts
from dbre.engines.postgres.backup.log_names import log_file, parse_lsn
from dbre.engines.postgres.backup.log_scan import scan_log
from dbre.engines.postgres.backup.receiving import PostgresReceiver
from dbre.engines.postgres.backup.recovering import PostgresRecovered, recover
from dbre.engines.postgres.backup.recovery_settings import target_settings
from dbre.engines.postgres.backup.source import read_position
from dbre.engines.postgres.backup.survey import survey
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.backup.verifying import verify_copy
from dbre.engines.postgres.log_source import PostgresLogSource
from dbre.ports.backup.engine import CopyProgress, ReceiveOrder, RecoverOrder
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

__all__ = ["PostgresBackups"]

_WATCH_SECONDS = 1.0


class PostgresBackups:
    """Copies of PostgreSQL's files by its own programs."""

    engine = "postgresql"

    def __init__(self, place: Place) -> None:
        self._toolbox = Toolbox(place)

    def kinds(self) -> Sequence[CopyKind]:
        """Full copies, and from version 17 on incremental ones."""
        return (CopyKind.FULL, CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL)

    async def tools(self, *, version: str | None = None) -> Sequence[Tool]:
        """The programs that backups of a server of that version need; default: the newest that is here."""
        return await self._toolbox.tools(version)

    async def survey(self, source: Access) -> SourceSurvey:
        """Look at a server before it is copied. Raises: Unreachable, Denied, Unsupported."""
        return await survey(self._toolbox, source)

    async def copy(self, source: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
        """Copy with ``pg_basebackup``. Raises: CopyFailed, Conflict, Unsupported, Unreachable, Denied."""
        return await copy(self._toolbox, source, order, progress)

    async def facts(self, directory: Path) -> CopyFacts:
        """What a copy says of itself. Raises: CopyDamaged."""
        return await asyncio.to_thread(copy_facts, directory)

    async def verify(self, directory: Path, *, manifest: Path | None = None) -> Verified:
        """Compare every file with the manifest."""
        return await verify_copy(directory, manifest=manifest)

    async def assemble(
        self, chain: Sequence[Path], target: Path, progress: CopyProgress, *, may_move: bool = False
    ) -> Sequence[Phase]:
        """Make a data directory of a chain with ``pg_combinebackup``. Raises: CopyDamaged, UsageError."""
        return await assemble(self._toolbox, chain, target, progress, may_move=may_move)

    def log_file(self, name: str, *, size: int, sha256: str, segment_bytes: int | None) -> LogFile | None:
        """What the name of a WAL file says."""
        return log_file(name, size=size, sha256=sha256, segment_bytes=segment_bytes)

    def parse_position(self, text: str, *, timeline: int) -> LogPosition:
        """An LSN. Raises: UsageError."""
        return parse_lsn(text, timeline=timeline)

    def require_target(self, target: RecoveryTarget) -> None:
        """What settings of recovery can say. Raises: UsageError."""
        target_settings(target, stays=True)

    async def scan_log(self, files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
        """Read every record with ``pg_waldump``."""
        return await scan_log(self._toolbox, files, start=start, end=end)

    def receiver(self, source: Access, order: ReceiveOrder) -> PostgresReceiver:
        """A receiver of the server's WAL. Raises: UsageError for an impossible name."""
        return PostgresReceiver(self._toolbox, source, order)

    def log_source(self, source: Access) -> PostgresLogSource:
        """What the server keeps of its WAL for us (``ports.backup.log_source``)."""
        return PostgresLogSource(source)

    async def position(self, source: Access) -> LogPosition:
        """Where the server's WAL ends, flushed. Raises: Unreachable, Denied."""
        return await ask(source, read_position, what="backup")

    def recover(self, order: RecoverOrder) -> AbstractAsyncContextManager[PostgresRecovered]:
        """Boot a prepared data directory and replay up to the target. Raises: RecoveryFailed, TargetNotReached."""
        return recover(self._toolbox, order)

    async def watch(self, source: Access) -> AsyncIterator[LogPosition]:
        """Flushed positions, one a second, until the server is unreachable."""
        try:
            async with asking(source, what="backup") as questions:
                while True:
                    yield await read_position(questions)
                    await asyncio.sleep(_WATCH_SECONDS)
        except Unreachable:
            return
