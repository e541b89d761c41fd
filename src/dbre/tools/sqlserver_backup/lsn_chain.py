"""Which backups stand on which, by their LSNs: what msdb lists is not what can be restored.

Sources: Microsoft, "backupset (Transact-SQL)", "Log Sequence Numbers and Restore Planning": a differential needs the full
whose checkpoint LSN is its differential base; a log backup begins where the one before it ended. dbatools,
``Test-DbaBackupInformation`` and ``Test-DbaLsnChain``: the same rules.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dbre.core.programs.errors import ProgramFailed
from dbre.core.text import counted, printable
from dbre.ports.backup.model import CopyKind, LogFile, LogKind, LogPosition, Problem
from dbre.ports.backup.repository import ForeignLog, ForeignSet, ForeignSwitch
from dbre.tools.sqlserver_backup.history import Backup, Described

__all__ = ["chain_problems", "label_of", "lsn", "recovery_forks", "set_of", "stored_log", "switches_of"]

_FULL, _DIFFERENTIAL, _LOG = "D", "I", "L"
_STALE_CHECK_DAYS = 7


def lsn(text: str | None) -> int | None:
    """An LSN; None where the row has none.

    >>> lsn("37000000012800001")
    37000000012800001

    Raises: ProgramFailed.
    """
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 25:
        raise ProgramFailed(f"{printable(text, limit=60)!r} is no LSN")
    return int(text)


def label_of(one: Backup) -> str:
    """How dbre names a backup: the number that msdb gave it, and its kind."""
    return f"{one.id}{one.type}"


def recovery_forks(backups: Iterable[Backup]) -> dict[str, int]:
    """Numbers of the recovery forks, in the order in which they appeared: each RECOVERY of a restored database makes one."""
    found: dict[str, int] = {}
    for one in backups:
        for fork in (one.first_fork, one.last_fork):
            if fork is not None:
                found.setdefault(fork, len(found) + 1)
    return found


def switches_of(backups: Iterable[Backup], forks: Mapping[str, int]) -> tuple[ForeignSwitch, ...]:
    """Where a fork left its parent: told by log backups that go over the fork point."""
    found: dict[tuple[str, int], ForeignSwitch] = {}
    for one in backups:
        at = lsn(one.fork_point)
        if at is None or one.first_fork is None or one.last_fork is None or one.first_fork == one.last_fork:
            continue
        child, parent = forks[one.last_fork], forks[one.first_fork]
        found.setdefault((one.family, child), ForeignSwitch(system_id=one.family, timeline=child, parent=parent, at=at))
    return tuple(found[key] for key in sorted(found))


def set_of(one: Backup, backups: Sequence[Backup], forks: Mapping[str, int]) -> ForeignSet | None:
    """A full or differential backup as the rest of dbre knows it; None for what is no set."""
    if one.type not in (_FULL, _DIFFERENTIAL) or one.is_snapshot:
        return None
    timeline = forks.get(one.last_fork or "", 0)
    return ForeignSet(
        label=label_of(one),
        kind=CopyKind.FULL if one.type == _FULL else CopyKind.DIFFERENTIAL,
        parent=None if one.type == _FULL else _base(one, backups),
        system_id=one.family,
        start=_position(timeline, lsn(one.first_lsn)),
        stop=_position(timeline, lsn(one.last_lsn)),
        started_at=one.started_at,
        stopped_at=one.finished_at,
        bytes_source=one.bytes_source,
        bytes_stored=one.bytes_stored,
        error=_error(one),
        version_text=one.version,
    )


def _position(timeline: int, value: int | None) -> LogPosition | None:
    return None if value is None else LogPosition(timeline, value, str(value))


def _error(one: Backup) -> str | None:
    if one.is_damaged:
        return "it was damaged when it was made (CONTINUE_AFTER_ERROR)"
    if one.has_incomplete_metadata:
        return "its metadata is incomplete: a tail-log backup of a damaged database"
    return None


def _base(one: Backup, backups: Sequence[Backup]) -> str:
    """The full on which a differential stands: by GUID where both have one, always by the checkpoint's LSN."""
    wanted = lsn(one.differential_base_lsn)
    for full in backups:
        if full.type != _FULL or full.is_copy_only or full.family != one.family or lsn(full.checkpoint_lsn) != wanted:
            continue
        if one.differential_base is None or one.differential_base == full.uuid:
            return label_of(full)
    return f"a full backup with checkpoint LSN {wanted if wanted is not None else 'unknown'}"


def stored_log(one: Backup, forks: Mapping[str, int]) -> ForeignLog | None:
    """The log that a backup holds: that of a log backup, and that which makes a full or differential consistent."""
    start, end = lsn(one.first_lsn), lsn(one.last_lsn)
    if start is None or end is None or end < start or one.is_damaged or one.is_snapshot:
        return None
    if one.type not in (_FULL, _DIFFERENTIAL, _LOG):
        return None
    return ForeignLog(
        system_id=one.family,
        file=LogFile(
            name=label_of(one),
            kind=LogKind.SEGMENT,
            timeline=forks.get(one.last_fork or "", 0),  # one that goes over a fork point holds the parent's log too
            start=start,
            end=end,
            size=one.bytes_stored or 0,
            sha256="",
        ),
        stored_at=one.finished_at,
    )


def chain_problems(backups: Sequence[Backup], database: Described | None) -> Iterator[Problem]:
    """What stands in the way besides holes, which are computed from the log that is there."""
    if database is None:
        yield _problem("backup.database_not_seen", "the server has no such database, or does not show it", "see sys.databases")
    else:
        yield from _database_problems(database)
    unchecked = [one for one in backups if one.type in (_FULL, _DIFFERENTIAL) and not one.has_checksums]
    if unchecked:
        yield _problem(
            "backup.no_checksums",
            f"{counted(len(unchecked), 'backup')} of {len(backups)} made without CHECKSUM, last {label_of(unchecked[-1])}",
            "damaged pages were copied unseen, and RESTORE VERIFYONLY finds little: @CheckSum = 'Y'",
        )
    parts = [one for one in backups if one.type not in (_FULL, _DIFFERENTIAL, _LOG)]
    if parts:
        yield _problem(
            "backup.partial_set",
            f"{counted(len(parts), 'backup')} of files or filegroups do not count here",
            "dbre counts on whole backups only",
        )
    snapshots = [one for one in backups if one.is_snapshot]
    if snapshots:
        yield _problem(
            "backup.partial_set",
            f"{counted(len(snapshots), 'snapshot')} of another tool (VSS) do not count here",
            "a full backup of it may have reset the differential base: let it make COPY_ONLY ones",
        )
    nowhere = [one for one in backups if any((found.path or "").upper() in ("NUL", "NUL:") for found in one.files or [])]
    if nowhere:
        yield _problem(
            "backup.thrown_away",
            f"{counted(len(nowhere), 'backup')} went to NUL, the newest {label_of(nowhere[-1])}: the chain has holes there",
            "make a full backup now, and stop what writes to NUL",
        )


def _database_problems(database: Described) -> Iterator[Problem]:
    if database.recovery_model == "SIMPLE":
        yield _problem(
            "backup.no_archived_log",
            "the recovery model is SIMPLE: everything since the last full or differential backup is lost with the server",
            "ALTER DATABASE ... SET RECOVERY FULL, then a full backup",
        )
    if database.suspect_pages:
        yield _problem(
            "backup.source_damaged",
            f"msdb.dbo.suspect_pages has {counted(database.suspect_pages, 'page')} of it",
            "DBCC CHECKDB; restore the pages from a backup",
        )
    days = database.days_since_check
    if days is None or days > _STALE_CHECK_DAYS:
        told = "is not known" if days is None else f"was {days} days ago"
        yield _problem(
            "backup.not_checked",
            f"the last DBCC CHECKDB that found nothing {told}; the limit is {_STALE_CHECK_DAYS} days",
            "dbo.DatabaseIntegrityCheck: RESTORE VERIFYONLY does not look into pages",
        )


def _problem(rule: str, message: str, hint: str) -> Problem:
    return Problem(rule=rule, message=message, hint=hint, is_blocking=False)
