"""Facet ``integrity`` of PostgreSQL: digests of tables and checks; everything only reads."""

import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from dbre.core.errors import DbreError, UsageError
from dbre.core.text import closest, printable, quoted
from dbre.engines.postgres.integrity_checks import CHECKS
from dbre.engines.postgres.integrity_queries import digest
from dbre.engines.postgres.link import Conversation, Link
from dbre.ports.integrity import IntegrityReport, TableDigest, TableName

__all__ = ["PostgresIntegrity"]

_Answer = TypeVar("_Answer")
_METHOD = "postgresql/hash_record_extended/2"


class PostgresIntegrity:
    """Implements ``ports.integrity``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def tables(self) -> Sequence[TableName]:
        """Tables and materialized views of users, in the order of their bytes."""
        return await self._ask(_tables)

    async def digest(self, table: TableName, *, bucket: tuple[int, int] | None = None) -> TableDigest:
        """Count and two independent sums of 64-bit hashes of whole rows (hash_record_extended, PostgreSQL 14)."""
        return await self._ask(lambda conversation: _digest(conversation, table, bucket))

    def checks(self) -> Sequence[str]:
        """Names of the checks."""
        return tuple(CHECKS)

    async def check(self, name: str) -> IntegrityReport:
        """Run one check."""
        if name not in CHECKS:
            near = closest(name, list(CHECKS))
            hint = f"did you mean {near}?" if near else f"there are {', '.join(CHECKS)}"
            raise UsageError(f"PostgreSQL has no integrity check {quoted(name, limit=100)}", hint=hint)
        return await self._ask(lambda conversation: _timed(name, CHECKS, conversation))

    async def extensions(self) -> Sequence[tuple[str, str, bool]]:
        """Every extension of the database, and whether this server has its files."""
        found = await self._ask(lambda conversation: conversation.rows("integrity_extensions"))
        return [(one.name, one.version, one.is_available) for one in found]

    async def _ask(self, work: Callable[[Conversation], Awaitable[_Answer]]) -> _Answer:
        async def pinned(conversation: Conversation) -> _Answer:
            await conversation.rows("integrity_session")
            return await work(conversation)

        return await self._link.ask_afresh(pinned)


async def _tables(conversation: Conversation) -> list[TableName]:
    return [TableName(one.schema_name, one.table_name) for one in await conversation.rows("integrity_tables")]


async def _timed(
    name: str, checks: Mapping[str, Callable[[Conversation], Awaitable[IntegrityReport]]], conversation: Conversation
) -> IntegrityReport:
    began = time.monotonic()
    found = await checks[name](conversation)
    return IntegrityReport(
        check=name,
        looked_at=found.looked_at,
        unit=found.unit,
        faults=found.faults,
        missing=found.missing,
        seconds=time.monotonic() - began,
    )


async def _digest(conversation: Conversation, table: TableName, bucket: tuple[int, int] | None) -> TableDigest:
    if bucket is not None and not 0 <= bucket[0] < bucket[1]:
        raise UsageError(f"there is no bucket {bucket[0]} of {bucket[1]}", hint="count from 0")
    began = time.monotonic()
    columns = await conversation.rows("integrity_columns", table.schema, table.name)
    if not columns and table not in await _tables(conversation):
        raise DbreError(f"there is no table {printable(str(table), limit=200)}", hint="it was dropped, or never was")
    (found,) = await conversation.compose(digest(table, columns, bucket))
    return TableDigest(
        table=table,
        rows=found.rows,
        digest=_joined(found, columns),
        method=_METHOD,
        seconds=time.monotonic() - began,
    )


def _joined(found: Any, columns: Sequence[Any]) -> str:
    """The sums with the columns' names: a table whose columns were swapped has other rows."""
    names = "\0".join(one.column_name for one in columns)
    return hashlib.sha256(f"{found.low}|{found.high}|{names}".encode()).hexdigest()
