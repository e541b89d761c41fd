"""What a table of PostgreSQL is and may be used for, asked before its rows are."""

from collections.abc import Sequence
from typing import Any

from dbre.core.errors import Conflict, Denied, Unsupported, UsageError
from dbre.core.text import printable
from dbre.engines.postgres.connection import Connection
from dbre.engines.postgres.queries import named
from dbre.engines.postgres.table_queries import grant_creating, grant_entering, grant_reading
from dbre.ports.engine import Access
from dbre.ports.integrity import TableName

__all__ = ["columns_of", "key_of", "left_out_of", "require_free", "require_readable", "require_types", "run", "shown"]

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a type",
}
_NAME_HINT = 'write schema.table; "My Table" if it is so'


async def run(connection: Connection, access: Access, name: str, *parameters: object) -> Sequence[Any]:
    """The rows of a named query, within the limits of an access."""
    return await connection.run(named(name), *parameters, limit_seconds=access.timeouts.statement_seconds)


async def require_readable(connection: Connection, access: Access, table: TableName) -> None:
    """Raises: UsageError where there is no such table; Denied where our login may not read all of its rows and columns."""
    found = await run(connection, access, "table_copies_rights", table.schema, table.name)
    where = _where(access, is_then=False)
    if not found:
        raise UsageError(
            f"there is no table {shown(table)} {where}",
            hint=f"{_NAME_HINT}; where it was dropped: dbre backup restore-table",
        )
    (one,) = found
    _require_table(table, one.kind, where)
    lacking = [
        grant
        for grant, is_there in (
            (grant_entering(table, one.login), one.may_enter),
            (grant_reading(table, one.login), one.may_read),
        )
        if not is_there
    ]
    if lacking:
        raise Denied(
            f"{printable(one.login, limit=100)} may not read {shown(table)} {where}",
            hint="an administrator can grant it: " + "; ".join(printable(grant, limit=400) for grant in lacking),
        )
    if one.hides_rows:
        raise Denied(
            f"row security hides rows of {shown(table)} from {printable(one.login, limit=100)}: they would look deleted",
            hint="use a login with BYPASSRLS, or the owner of the table",
        )


async def require_free(connection: Connection, access: Access, table: TableName) -> None:
    """Raises: UsageError where there is no such schema; Conflict where the name is taken; Denied."""
    found = await run(connection, access, "table_copies_room", table.schema, table.name)
    where = _where(access, is_then=False)
    if not found:
        raise UsageError(
            f"there is no schema {printable(table.schema, limit=100)} {where}", hint="name one that is there: --as SCHEMA.NAME"
        )
    (one,) = found
    if not (one.may_enter and one.may_create):
        grants = ([] if one.may_enter else [grant_entering(table, one.login)]) + [grant_creating(table, one.login)]
        raise Denied(
            f"{printable(one.login, limit=100)} may not make a table in schema {printable(table.schema, limit=100)} {where}",
            hint="an administrator can grant it: " + "; ".join(printable(grant, limit=400) for grant in grants),
        )
    if one.is_taken:
        raise Conflict(f"{shown(table)} exists already {where}", hint="choose another name: --as NAME")


async def columns_of(connection: Connection, access: Access, table: TableName, *, is_then: bool) -> Sequence[Any]:
    """Its columns in their order. Raises: UsageError where there is no such table, or was none."""
    found = await run(connection, access, "table_copies_columns", table.schema, table.name)
    if not found:
        there = await run(connection, access, "table_copies_mark", table.schema, table.name)
        where = _where(access, is_then=is_then)
        if there:
            _require_table(table, there[0].kind, where)
        hint = f"choose another moment; dbre backup time-machine shows what was there; {_NAME_HINT}" if is_then else _NAME_HINT
        raise UsageError(f"there {'was' if is_then else 'is'} no table {shown(table)} {where}", hint=hint)
    return found


def key_of(columns: Sequence[Any]) -> list[str]:
    """The columns of the primary key, in its order."""
    return [one.column_name for one in sorted((one for one in columns if one.key_number), key=lambda one: one.key_number)]


async def require_types(connection: Connection, access: Access, columns: Sequence[Any]) -> None:
    """Raises: Unsupported where the living server has not every type of these columns."""
    for one in columns:
        (found,) = await run(connection, access, "table_copies_type", one.type_text)
        if not found.is_there:
            type_text, column = printable(one.type_text, limit=200), printable(one.column_name, limit=100)
            raise Unsupported(
                f"column {column} was of type {type_text}, and there is no such type {_where(access, is_then=False)}",
                hint="make the type again, or look at the rows of then: dbre backup time-machine",
            )


async def left_out_of(connection: Connection, access: Access, table: TableName) -> tuple[str, ...]:
    """What belongs to a table besides its columns, their types, NOT NULL and its primary key."""
    found = await run(connection, access, "table_copies_left_out", table.schema, table.name)
    return tuple(f"{one.kind} {one.name}" for one in found)


def shown(table: TableName) -> str:
    """Its name for people."""
    return printable(str(table), limit=200)


def _require_table(table: TableName, kind: str, where: str) -> None:
    if kind not in ("r", "p"):
        raise UsageError(
            f"{shown(table)} is {_KINDS.get(kind, 'no table')} {where}",
            hint="name a table that holds rows of its own",
        )


def _where(access: Access, *, is_then: bool) -> str:
    database = f"in database {printable(access.database or '', limit=100)}"
    return f"{database} as of that moment" if is_then else f"{database} on {access.address} now"
