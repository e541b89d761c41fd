"""``BackupPort`` of dumps: no log, no positions, no increments."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from dbre.core.errors import Unsupported
from dbre.engines.mysql.backup.recovering import MariaDbRecovered
from dbre.engines.mysql.dumps.dumping import DUMP_ENGINE, dump_facts, dump_server
from dbre.engines.mysql.dumps.loading import assemble_dump, loaded
from dbre.engines.mysql.dumps.survey import find_dump_tools, survey_for_dump
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
    TargetKind,
    Tool,
    Verified,
)
from dbre.ports.engine import Access
from dbre.ports.file_manifest import verify_files

__all__ = ["MySqlDumps"]


class MySqlDumps:
    """Dumps by MariaDB's own programs."""

    engine = DUMP_ENGINE

    def __init__(self, place: Place) -> None:
        self._place = place

    def kinds(self) -> Sequence[CopyKind]:
        """Logical copies."""
        return (CopyKind.LOGICAL,)

    async def tools(self, *, version: str | None = None) -> Sequence[Tool]:
        """mariadb-dump, mariadb, and mariadbd of the server's series."""
        return await find_dump_tools(self._place, version=version)

    async def survey(self, source: Access) -> SourceSurvey:
        """Look at a server. Raises: Unreachable, Denied, Unsupported for MySQL."""
        return await survey_for_dump(source, self._place)

    async def copy(self, source: Access, order: CopyOrder, progress: CopyProgress) -> CopyFacts:
        """Dump. Raises: CopyFailed, Unsupported, Unreachable, Denied."""
        return await dump_server(source, order, progress, place=self._place)

    async def facts(self, directory: Path) -> CopyFacts:
        """What a dump says of itself. Raises: CopyDamaged."""
        return await asyncio.to_thread(dump_facts, directory)

    async def verify(self, directory: Path, *, manifest: Path | None = None) -> Verified:
        """Compare every file with the manifest that was written when the dump ended."""
        return await asyncio.to_thread(verify_files, directory, engine=DUMP_ENGINE, manifest=manifest)

    async def assemble(
        self, chain: Sequence[Path], target: Path, progress: CopyProgress, *, may_move: bool = False
    ) -> Sequence[Phase]:
        """Put the dump where it is loaded from. Raises: CopyDamaged, UsageError."""
        return await assemble_dump(chain, target, progress, account=self._place.account, may_move=may_move)

    def log_file(self, name: str, *, size: int, sha256: str, segment_bytes: int | None) -> LogFile | None:  # noqa: ARG002 -- the port's signature
        """None: no log goes with dumps."""
        return None

    def parse_position(self, text: str, *, timeline: int) -> LogPosition:  # noqa: ARG002 -- the port's signature
        """Raises: Unsupported."""
        raise _no_log()

    def require_target(self, target: RecoveryTarget) -> None:
        """Its own moment only. Raises: Unsupported."""
        if target.kind not in (TargetKind.LATEST, TargetKind.IMMEDIATE):
            raise _no_log()

    async def scan_log(self, files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:  # noqa: ARG002 -- the port's signature
        """Raises: Unsupported."""
        raise _no_log()

    def receiver(self, source: Access, order: ReceiveOrder) -> LogReceiver:  # noqa: ARG002 -- the port's signature
        """Raises: Unsupported."""
        raise _no_log()

    async def position(self, source: Access) -> LogPosition:  # noqa: ARG002 -- the port's signature
        """Raises: Unsupported."""
        raise _no_log()

    def recover(self, order: RecoverOrder) -> AbstractAsyncContextManager[MariaDbRecovered]:
        """Make a new server and load the dump into it. Raises: RecoveryFailed, TargetNotReached."""
        return loaded(order, place=self._place)

    async def watch(self, source: Access) -> AsyncIterator[LogPosition]:  # noqa: ARG002 -- the port's signature
        """Raises: Unsupported."""
        raise _no_log()
        yield  # it is a generator


def _no_log() -> Unsupported:
    return Unsupported(
        "no log goes with dumps, so they have no positions", hint="provider: native copies the files and keeps the log"
    )
