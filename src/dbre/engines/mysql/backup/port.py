"""Copies of MariaDB's files as the backup capability asks for them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from dbre.core.errors import Unsupported
from dbre.engines.mysql.backup.assembling import assemble
from dbre.engines.mysql.backup.binlog_scan import scan_binlogs
from dbre.engines.mysql.backup.copying import ENGINE, copy_facts, copy_server
from dbre.engines.mysql.backup.log_source import MariaDbLogSource
from dbre.engines.mysql.backup.positions import as_log_file, parse_position
from dbre.engines.mysql.backup.programs import find_tools
from dbre.engines.mysql.backup.receiving import BinlogReceiver
from dbre.engines.mysql.backup.recovering import MariaDbRecovered, recovered
from dbre.engines.mysql.backup.source import read_source
from dbre.engines.mysql.backup.stopping import require_target
from dbre.engines.mysql.backup.survey import require_position, survey_source
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

__all__ = ["MariaDbBackups"]

_WATCH_SECONDS = 1.0


class MariaDbBackups:
    """Implements ``ports.backup.engine.BackupPort`` with MariaDB's own programs."""

    engine = ENGINE

    def __init__(self, place: Place) -> None:
        self._place = place

    def kinds(self) -> Sequence[CopyKind]:
        """Full copies, and incremental ones on any of them."""
        return (CopyKind.FULL, CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL)

    async def tools(self, *, version: str | None = None) -> Sequence[Tool]:
        """mariadb-backup and mariadbd of the server's series, mariadb-binlog, mariadb."""
        return await find_tools(self._place, version=version)

    async def survey(self, source: Access) -> SourceSurvey:
        """Look at a server. Raises: Unsupported for MySQL."""
        return await survey_source(source, self._place)

    async def copy(self, source: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
        """Copy the files of a server that runs on this machine."""
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
        """Prepare a copy of the full set with copies of its incrementals."""
        return await assemble(chain, target, progress, place=self._place, may_move=may_move)

    def log_file(self, name: str, *, size: int, sha256: str, segment_bytes: int | None) -> LogFile | None:  # noqa: ARG002 - the port's signature
        """A binary log, with the server's number before its name."""
        return as_log_file(name, size=size, sha256=sha256)

    def parse_position(self, text: str, *, timeline: int) -> LogPosition:
        """``binlog.000004:328`` of the server whose number is the timeline."""
        name, offset = parse_position(text, server_id=timeline)
        return name.at(offset)

    def require_target(self, target: RecoveryTarget) -> None:
        """A time, a place, or a GTID. Raises: Unsupported, UsageError."""
        require_target(target)

    async def scan_log(self, files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
        """Read every event with its checksum."""
        return await asyncio.to_thread(scan_binlogs, files, start=start, end=end)

    def receiver(self, source: Access, order: ReceiveOrder) -> LogReceiver:
        """A receiver of the binary log. Raises: Unsupported for a synchronous one."""
        if order.is_synchronous:
            raise Unsupported(
                "the binary log of MariaDB is received after the commit: nothing makes commits wait for mariadb-binlog",
                hint="use a replica with semi-synchronous replication for no loss at all",
            )
        return BinlogReceiver(source, order, place=self._place)

    def log_source(self, source: Access) -> MariaDbLogSource:
        """What the server keeps of its log; does no I/O yet."""
        return MariaDbLogSource(source)

    async def position(self, source: Access) -> LogPosition:
        """Where the binary log ends. Raises: Unsupported where there is none; Denied where our login may not ask."""
        return await require_position(source, await read_source(source))

    def recover(self, order: RecoverOrder) -> AbstractAsyncContextManager[MariaDbRecovered]:
        """Start an assembled directory and replay the binary log into it."""
        return recovered(order, place=self._place)

    async def watch(self, source: Access) -> AsyncIterator[LogPosition]:
        """Where the binary log ends, once a second."""
        while True:
            yield await self.position(source)
            await asyncio.sleep(_WATCH_SECONDS)
