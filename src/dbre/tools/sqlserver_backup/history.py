"""The history of backups in msdb, read strictly: output that was cut off is an error, never a short history.

Sources: Microsoft, "backupset (Transact-SQL)": type is D (full), I (differential), L (log), F, G, P, Q (parts);
"Format query results as JSON with FOR JSON"; "sqlcmd utility", ``-y 0``.
"""

import re
from datetime import datetime
from typing import TypeVar

import msgspec

from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import one_line
from dbre.tools.moments import moment_of_epoch

__all__ = ["Backup", "BackupFile", "Described", "parse_database", "parse_history"]

_Type = TypeVar("_Type")
_HEADING = re.compile(r"\A\s*(?:document|JSON_[0-9A-F-]{36})\s*\n[- ]+\n")


class BackupFile(msgspec.Struct, frozen=True):
    """One file of a set."""

    number: int
    path: str | None
    device: int | None
    mirror: int | None = None


class Backup(msgspec.Struct, frozen=True):
    """One row of ``backupset``. LSNs are text of up to 25 digits."""

    id: int
    uuid: str
    family: str
    type: str
    started_local: int
    finished_local: int | None
    offset_minutes: int
    last_fork: str | None = None
    first_fork: str | None = None
    fork_point: str | None = None
    is_copy_only: bool | None = None
    is_damaged: bool | None = None
    has_checksums: bool | None = None
    has_incomplete_metadata: bool | None = None
    is_snapshot: bool | None = None
    first_lsn: str | None = None
    last_lsn: str | None = None
    checkpoint_lsn: str | None = None
    database_backup_lsn: str | None = None
    differential_base_lsn: str | None = None
    differential_base: str | None = None
    recovery_model: str | None = None
    bytes_source: int | None = None
    bytes_stored: int | None = None
    position: int | None = None
    version: str | None = None
    files: list[BackupFile] | None = None

    @property
    def started_at(self) -> datetime:
        """When it was begun, in UTC."""
        return _utc(self.started_local, self.offset_minutes)

    @property
    def finished_at(self) -> datetime:
        """When it was finished, in UTC; when it was begun where the row does not say."""
        return _utc(self.started_local if self.finished_local is None else self.finished_local, self.offset_minutes)


class Described(msgspec.Struct, frozen=True):
    """What the server says of the database now. None is unknown."""

    version: str
    recovery_model: str | None = None
    state: str | None = None
    page_verify: str | None = None
    checked_local: str | None = None
    checked_days: int | None = None
    suspect_pages: int | None = None
    has_procedures: bool | None = None

    @property
    def days_since_check(self) -> int | None:
        """Days since the last DBCC CHECKDB that found nothing; None: never, or the version does not say.

        The server writes 1900-01-01 for never.
        """
        return None if self.checked_local is None or self.checked_local.startswith("1900-01-01") else self.checked_days


def _utc(local: int, minutes: int) -> datetime:
    return moment_of_epoch(local - minutes * 60, who="msdb")


def parse_history(text: str) -> tuple[Backup, ...]:
    """The rows of one page. Raises: ProgramFailed."""
    return tuple(_decode(text, list[Backup], "the history of backups"))


def parse_database(text: str) -> Described | None:
    """The database; None where the server has none of that name, or shows it not to this login. Raises: ProgramFailed."""
    return next(iter(_decode(text, list[Described], "the database")), None)


def _decode(text: str, shape: type[_Type], what: str) -> _Type:
    body = _HEADING.sub("", text.replace("\r\n", "\n").lstrip("\ufeff"))
    joined = body.replace("\n", "").strip()  # JSON writes the line ends of values as \\n: those that are here are sqlcmd's
    try:
        return msgspec.json.decode(joined, type=shape)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ProgramFailed(
            f"what sqlcmd printed of {what} is cut off or no JSON of it: {error} ({one_line(joined[:80], limit=80)!r}...)",
            hint="sqlcmd of mssql-tools18 or go-sqlcmd is understood, SQL Server 2016 and later: sqlcmd -?",
        ) from error
