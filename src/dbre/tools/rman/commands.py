"""The commands that RMAN gets, one function for each thing that is done.

Source: Oracle Database Backup and Recovery Reference 19c: "BACKUP", "RESTORE", "CROSSCHECK", "REPORT", "DELETE".
"""

import re

from dbre.core.errors import Unsupported, UsageError
from dbre.core.text import quoted
from dbre.ports.backup.model import CopyKind

__all__ = ["CROSSCHECK", "DELETE_OBSOLETE", "REPORT_OBSOLETE", "SUMMARY", "backup", "level_of", "preview", "validations"]

SUMMARY = ("LIST BACKUP SUMMARY;",)
CROSSCHECK = ("CROSSCHECK BACKUP;", "CROSSCHECK COPY;", "CROSSCHECK ARCHIVELOG ALL;")
"""Without it RMAN counts pieces that somebody removed among the copies that make others obsolete."""
REPORT_OBSOLETE = ("REPORT OBSOLETE;",)
DELETE_OBSOLETE = ("DELETE NOPROMPT OBSOLETE;",)
_TAG = re.compile(r"[A-Z][A-Z0-9_]{0,29}")
_LEVELS = {
    CopyKind.FULL: "INCREMENTAL LEVEL 0",  # not a full backup: no level 1 can stand on one
    CopyKind.INCREMENTAL: "INCREMENTAL LEVEL 1",
    CopyKind.DIFFERENTIAL: "INCREMENTAL LEVEL 1 CUMULATIVE",
}


def level_of(kind: CopyKind) -> str:
    """How RMAN calls a kind of copy. Raises: Unsupported."""
    if kind not in _LEVELS:
        raise Unsupported(f"RMAN makes no {kind} copies", hint=f"it makes {', '.join(_LEVELS)} copies")
    return _LEVELS[kind]


def backup(kind: CopyKind, tag: str) -> tuple[str, ...]:
    """A backup with the redo that makes it consistent, every block checked while it is read.

    >>> backup(CopyKind.FULL, "DBRE_1")
    ("BACKUP INCREMENTAL LEVEL 0 CHECK LOGICAL TAG 'DBRE_1' DATABASE PLUS ARCHIVELOG NOT BACKED UP 1 TIMES;",)
    """
    if _TAG.fullmatch(tag) is None:
        raise UsageError(f"{quoted(tag, limit=60)} is no tag", hint="up to 30 capital letters, digits and _")
    return (f"BACKUP {level_of(kind)} CHECK LOGICAL TAG '{tag}' DATABASE PLUS ARCHIVELOG NOT BACKED UP 1 TIMES;",)


def validations(*, start: int | None, until: int | None, reads_source: bool) -> tuple[str, ...]:
    """What proves as much as reading can: each in a session of its own, because RMAN ends at the first error.

    ``RESTORE DATABASE VALIDATE`` reads the backups of the data files and does not look at the redo that recovery needs;
    so the redo from SCN ``start`` is validated too.
    """
    limit = "" if until is None else f" UNTIL SCN {until:d}"
    redo = "ALL" if start is None else f"FROM SCN {start:d}{limit}"
    found = (
        f"RESTORE DATABASE{limit} VALIDATE CHECK LOGICAL;",
        f"RESTORE ARCHIVELOG {redo} VALIDATE;",
        f"RESTORE CONTROLFILE{limit} VALIDATE;",
        f"RESTORE SPFILE{limit} VALIDATE;",
    )
    return (*found, "BACKUP VALIDATE CHECK LOGICAL DATABASE ARCHIVELOG ALL;") if reads_source else found


def preview(until: int | None) -> tuple[str, ...]:
    """Which backups and logs a restore would take; nothing is read."""
    return (
        ("RESTORE DATABASE PREVIEW SUMMARY;",) if until is None else (f"RESTORE DATABASE UNTIL SCN {until:d} PREVIEW SUMMARY;",)
    )
