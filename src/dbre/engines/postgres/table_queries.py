"""Statements about one table that is known only at run time: names are composed as identifiers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, LiteralString

from psycopg import sql

from dbre.ports.engine import Facet, NamedQuery
from dbre.ports.integrity import TableName

__all__ = [
    "COMPOSED",
    "add_key",
    "add_mark",
    "create_table",
    "drop_table",
    "grant_creating",
    "grant_entering",
    "grant_reading",
    "read_all",
    "read_ordered",
    "write_all",
]

_READ, _CREATE = "SELECT ON the table", "CREATE ON the schema"


def _template(name: str, text: str, privilege: str) -> NamedQuery:
    return NamedQuery(
        name=name,
        facet=Facet.BACKUP,
        versions=">=15",
        privilege=privilege,
        text=text,
        source=f"postgres/table_queries.py:{name}",
    )


# Sorted as bytes of text: two servers may sort by different versions of a collation.
_ORDERED = _template(
    "table_copies_read_ordered", "COPY (SELECT {columns} FROM {table} AS t ORDER BY {order}) TO STDOUT", privilege=_READ
)
_ALL = _template("table_copies_read_all", "COPY (SELECT {columns} FROM {table} AS t) TO STDOUT", privilege=_READ)
_CREATED = _template("table_copies_create", "CREATE TABLE {table} ({columns})", privilege=_CREATE)
_WRITTEN = _template("table_copies_write", "COPY {table} ({columns}) FROM STDIN", privilege=_CREATE)
_KEYED = _template("table_copies_key", "ALTER TABLE {table} ADD PRIMARY KEY ({columns})", privilege=_CREATE)
_MARKED = _template("table_copies_comment", "COMMENT ON TABLE {table} IS {mark}", privilege=_CREATE)
_DROPPED = _template("table_copies_drop", "DROP TABLE {table}", privilege=_CREATE)

COMPOSED = (_ORDERED, _ALL, _CREATED, _WRITTEN, _KEYED, _MARKED, _DROPPED)
"""Every statement of this module, with its holes."""


def _filled(template: NamedQuery, **parts: sql.Composable) -> NamedQuery:
    return replace(template, text=sql.SQL(template.text).format(**parts).as_string(None))


def _table(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)


def _listed(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(one) for one in names)


def read_ordered(table: TableName, key: Sequence[str], others: Sequence[str]) -> NamedQuery:
    """All rows as text, the key first, in the order of the key's bytes."""
    columns = [sql.SQL("t.{}::text").format(sql.Identifier(one)) for one in (*key, *others)]
    order = [sql.SQL('(t.{}::text) COLLATE "C"').format(sql.Identifier(one)) for one in key]
    return _filled(_ORDERED, columns=sql.SQL(", ").join(columns), table=_table(table), order=sql.SQL(", ").join(order))


def read_all(table: TableName, columns: Sequence[str]) -> NamedQuery:
    """All rows in the form in which they are written again."""
    shown = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(one)) for one in columns)
    return _filled(_ALL, columns=shown, table=_table(table))


def create_table(table: TableName, columns: Sequence[Any]) -> NamedQuery:
    """A table of these columns. Types come from format_type, which quotes what needs it."""
    shown = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(one.column_name), sql.SQL(one.type_text), sql.SQL(" NOT NULL" if one.is_required else "")
        )
        for one in columns
    ]
    return _filled(_CREATED, table=_table(table), columns=sql.SQL(", ").join(shown))


def write_all(table: TableName, columns: Sequence[str]) -> NamedQuery:
    """Rows into it."""
    return _filled(_WRITTEN, table=_table(table), columns=_listed(columns))


def add_key(table: TableName, columns: Sequence[str]) -> NamedQuery:
    """Its primary key."""
    return _filled(_KEYED, table=_table(table), columns=_listed(columns))


def add_mark(table: TableName, mark: str) -> NamedQuery:
    """Who made it, as its comment."""
    return _filled(_MARKED, table=_table(table), mark=sql.Literal(mark))


def grant_reading(table: TableName, login: str) -> str:
    """What an administrator says to let a login read it."""
    return _granted("GRANT SELECT ON {} TO {}", _table(table), login)


def grant_entering(table: TableName, login: str) -> str:
    """What an administrator says to let a login use its schema."""
    return _granted("GRANT USAGE ON SCHEMA {} TO {}", sql.Identifier(table.schema), login)


def grant_creating(table: TableName, login: str) -> str:
    """What an administrator says to let a login make tables in its schema."""
    return _granted("GRANT CREATE ON SCHEMA {} TO {}", sql.Identifier(table.schema), login)


def _granted(text: LiteralString, what: sql.Identifier, login: str) -> str:
    return sql.SQL(text).format(what, sql.Identifier(login)).as_string(None)


def drop_table(table: TableName) -> NamedQuery:
    """Drop it; fails where anything hangs on it."""
    return _filled(_DROPPED, table=_table(table))
