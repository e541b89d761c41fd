"""``pg_receivewal`` over a slot of its own, watched: what it has made durable, and whether log is lost for good."""

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.core.errors import Conflict, Denied, Unreachable, UsageError
from dbre.core.programs.account import require_reachable
from dbre.core.programs.confined import dies_with_us
from dbre.core.programs.run import Child, spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import one_line
from dbre.engines.postgres.backup.asking import Questions, ask, asking
from dbre.engines.postgres.backup.client_session import client_session, wants_tls
from dbre.engines.postgres.backup.log_names import log_file, lsn, parse_lsn
from dbre.engines.postgres.backup.source import Source, read_source
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.backup.wal_header import read_wal_header
from dbre.ports.backup.engine import ReceiveOrder
from dbre.ports.backup.errors import LogGap
from dbre.ports.backup.model import LogKind, LogPosition
from dbre.ports.engine import Access

__all__ = ["PostgresReceiver"]

_NAME = re.compile(r"[a-z0-9_]{1,63}")
_LOST = re.compile(
    r"requested WAL segment \S+ has already been removed|slot .* (?:invalidated|lost)|can no longer (?:get|access)"
    r"|requested starting point .* is not in this server's history"  # received from a primary that went another way
)
_POLL_SECONDS = 1.0
_TAKEN_SECONDS = 90.0  # longer than wal_sender_timeout: a session of ours that was cut off holds the slot as long


@dataclass(frozen=True, slots=True)
class _Slot:
    """Who serves, and the slot there."""

    source: Source
    row: Any


class PostgresReceiver:
    """Implements ``ports.backup.engine.LogReceiver``; one run is one session, so that the caller decides about the next."""

    def __init__(self, toolbox: Toolbox, access: Access, order: ReceiveOrder) -> None:
        if not _NAME.fullmatch(order.name):
            raise UsageError(
                f"{one_line(order.name)!r} cannot be the name of a replication slot",
                hint="use 1 to 63 lower-case letters, digits and underscores",
            )
        self._toolbox = toolbox
        self._access = access
        self._order = order
        self._reported: LogPosition | None = None
        self._segment_bytes: int | None = None

    def flushed(self) -> LogPosition | None:
        """The end of the newest complete segment, or what the receiver has confirmed to the server beyond that."""
        found = [one.end for one in self._files(LogKind.SEGMENT)]
        complete = max(found, default=None)
        reported = self._reported
        if complete is not None and (reported is None or complete >= reported):
            return complete
        return reported

    async def run(self) -> None:
        """Receive until cancelled. Raises: Unreachable; LogGap (a Conflict) where log is lost; Conflict, Denied."""
        require_reachable(self._order.spool, self._toolbox.place.account)
        slot = await self._ready()
        source = slot.source
        self._segment_bytes = source.segment_bytes
        await asyncio.to_thread(self._require_same_system, source)
        self._require_start(slot)
        client = await self._toolbox.client(source.version[0], wants_tls=wants_tls(self._access))
        account = self._toolbox.place.account
        with scratch_directory(account) as scratch:
            name = self._order.name
            async with client_session(self._access, client, self._toolbox.place, scratch=scratch, name=name) as session:
                argv: list[str | Path] = [
                    *await dies_with_us(account, signal_name="TERM"),
                    client.binaries.program("pg_receivewal"), f"--dbname={session.conninfo}", "--no-password", "--no-loop",
                    f"--directory={self._order.spool}", f"--slot={name}", "--status-interval=1", "--verbose",
                ]  # fmt: skip
                argv += ["--synchronous"] if self._order.is_synchronous else []
                async with spawn(
                    argv,
                    account=account,
                    directory=scratch,
                    environment=session.environment,
                    on_line=lambda _: None,
                    program="pg_receivewal",
                ) as child:
                    await self._watch(child)

    async def _ready(self) -> _Slot:
        """The slot, made where it is missing, and free. Raises: LogGap, Conflict."""
        deadline = time.monotonic() + _TAKEN_SECONDS
        while True:
            slot = await ask(self._access, self._look, what=f"log:{self._order.name}")
            row = slot.row
            if not row.is_physical:
                raise Conflict(
                    f"slot {self._order.name} of {self._access.address} is a logical one", hint="choose another name"
                )
            if row.wal_status == "lost":
                raise LogGap(
                    f"PostgreSQL at {self._access.address} has thrown away log that slot {self._order.name} still needed",
                    hint="take a full copy; then drop the slot, so that a new one is made",
                    context={"slot": self._order.name, "restart_lsn": row.restart_lsn},
                )
            if not row.is_active:
                return slot
            if time.monotonic() > deadline:
                raise Conflict(
                    f"slot {self._order.name} of {self._access.address} is in use by somebody else",
                    hint="see whether another control plane receives this log: SELECT * FROM pg_stat_replication",
                    context={"slot": self._order.name},
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _look(self, questions: Questions) -> _Slot:
        source = await read_source(questions)
        found = await questions.rows("backup_slot", self._order.name)
        if not found:
            await questions.rows("backup_make_slot", self._order.name)
            found = await questions.rows("backup_slot", self._order.name)
        return _Slot(source, found[0])

    def _require_start(self, slot: _Slot) -> None:
        start, first = self._order.start, slot.row.restart_lsn
        if start is None or first is None or self._files(LogKind.SEGMENT, LogKind.PARTIAL):
            return
        begins = parse_lsn(first, timeline=slot.source.timeline).value
        if begins - begins % slot.source.segment_bytes > start.value:
            raise LogGap(
                f"slot {self._order.name} of {self._access.address} begins at {first}, and log is missing from {start.text} on",
                hint="take a full copy: recovery cannot cross the gap",
            )

    def _require_same_system(self, source: Source) -> None:
        for file in self._files(LogKind.SEGMENT):
            header = read_wal_header(self._order.spool / file.name)
            if header is not None and header.system_id != source.system_id:
                raise Conflict(
                    f"{self._order.spool} holds log of system {header.system_id}; {self._access.address} is {source.system_id}",
                    hint="give the new cluster a spool of its own; the old log belongs to the old one",
                )
            return

    def _files(self, *kinds: LogKind) -> list["_End"]:
        found = []
        with contextlib.suppress(FileNotFoundError):
            for path in self._order.spool.iterdir():
                file = log_file(path.name, size=0, sha256="", segment_bytes=self._segment_bytes or _size(path))
                if file is not None and file.kind in kinds:
                    found.append(_End(LogPosition(file.timeline, file.end, lsn(file.end)), path.name))
        return sorted(found, key=lambda one: one.end, reverse=True)

    async def _watch(self, child: Child) -> None:
        confirmed = asyncio.create_task(self._confirm())
        try:
            status = await child.wait()
        finally:
            confirmed.cancel()
            await asyncio.gather(confirmed, return_exceptions=True)
        error = child.failure(status)
        if _LOST.search(error.message):
            raise LogGap(
                f"PostgreSQL at {self._access.address} cannot give the log that comes next: {one_line(error.message)}",
                hint="take a full copy: recovery cannot cross the gap",
            ) from error
        if "is active for PID" in error.message:
            raise Conflict(f"slot {self._order.name} of {self._access.address}: {one_line(error.message)}") from error
        raise Unreachable(
            f"PostgreSQL at {self._access.address}: {one_line(error.message)}", hint="it is tried again"
        ) from error

    async def _confirm(self) -> None:
        """What the receiver says to the server that it has made durable; where nobody can be asked, files tell."""
        while True:
            with contextlib.suppress(Unreachable, Denied):
                async with asking(self._access, what=f"log:{self._order.name}") as questions:
                    while True:
                        source = await read_source(questions)
                        found = await questions.row("backup_receiver", self._order.name)
                        if found.flushed is not None:
                            self._reported = parse_lsn(found.flushed, timeline=source.timeline)
                        await asyncio.sleep(_POLL_SECONDS)
            await asyncio.sleep(_POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class _End:
    """Where a file of the spool ends."""

    end: LogPosition
    name: str


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # sealed and removed meanwhile
        return 0
