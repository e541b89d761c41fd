"""The log of one PostgreSQL server as its keeper sees it: slot, end of the log, history files, headers of segments."""

import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dbre.core.errors import Conflict
from dbre.core.pool import abort_on_error
from dbre.core.text import printable, quoted
from dbre.engines.postgres.connection import open_connection
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS
from dbre.engines.postgres.queries import named
from dbre.ports.backup.log_source import BacklogState, Departure, LogBacklog
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access

__all__ = ["PostgresLogSource"]

_SEGMENT = re.compile(r"[0-9A-F]{24}")
_HISTORY = re.compile(r"(?P<timeline>[0-9A-F]{8})\.history")
_LABEL = re.compile(r"[0-9A-F]{24}\.[0-9A-F]{8}\.backup")
_DEPARTURE = re.compile(r"\s*(?P<parent>\d{1,10})\s+(?P<high>[0-9A-Fa-f]{1,8})/(?P<low>[0-9A-Fa-f]{1,8})(?:\s.*)?")
_LARGEST_HISTORY = 1 << 20

# XLogLongPageHeaderData: magic, info, timeline, address, remaining length, padding, system, segment size, block size.
# See xlog_internal.h of PostgreSQL.
_HEADER = struct.Struct("=HHIQI4xQII")
_IS_LONG = 0x0002
_SEGMENT_BYTES = frozenset(1 << power for power in range(20, 31))


class PostgresLogSource:
    """Implements ``ports.backup.log_source.LogSource``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def backlog(self, name: str) -> LogBacklog:
        """What the slot of that name holds back, who uses it, and what archiving by the server itself says."""
        (row,) = await self._run("log_backlog", name)
        timeline = int(row.timeline or 0)
        kept = None if row.kept_from_value is None else LogPosition(timeline, row.kept_from_value, row.kept_from)
        return LogBacklog(
            state=_state(row),
            position=LogPosition(timeline, row.value, row.position),
            kept_from=kept,
            kept_bytes=None if kept is None else max(row.value - kept.value, 0),
            safe_bytes=row.safe_bytes,
            is_active=row.is_active,
            active_by=_who(row),
            flushed=None if row.flushed_value is None else LogPosition(timeline, row.flushed_value, row.flushed),
            archived=row.archived,
            archive_failed=row.archive_failed,
            change_mark=row.change_mark,
        )

    async def release(self, name: str) -> None:
        """Drop the slot of that name, where there is one."""
        if (await self.backlog(name)).state is not BacklogState.ABSENT:
            await self._run("log_release", name)

    async def end_file(self) -> LogPosition:
        """Switch to a new segment; PostgreSQL does nothing where the present one is empty."""
        (row,) = await self._run("log_end_file")
        return LogPosition(row.timeline, row.value, row.position)

    def departures(self, name: str, content: bytes) -> Sequence[Departure]:
        """Read a history file: one line for each ancestor, with the position at which its child left it."""
        match = _HISTORY.fullmatch(name)
        if match is None or len(content) > _LARGEST_HISTORY:
            raise Conflict(f"{quoted(name, limit=60)} is no history file of a timeline", hint="00000002.history")
        found: list[tuple[int, int]] = []
        for line in content.decode("utf-8", "replace").splitlines():
            text = line.partition("#")[0].strip()
            if text:
                found.append(_departure(name, text))
        timelines = [parent for parent, _ in found] + [int(match["timeline"], 16)]
        if not found or timelines != sorted(set(timelines)):
            raise Conflict(f"history file {name} does not name its ancestors in order", hint="it was cut off or changed")
        return tuple(Departure(child, parent, at) for (parent, at), child in zip(found, timelines[1:], strict=True))

    def system_of(self, path: Path) -> str | None:
        """The system identifier in the header of a segment; a history file has none."""
        if _HISTORY.fullmatch(path.name) or self.is_dispensable(path.name):
            return None
        system, _ = _header(path)
        return str(system)

    def is_whole(self, path: Path) -> bool:
        """A segment of full length under its final name, or a history file."""
        if _HISTORY.fullmatch(path.name):
            return path.stat().st_size > 0
        return _SEGMENT.fullmatch(path.name) is not None and path.stat().st_size == _header(path)[1]

    def is_dispensable(self, name: str) -> bool:
        """Labels of backups (``.backup``) tell only what the backup's own label tells."""
        return _LABEL.fullmatch(name) is not None

    async def _run(self, name: str, *parameters: object) -> Sequence[Any]:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        try:
            connection = await open_connection(self._access, what="log")
            with abort_on_error(connection):
                found = await connection.run(named(name, version=connection.version), *parameters, limit_seconds=limit)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return found


def _state(row: Any) -> BacklogState:
    if not row.has_slot:
        return BacklogState.ABSENT
    if row.wal_status == "lost":
        return BacklogState.LOST
    return BacklogState.AT_RISK if row.wal_status == "unreserved" else BacklogState.KEPT


def _who(row: Any) -> str | None:
    if not row.is_active:
        return None
    name = printable(row.receiver or "a session that we may not see", limit=80)
    return f"{name} from {row.receiver_address or 'a local socket'}"


def _departure(name: str, text: str) -> tuple[int, int]:
    match = _DEPARTURE.fullmatch(text)
    if match is None:
        raise Conflict(
            f"history file {name} holds {quoted(text, limit=60)}, which is no timeline and position",
            hint="it was cut off or changed: fetch it from the server again",
        )
    return int(match["parent"]), int(match["high"], 16) << 32 | int(match["low"], 16)


def _header(path: Path) -> tuple[int, int]:
    """System identifier and segment size of a WAL file."""
    with path.open("rb") as file:
        start = file.read(_HEADER.size)
    if len(start) == _HEADER.size:
        _, info, _, _, _, system, segment_bytes, _ = _HEADER.unpack(start)
        if info & _IS_LONG and segment_bytes in _SEGMENT_BYTES:
            return system, segment_bytes
    raise Conflict(
        f"{printable(path.name, limit=60)} does not begin as a WAL segment",
        hint="it is empty, cut off, or of a machine with another byte order",
    )
