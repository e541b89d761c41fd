"""Facet ``fork``: what a server acknowledged after its history had been left behind, read from a copy of its files.

The old primary must be fenced: nothing may run in its directory, which is only read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from dbre.core.errors import PrecheckFailed
from dbre.ports.engine import Access

__all__ = ["ChangeKind", "ForkOrder", "ForkPort", "LostChange", "LostWrites", "NotForked"]


class NotForked(PrecheckFailed):
    """The two servers do not have a common history that one of them left."""

    code = "fork.not_forked"


class ChangeKind(StrEnum):
    """What became of a row."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkOrder:
    """Which files to look at, and where the histories parted."""

    directory: Path  # the data directory of the fenced server
    survivor: Access | None  # the primary of today: tells where the histories parted, and what rows were before
    fork: str | None = None  # the position where they parted, where nobody can be asked
    work: Path | None = None  # where the copy goes for as long as it takes; None: the temporary directory


@dataclass(frozen=True, slots=True, kw_only=True)
class LostChange:
    """One row as committed transactions of the lost history left it; rows are objects of JSON as the server writes them.

    ``row`` is None for one that was deleted; ``before`` is the row as it is on the survivor, None where that is not known.
    """

    transaction: int
    committed_at: datetime
    position: str  # of the commit
    kind: ChangeKind
    database: str
    schema: str
    table: str
    row: str | None
    before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostWrites:
    """The lost history. ``notes`` say what was lost as well and is no row, or could not be shown."""

    system_id: str
    timeline: int  # that was left behind
    fork: str
    end: str  # the last record
    transactions: int  # committed after the fork
    changes: Sequence[LostChange]
    notes: Sequence[str] = ()


class ForkPort(Protocol):
    """Lost histories of one engine."""

    async def lost_writes(self, order: ForkOrder) -> LostWrites:
        """Read what was committed after the fork; leaves the directory as it was, and no process behind.

        Raises: PrecheckFailed where a server runs in the directory, or there is no room for a copy; NotForked; Unreachable;
        Denied; ProgramFailed; BinariesMissing.
        """
        ...
