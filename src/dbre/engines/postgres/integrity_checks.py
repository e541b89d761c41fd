"""The checks of facet ``integrity``: pages, indexes, constraints, sequences, collations."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import psycopg

from dbre.core.text import one_line, printable
from dbre.engines.postgres.integrity_queries import amcheck_heap, amcheck_index, count_rows, highest_value, orphans
from dbre.engines.postgres.link import Conversation
from dbre.ports.engine import NamedQuery
from dbre.ports.integrity import IntegrityFault, IntegrityReport, TableName

__all__ = ["CHECKS"]

_DAMAGE = ("XX001", "XX002")  # data_corrupted, index_corrupted
_SHOWN = 200
_NO_AMCHECK = "the database has no extension amcheck (CREATE EXTENSION amcheck, on the primary)"


def _report(unit: str, looked_at: int, faults: Sequence[IntegrityFault], *, missing: str | None = None) -> IntegrityReport:
    return IntegrityReport(check="", looked_at=looked_at, unit=unit, faults=tuple(faults), missing=missing, seconds=0.0)


def _name(*parts: str) -> str:
    return printable(".".join(parts), limit=_SHOWN)


async def _damage(rule: str, subject: str, work: Awaitable[Any]) -> IntegrityFault | None:
    """Run a statement that a damaged page ends with an error of its own class; any other error is not about damage."""
    try:
        await work
    except psycopg.Error as error:
        if error.sqlstate not in _DAMAGE and not isinstance(error, psycopg.errors.InternalError_):
            raise
        return IntegrityFault(rule=rule, subject=subject, detail=one_line(error.diag.message_primary or str(error)))
    return None


async def pages(conversation: Conversation) -> IntegrityReport:
    """Read every page of every table that we may read: the server compares its checksum."""
    state = await conversation.row("integrity_data_checksums")
    heaps = await conversation.rows("integrity_heaps")
    found = []
    for one in heaps:
        name = TableName(one.schema_name, one.table_name)
        work = conversation.compose(count_rows(name))
        fault = await _damage("page_checksum", _name(one.schema_name, one.table_name), work)
        found += [fault] if fault else []
    missing = None if state.has_checksums or found else "the cluster has no page checksums"
    return _report("tables", len(heaps), found, missing=missing)


async def indexes(conversation: Conversation) -> IntegrityReport:
    """Check every btree with amcheck: its order, and that every row of the table is in it."""
    schema = await _amcheck(conversation)
    if schema is None:
        return _report("indexes", 0, (), missing=_NO_AMCHECK)
    query, found = amcheck_index(schema), []
    btrees = await conversation.rows("integrity_btrees")
    for one in btrees:
        fault = await _damage(
            "index_damaged", _name(one.schema_name, one.index_name), conversation.compose(query, one.index_oid)
        )
        found += [fault] if fault else []
    return _report("indexes", len(btrees), found)


async def heaps(conversation: Conversation) -> IntegrityReport:
    """Check the rows of every table with amcheck."""
    schema = await _amcheck(conversation)
    if schema is None:
        return _report("tables", 0, (), missing=_NO_AMCHECK)
    query, found = amcheck_heap(schema), list[IntegrityFault]()
    tables = await conversation.rows("integrity_amcheck_heaps")
    for one in tables:
        found += await _heap(conversation, query, one)
    return _report("tables", len(tables), found)


async def _heap(conversation: Conversation, query: NamedQuery, table: Any) -> list[IntegrityFault]:
    """What amcheck says of one table; a page that cannot be read at all ends it with an error, and is damage too."""
    subject, rows = _name(table.schema_name, table.table_name), list[Any]()

    async def read() -> None:
        rows.extend(await conversation.compose(query, table.table_oid))

    fault = await _damage("heap_damaged", subject, read())
    told = [
        IntegrityFault(rule="heap_damaged", subject=subject, detail=f"block {row.blkno}: {one_line(row.msg)}") for row in rows
    ]
    return [fault] if fault is not None else told


async def _amcheck(conversation: Conversation) -> str | None:
    found = await conversation.rows("integrity_amcheck")
    return str(found[0].schema_name) if found else None


async def invalid_indexes(conversation: Conversation) -> IntegrityReport:
    """Indexes that a failed build or a crash left unusable."""
    count = await conversation.row("integrity_index_count")
    return _report(
        "indexes",
        count.indexes,
        [
            IntegrityFault(
                rule="index_invalid",
                subject=_name(one.schema_name, one.index_name),
                detail="not valid" if one.is_ready else "not ready: its build did not end",
            )
            for one in await conversation.rows("integrity_invalid_indexes")
        ],
    )


async def constraints(conversation: Conversation) -> IntegrityReport:
    """Rows whose foreign key names a row that is not there."""
    keys, found = await conversation.rows("integrity_foreign_keys"), []
    for one in keys:
        (row,) = await conversation.compose(orphans(one))
        if row.orphans:
            found.append(
                IntegrityFault(
                    rule="constraint_broken",
                    subject=_name(one.schema_name, one.table_name, one.constraint_name),
                    detail=f"{row.orphans} rows name a row of {_name(one.target_schema, one.target_table)} that is not there",
                )
            )
    return _report("foreign keys", len(keys), found)


async def sequences(conversation: Conversation) -> IntegrityReport:
    """Sequences that would give a number that is taken."""
    owned, found = await conversation.rows("integrity_sequences"), []
    for one in owned:
        (row,) = await conversation.compose(highest_value(one))
        if row.highest is not None and row.highest > row.last_value:
            found.append(
                IntegrityFault(
                    rule="sequence_behind",
                    subject=_name(one.sequence_schema, one.sequence_name),
                    detail=f"stands at {row.last_value}, and {_name(one.table_name, one.column_name)} has {row.highest}",
                )
            )
    return _report("sequences", len(owned), found)


async def collations(conversation: Conversation) -> IntegrityReport:
    """Collations whose library sorts in another way than when indexes were built."""
    used = await conversation.rows("integrity_collations")
    return _report(
        "collations",
        len(used),
        [
            IntegrityFault(
                rule="collation_changed",
                subject=f"{one.kind} {printable(one.name, limit=_SHOWN)}",
                detail=f"built with version {printable(one.recorded)}, and the library here is {printable(one.actual)}",
            )
            for one in used
            if one.recorded is not None and one.actual is not None and one.recorded != one.actual
        ],
    )


CHECKS: dict[str, Callable[[Conversation], Awaitable[IntegrityReport]]] = {
    "pages": pages,
    "indexes": indexes,
    "heaps": heaps,
    "invalid_indexes": invalid_indexes,
    "constraints": constraints,
    "sequences": sequences,
    "collations": collations,
}
"""By name, in the order in which they are told."""
