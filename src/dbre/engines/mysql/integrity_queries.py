"""Statements of facet ``integrity`` about tables that are known only at run time: names are composed between backticks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from dbre.ports.engine import Facet, NamedQuery
from dbre.ports.integrity import TableName

__all__ = ["COMPOSED", "check_table", "digest", "highest_value", "orphans"]

_READ = "SELECT on the tables"
_FLOATS = frozenset({"float", "double"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit"})
_SHAPES = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection",
    }
)  # fmt: skip


def _template(name: str, text: str) -> NamedQuery:
    return NamedQuery(
        name=name,
        facet=Facet.INTEGRITY,
        versions="*",
        privilege=_READ,
        text=text,
        source=f"mysql/integrity_queries.py:{name}",
    )


_DIGEST = _template(
    "integrity_digest",
    "SELECT COUNT(*) AS row_count, "
    "COALESCE(SUM(CAST(CONV(SUBSTR(r.h, 1, 15), 16, 10) AS DECIMAL(20, 0))), 0) AS low, "
    "COALESCE(SUM(CAST(CONV(SUBSTR(r.h, 16, 15), 16, 10) AS DECIMAL(20, 0))), 0) AS high "
    "FROM (SELECT SHA2(CONCAT_WS(',', {columns}), 256) AS h FROM {table} AS t {where}) AS r",
)
_CHECK = _template("integrity_check", "CHECK TABLE {table} EXTENDED")
_ORPHANS = _template(
    "integrity_orphans",
    "SELECT COUNT(*) AS orphans FROM {table} AS t WHERE {present} AND NOT EXISTS (SELECT 1 FROM {target} AS f WHERE {equal})",
)
_HIGHEST = _template("integrity_highest", "SELECT MAX(t.{column}) AS highest FROM {table} AS t")
_BUCKET = "WHERE MOD(CAST(CONV(SUBSTR(SHA2(CONCAT_WS(',', {keys}), 256), 1, 15), 16, 10) AS UNSIGNED), {count}) = {wanted}"

COMPOSED = (_DIGEST, _CHECK, _ORPHANS, _HIGHEST)
"""Every statement of this module, with its holes."""


def _filled(template: NamedQuery, **parts: str) -> NamedQuery:
    return replace(template, text=template.text.format(**parts))


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _table(name: TableName) -> str:
    return f"{_identifier(name.schema)}.{_identifier(name.name)}"


def _shown(column: Any) -> str:
    """A column so that equal text means equal values, with its type's own way to be exact; hexadecimal has no comma."""
    name, kind = f"t.{_identifier(str(column['column_name']))}", str(column["data_type"]).lower()
    value = f"CAST({name} AS CHAR CHARACTER SET utf8mb4)"
    if kind in _FLOATS:
        value = f"CAST(CAST({name} AS DOUBLE) AS CHAR CHARACTER SET utf8mb4)"
    elif kind in _BYTES:
        value = f"CAST({name} AS BINARY)"
    elif kind in _SHAPES:
        value = f"ST_AsWKB({name})"
    return f"IF({name} IS NULL, 'N', HEX({value}))"


def digest(table: TableName, columns: Sequence[Any], bucket: tuple[int, int] | None) -> NamedQuery:
    """Count and two sums of hashes of whole rows; a bucket takes the rows whose key hashes to k of n."""
    shown = [_shown(one) for one in columns]
    where = ""
    if bucket is not None:
        keys = [value for value, one in zip(shown, columns, strict=True) if one["column_key"] == "PRI"] or shown
        where = _BUCKET.format(keys=", ".join(keys), count=int(bucket[1]), wanted=int(bucket[0]))
    return _filled(_DIGEST, columns=", ".join(shown), table=_table(table), where=where)


def check_table(table: TableName) -> NamedQuery:
    """Let the server read rows and indexes of a table and compare them."""
    return _filled(_CHECK, table=_table(table))


def orphans(keys: Sequence[Any]) -> NamedQuery:
    """Rows whose foreign key names a row that is not there; rows with a null in it name none. ``keys`` are its columns."""
    first = keys[0]
    present = " AND ".join(f"t.{_identifier(one['column_name'])} IS NOT NULL" for one in keys)
    equal = " AND ".join(f"f.{_identifier(one['target_column'])} = t.{_identifier(one['column_name'])}" for one in keys)
    return _filled(
        _ORPHANS,
        table=_table(TableName(first["schema_name"], first["table_name"])),
        target=_table(TableName(first["target_schema"], first["target_table"])),
        present=present,
        equal=equal,
    )


def highest_value(table: TableName, column: str) -> NamedQuery:
    """The highest value of a column."""
    return _filled(_HIGHEST, table=_table(table), column=_identifier(column))
