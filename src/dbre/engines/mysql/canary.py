"""Facet ``canary`` of MySQL and MariaDB: a chain of rows in ``dbre.canary``. Its sessions write, so they are their own."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from dbre.core.errors import Denied, Unsupported
from dbre.core.pool import abort_on_error
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.engines.mysql.backup.source import as_utc, ask, ask_unless_denied
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named
from dbre.ports.backup.model import LogPosition
from dbre.ports.canary import CanaryRow
from dbre.ports.engine import Access

__all__ = ["MySqlCanary"]

_NO_HASH = "0" * 64


class MySqlCanary:
    """Implements ``ports.canary``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def prepare(self) -> None:
        """Make database and table unless the table is there: a login that may only write it needs no right to make it."""
        if not await self._is_there():
            await ask(self._access, "canary_schema", "canary_table")

    async def write(self) -> tuple[CanaryRow, LogPosition | None]:
        """Append one row; where two writers meet, one of them gets an error of the primary key and may try again."""
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        try:
            connection = await open_connection(self._access, what="canary")
            with abort_on_error(connection):
                row = await _append(connection, limit)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return row, await self._position()

    async def newest(self, count: int) -> tuple[CanaryRow, ...]:
        """The newest rows; none where there is no table."""
        if not await self._is_there():
            return ()
        return tuple(map(_row, await self._run("canary_newest", count)))

    async def prune(self, older_than: timedelta) -> int:
        """Delete old rows; the newest stays, because the next one names it."""
        (found,) = await self._run("canary_old", int(older_than.total_seconds()))
        if found["gone"]:
            await self._run("canary_prune", int(found["up_to"]))
        return int(found["gone"])

    async def _is_there(self) -> bool:
        ((found,),) = await ask(self._access, "canary_there")
        return bool(found["tables"])

    async def _position(self) -> LogPosition | None:
        """Where the log ends; None where there is none, or our login may not ask."""
        try:
            rows = await ask_unless_denied(self._access, "backup_position")
            source = await ask_unless_denied(self._access, "backup_source")
        except (Denied, Unsupported):
            return None
        if not rows or not source:
            return None
        return BinlogName.of(int(source[0]["server_id"]), str(rows[0]["File"])).at(int(rows[0]["Position"]))

    async def _run(self, name: str, *parameters: object) -> Sequence[Row]:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        try:
            connection = await open_connection(self._access, what="canary")
            with abort_on_error(connection):
                found = await ask_named(connection, name, *parameters, limit_seconds=limit)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return found


async def _append(connection: Connection, limit: float) -> CanaryRow:
    (last,) = await ask_named(connection, "canary_last", limit_seconds=limit)
    made = CanaryRow(
        sequence=int(last["last_sequence"] or 0) + 1,
        at=as_utc(last["now_at"]),
        nonce=secrets.token_hex(8),
        previous=str(last["last_hash"] or _NO_HASH),
        hash="",
    )
    row = replace(made, hash=hashlib.sha256(made.text()).hexdigest())
    at = row.at.strftime("%Y-%m-%d %H:%M:%S.%f")
    await ask_named(connection, "canary_write", row.sequence, at, row.nonce, row.previous, row.hash, limit_seconds=limit)
    return row


def _row(found: Any) -> CanaryRow:
    return CanaryRow(
        sequence=int(found["sequence"]),
        at=as_utc(found["at"]),
        nonce=str(found["nonce"]),
        previous=str(found["previous"]),
        hash=str(found["hash"]),
    )
