"""``backup_label``: where recovery of a copy begins, and whether it stands on another copy."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.engines.postgres.backup.plain_files import read_plain
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import LogPosition

__all__ = ["LABEL", "BackupLabel", "read_label"]

LABEL = "backup_label"
_LIMIT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupLabel:
    """What a running server wrote when the copy began."""

    start: LogPosition
    started_at: datetime
    label: str
    is_from_replica: bool
    incremental_from: LogPosition | None  # where the parent began; None: a full copy


def read_label(directory: Path) -> BackupLabel:
    """Read the label of a copy. Raises: CopyDamaged where there is none, or none that makes sense."""
    path = directory / LABEL
    try:
        text = read_plain(path, limit=_LIMIT_BYTES).decode(errors="replace")
    except OSError as error:
        raise CopyDamaged(
            f"{path}: no label: {error.strerror or error}",
            hint="without it PostgreSQL would start from a wrong place and damage the data; take another copy",
        ) from error
    lines = dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)
    try:
        timeline = int(lines.get("START TIMELINE", "1"))
        start = parse_lsn(re.split(r"\s", lines["START WAL LOCATION"])[0], timeline=timeline)
        parent = lines.get("INCREMENTAL FROM LSN")
        return BackupLabel(
            start=start,
            started_at=_moment(lines["START TIME"]),
            label=lines.get("LABEL", ""),
            is_from_replica=lines.get("BACKUP FROM") == "standby",
            incremental_from=parse_lsn(parent, timeline=int(lines["INCREMENTAL FROM TLI"])) if parent else None,
        )
    except (KeyError, ValueError, UsageError) as error:
        raise CopyDamaged(f"{path}: not a label of PostgreSQL") from error


def _moment(text: str) -> datetime:
    """``2026-11-21 14:02:12 UTC``: in the time zone of the server's log, by its abbreviation; only UTC is certain."""
    day, zone = text.rsplit(" ", 1)
    moment = datetime.fromisoformat(day)
    if zone not in ("UTC", "GMT", "Z"):
        offset = re.fullmatch(r"([+-])(\d{2})(?::?(\d{2}))?", zone)
        if offset is None:
            return moment.replace(tzinfo=UTC)  # the copier knows the real one; see ``copying``
        return datetime.fromisoformat(f"{day}{offset[1]}{offset[2]}:{offset[3] or '00'}").astimezone(UTC)
    return moment.replace(tzinfo=UTC)
