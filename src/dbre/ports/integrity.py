"""Facet ``integrity``: digests of rows, and checks of pages, indexes and constraints; reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["IntegrityFault", "IntegrityPort", "IntegrityReport", "TableDigest", "TableName"]


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table (Redis: a logical database), as the server names it; hostile text."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDigest:
    """The rows of a table in a form that does not depend on their order and sees duplicates (backup.md 4.8)."""

    table: TableName
    rows: int
    digest: str  # equal digests of the same method: equal rows, but for a chance below 2**-64
    method: str  # only digests of one method can be compared
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityFault:
    """Something that is broken."""

    rule: str  # index_damaged, heap_damaged, page_checksum, index_invalid, constraint_broken, sequence_behind
    subject: str  # hostile text
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityReport:
    """What one check looked at, and what it found. ``missing`` says why it could not look."""

    check: str
    looked_at: int  # tables, indexes, pages
    unit: str  # what ``looked_at`` counts
    faults: tuple[IntegrityFault, ...]
    missing: str | None
    seconds: float


class IntegrityPort(Protocol):
    """Digests and checks of one database of a server. Long: callers give the access long statement timeouts."""

    async def tables(self) -> Sequence[TableName]:
        """Tables with rows of users, in order."""
        ...

    async def digest(self, table: TableName, *, bucket: tuple[int, int] | None = None) -> TableDigest:
        """Digest of a table, or of the k-th of n buckets of its primary key (``bucket=(k, n)``); reads the heap itself."""
        ...

    def checks(self) -> Sequence[str]:
        """Names of the checks that the engine has: pages, indexes, invalid_indexes, constraints, sequences, collations."""
        ...

    async def check(self, name: str) -> IntegrityReport:
        """Run one check. Raises: UsageError for an unknown name."""
        ...

    async def extensions(self) -> Sequence[tuple[str, str, bool]]:
        """Name, version and whether this server can load it, of every extension that the database uses."""
        ...
