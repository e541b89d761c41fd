"""Facet ``integrity`` of MySQL and MariaDB: digests of tables and checks; everything only reads."""

import hashlib
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from dbre.core.errors import DbreError, UsageError
from dbre.core.pool import abort_on_error
from dbre.core.text import closest, one_line, printable, quoted
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.integrity_queries import check_table, digest, highest_value, orphans
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named
from dbre.ports.engine import Access, NamedQuery
from dbre.ports.integrity import IntegrityFault, IntegrityReport, TableDigest, TableName

__all__ = ["MySqlIntegrity"]

_Answer = TypeVar("_Answer")
_METHOD = "mysql/sha2-256/2"
_SHOWN = 200
_FINE = {"status", "note", "info"}


class _Asking:
    """One session that reads the same on every server."""

    def __init__(self, connection: Connection, limit: float) -> None:
        self._connection = connection
        self._limit = limit

    async def rows(self, name: str, *parameters: object) -> Sequence[Row]:
        return await ask_named(self._connection, name, *parameters, limit_seconds=self._limit)

    async def compose(self, query: NamedQuery) -> Sequence[Row]:
        return await self._connection.run(query, limit_seconds=self._limit)

    async def tables(self) -> Sequence[Row]:
        return await self.rows("integrity_tables")


class MySqlIntegrity:
    """Implements ``ports.integrity``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def tables(self) -> Sequence[TableName]:
        """Tables of users, in the order of their bytes; of the login's database, where it names one."""
        return [_named(row) for row in await self._ask(lambda asking: asking.tables())]

    async def digest(self, table: TableName, *, bucket: tuple[int, int] | None = None) -> TableDigest:
        """Count and two independent sums of 60 bits of SHA-256 over whole rows."""
        if bucket is not None and not 0 <= bucket[0] < bucket[1]:
            raise UsageError(f"there is no bucket {bucket[0]} of {bucket[1]}", hint="count from 0")
        return await self._ask(lambda asking: _digest(asking, table, bucket))

    def checks(self) -> Sequence[str]:
        """Names of the checks."""
        return tuple(_CHECKS)

    async def check(self, name: str) -> IntegrityReport:
        """Run one check."""
        if name not in _CHECKS:
            near = closest(name, list(_CHECKS))
            hint = f"did you mean {near}?" if near else f"there are {', '.join(_CHECKS)}"
            raise UsageError(f"MySQL has no integrity check {quoted(name, limit=100)}", hint=hint)
        began = time.monotonic()
        found = await self._ask(_CHECKS[name])
        return replace(found, check=name, seconds=time.monotonic() - began)

    async def extensions(self) -> Sequence[tuple[str, str, bool]]:
        """Every storage engine that a table uses, and whether this server has it."""

        async def work(asking: _Asking) -> Sequence[tuple[str, str, bool]]:
            used = {str(row["engine"]) for row in await asking.tables() if row["engine"]}
            known = {
                str(row["engine"]) for row in await asking.rows("integrity_engines") if row["support"] in ("YES", "DEFAULT")
            }
            return [(name, "", name in known) for name in sorted(used)]

        return await self._ask(work)

    async def _ask(self, work: Callable[[_Asking], Awaitable[_Answer]]) -> _Answer:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        try:
            connection = await open_connection(self._access, what="integrity")
            with abort_on_error(connection):
                asking = _Asking(connection, limit)
                await asking.rows("read_only_session")
                await asking.rows("integrity_session")
                found = await work(asking)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return found


def _named(row: Row) -> TableName:
    return TableName(str(row["schema_name"]), str(row["table_name"]))


def _shown(name: TableName) -> str:
    return printable(str(name), limit=_SHOWN)


async def _digest(asking: _Asking, table: TableName, bucket: tuple[int, int] | None) -> TableDigest:
    began = time.monotonic()
    found = await asking.rows("integrity_columns", table.schema, table.name)
    columns = [row for row in found if "VIRTUAL" not in str(row["extra"])]
    if not columns:
        raise DbreError(f"there is no table {_shown(table)}, or we may not read it", hint="list the tables")
    (sums,) = await asking.compose(digest(table, columns, bucket))
    names = "\0".join(str(row["column_name"]) for row in columns)
    return TableDigest(
        table=table,
        rows=int(sums["row_count"]),
        digest=hashlib.sha256(f"{sums['low']}|{sums['high']}|{names}".encode()).hexdigest(),
        method=_METHOD,
        seconds=time.monotonic() - began,
    )


def _report(unit: str, looked_at: int, faults: Sequence[IntegrityFault]) -> IntegrityReport:
    return IntegrityReport(check="", looked_at=looked_at, unit=unit, faults=tuple(faults), missing=None, seconds=0.0)


async def _check_tables(asking: _Asking) -> IntegrityReport:
    """Let the server compare rows, pages and indexes of every table."""
    faults: list[IntegrityFault] = []
    tables = [_named(row) for row in await asking.tables()]
    for table in tables:
        for row in await asking.compose(check_table(table)):
            text = str(row["Msg_text"])
            if str(row["Msg_type"]).lower() in _FINE:
                continue
            rule = "index_damaged" if "index" in text.lower() else "heap_damaged"
            faults.append(IntegrityFault(rule=rule, subject=_shown(table), detail=one_line(text)))
    return _report("tables", len(tables), faults)


async def _check_constraints(asking: _Asking) -> IntegrityReport:
    """Look for rows whose foreign key names a row that is not there."""
    faults: list[IntegrityFault] = []
    rows = await asking.rows("integrity_references")
    keys = [
        list(group)
        for _, group in itertools.groupby(rows, key=lambda row: (row["schema_name"], row["table_name"], row["constraint_name"]))
    ]
    for key in keys:
        (found,) = await asking.compose(orphans(key))
        if int(found["orphans"]):
            subject = printable(f"{_named(key[0])}.{key[0]['constraint_name']}", limit=_SHOWN)
            detail = (
                f"{found['orphans']} rows name a row of {_shown(TableName(key[0]['target_schema'], key[0]['target_table']))} "
            )
            faults.append(IntegrityFault(rule="constraint_broken", subject=subject, detail=f"{detail}that is not there"))
    return _report("foreign keys", len(keys), faults)


async def _check_sequences(asking: _Asking) -> IntegrityReport:
    """Compare each counter of AUTO_INCREMENT with the highest value that is in its column."""
    faults: list[IntegrityFault] = []
    counted = [row for row in await asking.tables() if row["next_value"] is not None]
    for row in counted:
        table = _named(row)
        for column in await asking.rows("integrity_columns", table.schema, table.name):
            if "auto_increment" not in str(column["extra"]):
                continue
            (found,) = await asking.compose(highest_value(table, str(column["column_name"])))
            if found["highest"] is not None and int(found["highest"]) >= int(row["next_value"]):
                detail = f"its counter is at {row['next_value']}, and {found['highest']} is there"
                faults.append(IntegrityFault(rule="sequence_behind", subject=_shown(table), detail=detail))
    return _report("counters", len(counted), faults)


_CHECKS: dict[str, Callable[[_Asking], Awaitable[IntegrityReport]]] = {
    "tables": _check_tables,
    "constraints": _check_constraints,
    "sequences": _check_sequences,
}
