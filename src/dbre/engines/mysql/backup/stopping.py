"""Where replay of binary logs stops for a target: found in the files themselves before anything is replayed."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import Unsupported, UsageError
from dbre.core.text import quoted
from dbre.engines.mysql.backup.binlog_events import FIRST_POSITION
from dbre.engines.mysql.backup.binlog_scan import Group, read_groups, whole_bytes
from dbre.engines.mysql.backup.positions import BinlogName, parse_position
from dbre.ports.backup.model import LogPosition, RecoveryTarget, TargetKind

__all__ = ["Stop", "StopSearch", "require_target"]

_GTID = re.compile(r"(?P<domain>0|[1-9]\d{0,9})-(?P<server>0|[1-9]\d{0,9})-(?P<sequence>0|[1-9]\d{0,19})")
_LARGEST_NUMBER, _LARGEST_SEQUENCE = 2**32 - 1, 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where replay ends, and why there."""

    position: LogPosition
    offset: int  # in the last file
    reason: str
    has_reached_target: bool
    last_commit_at: datetime | None
    last_gtid: str | None


def require_target(target: RecoveryTarget) -> None:
    """See that replay of a binary log can stop there. Raises: Unsupported; UsageError for what is no place, time or GTID."""
    if target.kind is TargetKind.NAME:
        raise Unsupported(
            "MariaDB has no named restore points", hint="--to TIME, --to-position binlog.000004:328 or --to-transaction 0-1-42"
        )
    if target.kind is TargetKind.TIME and target.at is None:
        raise UsageError("a time is needed for the target time", hint="write 2026-11-21T14:05:00+00:00")
    if target.kind is TargetKind.POSITION:
        parse_position(target.value or "", server_id=0)
    if target.kind is TargetKind.TRANSACTION:
        match = _GTID.fullmatch(target.value or "")
        is_one = match is not None and (
            max(int(match["domain"]), int(match["server"])) <= _LARGEST_NUMBER and int(match["sequence"]) <= _LARGEST_SEQUENCE
        )
        if not is_one:
            raise UsageError(
                f"{quoted(target.value or '', limit=100)} is no GTID of MariaDB",
                hint="write domain, server and sequence: 0-1-42 (SELECT @@gtid_binlog_pos shows the newest)",
            )


class StopSearch:
    """Reads files in order until the target is found.

    A binary log has times in whole seconds, each of when a statement began. A time as target stops before the first
    transaction of its second, so that nothing later than the target is ever replayed.
    """

    def __init__(self, target: RecoveryTarget, *, start: tuple[BinlogName, int]) -> None:
        self._target = target
        self._at = start
        self._last: Group | None = None
        self._wanted: tuple[BinlogName, int] | None = None
        self._limit: int | None = None
        require_target(target)
        if target.kind is TargetKind.TIME and target.at is not None:
            self._limit = math.floor(target.at.timestamp())
        if target.kind is TargetKind.POSITION:
            self._wanted = parse_position(target.value or "", server_id=start[0].server_id)

    @property
    def is_over(self) -> bool:
        """Whether nothing needs to be read at all."""
        return self._target.kind is TargetKind.IMMEDIATE

    def read(self, name: BinlogName, path: Path, *, is_last: bool) -> Stop | None:
        """Look for the target in one file; None: it comes later. Raises: BinlogDamaged."""
        start = self._at[1] if name == self._at[0] else FIRST_POSITION
        if self._wanted is not None and self._wanted[0].number == name.number and self._wanted[1] <= start:
            return self._stop(name, start, f"{name.on_server}:{start} is where the target is", True)
        for group in read_groups(path, start=start, is_last=is_last):
            stop = self._before(name, group)
            if stop is not None:
                return stop
            if group.end is None:
                return self._stop(name, group.start, f"transaction {group.gtid} is cut off by the end of the log", False)
            self._at, self._last = (name, group.end), group
            stop = self._after(name, group)
            if stop is not None:
                return stop
        self._at = (name, max(start, whole_bytes(path)))
        return None

    def at_end(self) -> Stop:
        """The stop at the end of all files."""
        name, offset = self._at
        if self._target.kind in (TargetKind.LATEST, TargetKind.IMMEDIATE):
            reason = "the copy is consistent" if self.is_over else "the log ends here"
            return self._stop(name, offset, f"{reason}: {name.on_server}:{offset}", True)
        if self._wanted == (name, offset):
            return self._stop(name, offset, f"{name.on_server}:{offset} is the end of the log, and the target", True)
        return self._stop(name, offset, f"the log ends at {name.on_server}:{offset}, before the target", False)

    def _before(self, name: BinlogName, group: Group) -> Stop | None:
        if self._limit is not None and group.seconds >= self._limit:
            when = datetime.fromtimestamp(group.seconds, UTC).isoformat()
            return self._stop(name, group.start, f"stopped before transaction {group.gtid} of {when}", True)
        wanted = self._wanted
        if wanted is not None and (name.number, group.end or math.inf) > (wanted[0].number, wanted[1]):
            return self._stop(name, group.start, f"stopped before transaction {group.gtid} at {group.start}", True)
        if self._is_named(group) and not self._target.is_inclusive:
            return self._stop(name, group.start, f"stopped before transaction {group.gtid}, which is the target", True)
        return None

    def _after(self, name: BinlogName, group: Group) -> Stop | None:
        if self._is_named(group) and group.end is not None:
            return self._stop(name, group.end, f"stopped after transaction {group.gtid}, which is the target", True)
        return None

    def _is_named(self, group: Group) -> bool:
        return self._target.kind is TargetKind.TRANSACTION and group.gtid == self._target.value

    def _stop(self, name: BinlogName, offset: int, reason: str, has_reached: bool) -> Stop:
        return Stop(
            position=name.at(offset),
            offset=offset,
            reason=reason,
            has_reached_target=has_reached,
            last_commit_at=datetime.fromtimestamp(self._last.seconds, UTC) if self._last else None,
            last_gtid=self._last.gtid if self._last else None,
        )
