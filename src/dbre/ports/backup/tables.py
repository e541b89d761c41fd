"""One table of a server that came out of a backup: compared with the living one, and copied beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from dbre.ports.engine import Access
from dbre.ports.integrity import TableName

__all__ = ["CopiedTable", "RowChange", "RowDifference", "TableChanges", "TableCopies", "TableEngine"]


class RowDifference(StrEnum):
    """What became of a row since."""

    DELETED = "deleted"  # it was there then, and is not now
    INSERTED = "inserted"  # it is there now, and was not then
    UPDATED = "updated"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One row that differs; values are the server's text, hostile and personal, ``None`` is NULL."""

    what: RowDifference
    key: Mapping[str, str | None]
    then: Mapping[str, str | None]  # of an updated row: only the columns that differ
    now: Mapping[str, str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableChanges:
    """How a table differs between two servers."""

    table: TableName
    rows_then: int
    rows_now: int
    deleted: int
    inserted: int
    updated: int
    shown: tuple[RowChange, ...]  # the first ones by key, no more than were asked for
    columns_only_then: tuple[str, ...]
    columns_only_now: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedTable:
    """A table that was copied from one server into another under another name."""

    table: TableName
    rows: int | None  # None: not counted again
    bytes: int
    left_out: tuple[str, ...] = ()  # what belonged to the old one and did not come along: index orders_customer


class TableCopies(Protocol):
    """Rows of tables between two servers of an engine. Raises: Unreachable, Denied, Unsupported, Conflict, UsageError."""

    def parse_name(self, text: str) -> TableName:
        """A table as people write it: orders, public.orders, "My Table". Raises: UsageError."""
        ...

    async def require_comparable(self, now: Access, table: TableName) -> None:
        """See on the living server, before anything is brought back, that its rows can be read and told from each other.

        Raises: UsageError where there is no such table; Unsupported without a primary key; Denied.
        """
        ...

    async def require_free(self, now: Access, table: TableName) -> None:
        """See on the living server, before anything is brought back, that a table of that name can be made.

        Raises: UsageError where there is no such schema; Conflict where the name is taken; Denied.
        """
        ...

    async def changes(self, then: Access, now: Access, table: TableName, *, limit: int) -> TableChanges:
        """Compare rows by primary key; both sides are read as streams, once, and nothing is changed.

        Raises: Unsupported without a primary key; Conflict where the keys differ; UsageError where there is no such table.
        """
        ...

    async def copy(self, source: Access, target: Access, table: TableName, *, into: TableName, mark: str) -> CopiedTable:
        """Make a new table with the columns, types and primary key of another and all its rows, in one transaction.

        ``mark`` is kept with the new table and says who made it. Raises: Conflict where the name is taken; UsageError where
        there was no such table; Unsupported where the living server lacks a type.
        """
        ...

    async def copied(self, access: Access, table: TableName, *, mark: str) -> CopiedTable | None:
        """The table if it is there with that mark; None: it is not there. Raises: Conflict where it has another mark."""
        ...

    async def drop(self, access: Access, table: TableName, *, mark: str) -> bool:
        """Drop the table if it is there with that mark; False: it is not there. Raises: Conflict where it has another mark."""
        ...


@runtime_checkable
class TableEngine(Protocol):
    """An engine that can do it."""

    def table_copies(self) -> TableCopies:
        """Rows of tables between two servers."""
        ...
