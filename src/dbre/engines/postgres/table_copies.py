"""One table of a restored PostgreSQL server: compared row by row with the living one, and copied beside it."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import psycopg

from dbre.core.errors import Conflict, Unsupported, UsageError
from dbre.core.text import printable, quoted
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.queries import named
from dbre.engines.postgres.row_merge import Row, merged
from dbre.engines.postgres.table_checks import (
    columns_of,
    key_of,
    left_out_of,
    require_free,
    require_readable,
    require_types,
    run,
    shown,
)
from dbre.engines.postgres.table_queries import (
    add_key,
    add_mark,
    create_table,
    drop_table,
    read_all,
    read_ordered,
    write_all,
)
from dbre.ports.backup.tables import CopiedTable, RowChange, RowDifference, TableChanges
from dbre.ports.engine import Access, NamedQuery
from dbre.ports.integrity import TableName

__all__ = ["PostgresTableCopies"]

_PART = r'(?:"(?:[^"\0]|"")+"|[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)'
_LONGEST_NAME_BYTES = 63  # NAMEDATALEN - 1: PostgreSQL would cut a longer one, and mean another table
_NAME = re.compile(rf"(?:(?P<schema>{_PART})\.)?(?P<name>{_PART})")


class PostgresTableCopies:
    """Implements ``ports.backup.tables.TableCopies`` with COPY streams over two connections; memory stays bounded."""

    def parse_name(self, text: str) -> TableName:
        """A name by PostgreSQL's own rules: what is not quoted is folded to small letters; schema ``public`` by default."""
        match = _NAME.fullmatch(text)
        if match is None or "\0" in text:
            raise UsageError(f"{quoted(text, limit=100)} is not the name of a table", hint='orders, sales.orders, "My Table"')
        parts = [_folded(match["schema"] or "public"), _folded(match["name"])]
        for one in parts:
            if (size := len(one.encode())) > _LONGEST_NAME_BYTES:
                raise UsageError(
                    f"{quoted(one, limit=100)} is not the name of a table: it has {size} bytes, and names have at most"
                    f" {_LONGEST_NAME_BYTES}",
                    hint="choose a shorter one",
                )
        return TableName(*parts)

    async def require_comparable(self, now: Access, table: TableName) -> None:
        """Ask for the table, the rights of our login and the key."""
        async with _session(now) as connection:
            await require_readable(connection, now, table)
            _require_key(table, await columns_of(connection, now, table, is_then=False))

    async def require_free(self, now: Access, table: TableName) -> None:
        """Ask for the schema, the name and the rights of our login."""
        async with _session(now) as connection:
            await require_free(connection, now, table)

    async def changes(self, then: Access, now: Access, table: TableName, *, limit: int) -> TableChanges:
        """Merge two streams that are sorted by the bytes of the key."""
        async with _session(then, is_then=True) as old, _session(now) as new:
            columns_then = await columns_of(old, then, table, is_then=True)
            columns_now = await columns_of(new, now, table, is_then=False)
            key = _common_key(table, columns_then, columns_now)
            names_then, names_now = ([one.column_name for one in columns] for columns in (columns_then, columns_now))
            others = [one for one in names_then if one in set(names_now) and one not in key]
            query = read_ordered(table, key, others)
            counts: dict[str, int] = {"then": 0, "now": 0, **{one.value: 0 for one in RowDifference}}
            first: list[RowChange] = []
            async with _rows(old, query) as left, _rows(new, query) as right:
                async for before, after in merged(left, right, len(key)):
                    counts["then"] += before is not None
                    counts["now"] += after is not None
                    change = _change(key, others, before, after)
                    if change is not None:
                        counts[change.what] += 1
                        if len(first) < limit:
                            first.append(change)
        return TableChanges(
            table=table,
            rows_then=counts["then"],
            rows_now=counts["now"],
            deleted=counts[RowDifference.DELETED],
            inserted=counts[RowDifference.INSERTED],
            updated=counts[RowDifference.UPDATED],
            shown=tuple(first),
            columns_only_then=tuple(one for one in names_then if one not in names_now),
            columns_only_now=tuple(one for one in names_now if one not in names_then),
        )

    async def copy(self, source: Access, target: Access, table: TableName, *, into: TableName, mark: str) -> CopiedTable:
        """One transaction: after a crash the table is there with all its rows and its mark, or not at all."""
        async with _session(source, is_then=True) as reader, _session(target) as writer:
            columns = await columns_of(reader, source, table, is_then=True)
            await require_free(writer, target, into)
            await require_types(writer, target, columns)
            left_out = await left_out_of(reader, source, table)
            names = [one.column_name for one in columns]
            async with writer.driver.transaction():
                await _run(writer, target, create_table(into, columns))
                rows, size = await _stream(reader, read_all(table, names), writer, write_all(into, names))
                if key := key_of(columns):
                    await _run(writer, target, add_key(into, key))
                await _run(writer, target, add_mark(into, mark))
        return CopiedTable(table=into, rows=rows, bytes=size, left_out=left_out)

    async def copied(self, access: Access, table: TableName, *, mark: str) -> CopiedTable | None:
        """Told by its comment."""
        async with _session(access) as connection:
            found = await _marked(connection, access, table, mark)
            return None if found is None else CopiedTable(table=table, rows=None, bytes=found.bytes)

    async def drop(self, access: Access, table: TableName, *, mark: str) -> bool:
        """Drop it without CASCADE: what somebody hung on it since is theirs."""
        async with _session(access) as connection:
            if await _marked(connection, access, table, mark) is None:
                return False
            await _run(connection, access, drop_table(table))
            return True


@asynccontextmanager
async def _session(access: Access, *, is_then: bool = False) -> AsyncIterator[Connection]:
    """A connection of its own, whose values all have one form. Errors of the driver become ours."""
    try:
        connection = await open_connection(access, what="tables")
        try:
            await connection.run(named("table_copies_session"), limit_seconds=access.timeouts.statement_seconds)
            yield connection
        finally:
            connection.abort()
    except psycopg.errors.InvalidCatalogName as error:
        if not is_then:
            raise FAULTS.translate(error, access) from error
        raise UsageError(
            f"there was no database {printable(access.database or '', limit=100)} as of that moment",
            hint="choose another moment; dbre backup time-machine shows what was there",
        ) from error
    except (psycopg.Error, OSError, TimeoutError) as error:
        raise FAULTS.translate(error, access) from error


async def _run(connection: Connection, access: Access, query: NamedQuery, *parameters: object) -> Sequence[Any]:
    return await connection.run(query, *parameters, limit_seconds=access.timeouts.statement_seconds)


def _require_key(table: TableName, columns: Sequence[Any], verb: str = "has") -> list[str]:
    key = key_of(columns)
    if not key:
        raise Unsupported(
            f"{shown(table)} {verb} no primary key, so that rows cannot be told from each other",
            hint="copy it beside the living one and look: dbre backup restore-table",
        )
    return key


def _common_key(table: TableName, then: Sequence[Any], now: Sequence[Any]) -> list[str]:
    key, other = _require_key(table, then, "had"), _require_key(table, now)
    if key != other:
        words = [printable(", ".join(one), limit=200) for one in (key, other)]
        raise Conflict(
            f"the primary key of {shown(table)} was ({words[0]}) and is ({words[1]})",
            hint="copy it beside the living one and look: dbre backup restore-table",
        )
    return key


@asynccontextmanager
async def _rows(connection: Connection, query: NamedQuery) -> AsyncIterator[AsyncIterator[Row]]:
    """The rows of a COPY; ended in order also where the other side fails, before the connection is."""
    async with (
        connection.driver.cursor() as cursor,
        cursor.copy(query.text.encode()) as stream,
        aclosing(_each(stream)) as rows,
    ):
        yield rows


async def _each(stream: psycopg.AsyncCopy) -> AsyncGenerator[Row]:
    async for row in stream.rows():
        yield row


def _change(key: Sequence[str], others: Sequence[str], then: Row | None, now: Row | None) -> RowChange | None:
    if then == now:
        return None
    row = then if then is not None else now
    assert row is not None  # noqa: S101 -- for the type: not both are missing
    found = dict(zip(key, row, strict=False))
    before, after = (_values(others, one, len(key)) for one in (then, now))
    if then is None:
        return RowChange(what=RowDifference.INSERTED, key=found, then={}, now=after)
    if now is None:
        return RowChange(what=RowDifference.DELETED, key=found, then=before, now={})
    changed = [one for one in others if before[one] != after[one]]
    return RowChange(
        what=RowDifference.UPDATED,
        key=found,
        then={one: before[one] for one in changed},
        now={one: after[one] for one in changed},
    )


def _values(names: Sequence[str], row: Row | None, skip: int) -> Mapping[str, str | None]:
    return {} if row is None else dict(zip(names, row[skip:], strict=True))


async def _stream(reader: Connection, read: NamedQuery, writer: Connection, write: NamedQuery) -> tuple[int, int]:
    size = 0
    async with reader.driver.cursor() as source, writer.driver.cursor() as target:
        async with source.copy(read.text.encode()) as incoming, target.copy(write.text.encode()) as outgoing:
            async for chunk in incoming:
                size += len(chunk)
                await outgoing.write(chunk)
        return target.rowcount, size


async def _marked(connection: Connection, access: Access, table: TableName, mark: str) -> Any:
    found = await run(connection, access, "table_copies_mark", table.schema, table.name)
    if not found:
        return None
    if found[0].mark != mark:
        raise Conflict(f"{shown(table)} on {access.address} was not made by this operation", hint="look who made it; leave it")
    return found[0]


def _folded(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part.lower()
