"""Statements of facet ``integrity`` about tables that are known only at run time: names are composed as identifiers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from psycopg import sql

from dbre.ports.engine import Facet, NamedQuery
from dbre.ports.integrity import TableName

__all__ = ["COMPOSED", "amcheck_heap", "amcheck_index", "count_rows", "digest", "highest_value", "orphans"]

_READ = "SELECT ON the table"


def _template(name: str, text: str, *, privilege: str = _READ) -> NamedQuery:
    return NamedQuery(
        name=name,
        facet=Facet.INTEGRITY,
        versions=">=15",
        privilege=privilege,
        text=text,
        source=f"postgres/integrity_queries.py:{name}",
    )


_DIGEST = _template(
    "integrity_digest",
    "SELECT count(*) AS rows, COALESCE(sum(hash_record_extended(r, 0)::numeric), 0)::text AS low, "
    "COALESCE(sum(hash_record_extended(r, 1)::numeric), 0)::text AS high "
    "FROM (SELECT {columns} FROM ONLY {table} AS t {where}) AS r",
)
_COUNT = _template("integrity_count", "SELECT count(*) AS rows FROM ONLY {table} AS t")
_ORPHANS = _template(
    "integrity_orphans",
    "SELECT count(*) AS orphans FROM ONLY {table} AS t WHERE {present} "
    "AND NOT EXISTS (SELECT FROM {target} AS f WHERE {equal})",
)
_HIGHEST = _template(
    "integrity_highest",
    "SELECT (SELECT max(t.{column})::bigint FROM {table} AS t) AS highest, s.last_value AS last_value FROM {sequence} AS s",
)
_INDEX = _template(
    "integrity_amcheck_index", "SELECT {schema}.bt_index_check($1::oid::regclass, true)", privilege="EXECUTE ON bt_index_check"
)
_HEAP = _template(
    "integrity_amcheck_heap",
    "SELECT v.blkno, v.offnum, v.msg FROM {schema}.verify_heapam($1::oid::regclass) AS v LIMIT 20",
    privilege="EXECUTE ON verify_heapam",
)

COMPOSED = (_DIGEST, _COUNT, _ORPHANS, _HIGHEST, _INDEX, _HEAP)
"""Every statement of this module, with its holes."""


def _filled(template: NamedQuery, **parts: sql.Composable) -> NamedQuery:
    return replace(template, text=sql.SQL(template.text).format(**parts).as_string(None))


def _table(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)


def _column(alias: str, name: str) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.Identifier(alias), sql.Identifier(name))


def digest(table: TableName, columns: Sequence[Any], bucket: tuple[int, int] | None) -> NamedQuery:
    """Count and two sums of hashes of whole rows; a bucket takes the rows whose key hashes to k of n."""
    shown = [
        _column("t", one.column_name) if one.is_hashable else sql.SQL("{}::text").format(_column("t", one.column_name))
        for one in columns
    ]
    named = [sql.SQL("{} AS {}").format(value, sql.Identifier(f"c{number}")) for number, value in enumerate(shown)]
    where: sql.Composable = sql.SQL("")
    if bucket is not None:
        keys = [value for value, one in zip(shown, columns, strict=True) if one.is_key] or shown
        where = sql.SQL("WHERE mod(mod(hash_record_extended(ROW({keys}), 0), {count}) + {count}, {count}) = {wanted}").format(
            keys=sql.SQL(", ").join(keys), count=sql.Literal(bucket[1]), wanted=sql.Literal(bucket[0])
        )
    return _filled(_DIGEST, columns=sql.SQL(", ").join(named), table=_table(table), where=where)


def count_rows(table: TableName) -> NamedQuery:
    """Read every page of a table."""
    return _filled(_COUNT, table=_table(table))


def orphans(key: Any) -> NamedQuery:
    """Rows whose foreign key names a row that is not there; rows with a null in it name none (MATCH SIMPLE)."""
    pairs = list(zip(key.columns, key.target_columns, strict=True))
    present = [sql.SQL("{} IS NOT NULL").format(_column("t", one)) for one, _ in pairs]
    equal = [sql.SQL("{} = {}").format(_column("f", other), _column("t", one)) for one, other in pairs]
    return _filled(
        _ORPHANS,
        table=_table(TableName(key.schema_name, key.table_name)),
        target=_table(TableName(key.target_schema, key.target_table)),
        present=sql.SQL(" AND ").join(present),
        equal=sql.SQL(" AND ").join(equal),
    )


def highest_value(found: Any) -> NamedQuery:
    """The highest value of a column, and where its sequence stands."""
    return _filled(
        _HIGHEST,
        column=sql.Identifier(found.column_name),
        table=_table(TableName(found.schema_name, found.table_name)),
        sequence=_table(TableName(found.sequence_schema, found.sequence_name)),
    )


def amcheck_index(schema: str) -> NamedQuery:
    """Check a btree, and that every row of its table is in it."""
    return _filled(_INDEX, schema=sql.Identifier(schema))


def amcheck_heap(schema: str) -> NamedQuery:
    """Check the rows of a table; gives what is wrong."""
    return _filled(_HEAP, schema=sql.Identifier(schema))
