"""Rows of tables that are known only at run time: names are composed as identifiers, whole rows as JSON."""

from dataclasses import replace

from psycopg import sql

from dbre.ports.engine import Facet, NamedQuery

__all__ = ["COMPOSED", "rows_at", "rows_made_by"]


def _template(name: str, text: str) -> NamedQuery:
    return NamedQuery(
        name=name,
        facet=Facet.FORK,
        versions=">=15",
        privilege="SELECT ON the table",
        text=text,
        source=f"postgres/forks/row_queries.py:{name}",
    )


_MADE_BY = _template(
    "fork_rows_made_by",
    "SELECT lost_row.ctid::text AS place, lost_row.xmin::text::bigint AS made_by, "
    "pg_catalog.to_json(lost_row.*)::text AS content FROM ONLY {table} AS lost_row WHERE lost_row.xmin::text = ANY($1::text[])",
)
# A place may hold another row by now: what was there before the fork was made by a transaction of before the fork.
_AT = _template(
    "fork_rows_at",
    "SELECT lost_row.ctid::text AS place, pg_catalog.to_json(lost_row.*)::text AS content FROM ONLY {table} AS lost_row "
    "WHERE lost_row.ctid = ANY($1::text[]::tid[]) AND lost_row.xmin::text::bigint < $2::bigint",
)

COMPOSED = (_MADE_BY, _AT)
"""Every statement of this module, with its holes."""


def rows_made_by(schema: str, name: str) -> NamedQuery:
    """The rows of a table that some transactions made."""
    return _filled(_MADE_BY, schema, name)


def rows_at(schema: str, name: str) -> NamedQuery:
    """The rows of a table at some places, if a transaction before another one made them."""
    return _filled(_AT, schema, name)


def _filled(template: NamedQuery, schema: str, name: str) -> NamedQuery:
    return replace(template, text=sql.SQL(template.text).format(table=sql.Identifier(schema, name)).as_string(None))
