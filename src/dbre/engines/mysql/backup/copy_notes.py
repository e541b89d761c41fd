"""The notes that mariadb-backup leaves in a copy: which kind, from which LSN to which, where the binary log was."""

from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.ports.backup.errors import CopyDamaged

__all__ = ["CopyNotes", "read_notes"]

_LARGEST_BYTES = 2**20
_CHECKPOINTS, _INFO, _BINLOG = "checkpoints", "info", "binlog_info"
_PREFIXES = ("mariadb_backup_", "xtrabackup_")  # since 11.1 and before

_KINDS = {  # whether it is incremental, and whether it is prepared
    "full-backuped": (False, False),
    "full-prepared": (False, True),
    "incremental": (True, False),
    "log-applied": (False, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyNotes:
    """What mariadb-backup says of a copy."""

    is_incremental: bool
    is_prepared: bool
    from_lsn: int
    to_lsn: int
    tool_version: str
    server_version: str
    binlog: tuple[str, int, str] | None  # file, offset, GTID; None: the server has no binary log

    def position(self, server_id: int) -> tuple[BinlogName, int] | None:
        """Where the binary log was when the copy was consistent."""
        return self.binlog and (BinlogName.of(server_id, self.binlog[0]), self.binlog[1])


def read_notes(directory: Path) -> CopyNotes:
    """Read them. Raises: CopyDamaged where they are missing or no notes."""
    try:
        points = _pairs(_text(directory, _CHECKPOINTS))
        info = _pairs(_text(directory, _INFO))
        kind = _KINDS[points["backup_type"]]
        notes = CopyNotes(
            is_incremental=kind == (True, False),
            is_prepared=kind == (False, True),
            from_lsn=int(points["from_lsn"]),
            to_lsn=int(points["to_lsn"]),
            tool_version=info["tool_version"],
            server_version=info["server_version"],
            binlog=_binlog(_text(directory, _BINLOG, is_needed=False)),
        )
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise CopyDamaged(
            f"{directory} is no copy of mariadb-backup, or a broken one: {type(error).__name__} {error}"[:500],
            hint="take another copy of the set, or another set",
        ) from error
    return notes


def _text(directory: Path, name: str, *, is_needed: bool = True) -> str:
    for prefix in _PREFIXES:
        path = directory / (prefix + name)
        if path.is_file():
            if path.stat().st_size > _LARGEST_BYTES:
                raise ValueError(f"{path.name} has more than {_LARGEST_BYTES} bytes")
            return path.read_text("utf-8")
    if is_needed:
        raise FileNotFoundError(f"neither {_PREFIXES[0]}{name} nor {_PREFIXES[1]}{name}")
    return ""


def _pairs(text: str) -> dict[str, str]:
    parts = (line.partition("=") for line in text.splitlines())
    return {name.strip(): value.strip() for name, equals, value in parts if equals}


def _binlog(text: str) -> tuple[str, int, str] | None:
    words = text.strip().split("\t")
    if len(words) < 2:
        return None
    try:
        BinlogName.of(0, words[0])
    except UsageError as error:
        raise ValueError(error.message) from error
    return words[0], int(words[1]), words[2] if len(words) > 2 else ""
