"""Where the append-only file ends for a target: found in the files before anything is started."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import Unsupported, UsageError
from dbre.engines.redis.backup.aof import AofDamaged, Torn, Unit, read_units
from dbre.engines.redis.backup.positions import IncrementName, parse_position
from dbre.ports.backup.model import LogPosition, RecoveryTarget, TargetKind

__all__ = ["Stop", "StopSearch", "require_target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where replay ends, and why there."""

    position: LogPosition
    name: IncrementName
    offset: int
    reason: str
    has_reached_target: bool
    last_commit_at: datetime | None


def require_target(target: RecoveryTarget) -> None:
    """See that an append-only file can be cut there. Raises: Unsupported; UsageError for what is no place or time."""
    if target.kind in (TargetKind.NAME, TargetKind.TRANSACTION):
        what = {TargetKind.NAME: "named restore points", TargetKind.TRANSACTION: "numbers of transactions"}[target.kind]
        raise Unsupported(f"Redis has no {what}", hint="--to TIME, or --to-position appendonly.aof.4.incr.aof:328")
    if target.kind is TargetKind.TIME and target.at is None:
        raise UsageError("a time is needed for the target time", hint="write 2026-11-21T14:05:00+00:00")
    if target.kind is TargetKind.POSITION:
        parse_position(target.value or "")


class StopSearch:
    """Reads files in order until the target is found.

    The file has times in whole seconds. A time as target stops before the first command of its second, so that nothing later
    than the target is ever replayed.
    """

    def __init__(self, target: RecoveryTarget, *, start: tuple[IncrementName, int]) -> None:
        self._target = target
        self._start = start
        self._at = start
        self._last: int | None = None
        self._limit: int | None = None
        self._wanted: tuple[IncrementName, int] | None = None
        require_target(target)
        if target.kind is TargetKind.TIME and target.at is not None:
            self._limit = math.floor(target.at.timestamp())
        if target.kind is TargetKind.POSITION:
            self._wanted = parse_position(target.value or "")

    def read(self, name: IncrementName, path: Path, *, is_last: bool) -> Stop | None:
        """Look for the target in one file; None: it comes later. Raises: AofDamaged, Unsupported."""
        first = self._start[1] if name == self._start[0] else 0
        with path.open("rb") as file:
            try:
                for unit in read_units(file, seconds=self._last):
                    if unit.end <= first:
                        self._last = unit.seconds
                        continue
                    stop = self._before(name, unit)
                    if stop is not None:
                        return stop
                    self._at, self._last = (name, unit.end), unit.seconds
            except Torn as torn:
                if not is_last:
                    raise AofDamaged(f"{torn}, and another file follows") from torn
        if self._limit is not None and self._last is None and self._at[0] == name and self._at[1] > first:
            hint = "set aof-timestamp-enabled to yes; recover to a place, or the latest"
            raise Unsupported(f"{name.text} has no times", hint=hint)
        if self._at[0] != name:
            self._at = (name, first)
        return None

    def at_end(self) -> Stop:
        """The stop at the end of all files."""
        name, offset = self._at
        if self._target.kind is TargetKind.IMMEDIATE:
            return self._stop(name, offset, f"the copy ends at {name.text}:{offset}", has_reached=True)
        if self._target.kind is TargetKind.LATEST or self._wanted == (name, offset):
            return self._stop(name, offset, f"the log ends at {name.text}:{offset}", has_reached=True)
        return self._stop(name, offset, f"the log ends at {name.text}:{offset}, before the target", has_reached=False)

    def _before(self, name: IncrementName, unit: Unit) -> Stop | None:
        if self._limit is not None and unit.seconds is not None and unit.seconds >= self._limit:
            when = datetime.fromtimestamp(unit.seconds, UTC).isoformat()
            return self._stop(*self._at, f"stopped before the command of {when} at {name.text}:{unit.start}", has_reached=True)
        wanted = self._wanted
        if wanted is not None and (name.number, unit.end) > (wanted[0].number, wanted[1]):
            return self._stop(*self._at, f"stopped before the command at {name.text}:{unit.start}", has_reached=True)
        return None

    def _stop(self, name: IncrementName, offset: int, reason: str, *, has_reached: bool) -> Stop:
        return Stop(
            position=name.at(offset),
            name=name,
            offset=offset,
            reason=reason,
            has_reached_target=has_reached,
            last_commit_at=None if self._last is None else datetime.fromtimestamp(self._last, UTC),
        )
