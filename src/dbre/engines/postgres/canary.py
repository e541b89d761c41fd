"""Facet ``canary`` of PostgreSQL: a chain of rows in ``dbre.canary``. Its sessions write, so they are their own."""

import secrets
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

from dbre.core.pool import abort_on_error
from dbre.engines.postgres.connection import open_connection
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS
from dbre.engines.postgres.queries import named
from dbre.ports.backup.model import LogPosition
from dbre.ports.canary import CanaryRow
from dbre.ports.engine import Access

__all__ = ["PostgresCanary"]


class PostgresCanary:
    """Implements ``ports.canary``."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def prepare(self) -> None:
        """Make schema and table unless the table is there: a role that may only write it needs no right to make it."""
        ((state,),) = await self._run(("canary_state",))
        if not state.has_canary:
            await self._run(("canary_schema",), ("canary_table",))

    async def write(self) -> tuple[CanaryRow, LogPosition | None]:
        """Append one row; where two writers meet, one of them gets an error of the unique key and may try again."""
        (found,), (where,) = await self._run(("canary_write", secrets.token_hex(8)), ("canary_position",))
        return _row(found), LogPosition(timeline=where.timeline, value=where.value, text=where.position)

    async def newest(self, count: int) -> tuple[CanaryRow, ...]:
        """The newest rows; none where there is no table."""
        ((state,),) = await self._run(("canary_state",))
        if not state.has_canary:
            return ()
        (rows,) = await self._run(("canary_newest", count))
        return tuple(_row(one) for one in rows)

    async def prune(self, older_than: timedelta) -> int:
        """Delete old rows; the newest stays, because the next one names it."""
        ((found,),) = await self._run(("canary_prune", older_than))
        return int(found.gone)

    async def _run(self, *statements: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        try:
            connection = await open_connection(self._access, what="canary")
            with abort_on_error(connection):
                found = [
                    await connection.run(named(name, version=connection.version), *parameters, limit_seconds=limit)
                    for name, *parameters in statements
                ]
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access, limit_seconds=limit) from error
        return found


def _row(found: Any) -> CanaryRow:
    return CanaryRow(
        sequence=found.sequence, at=found.at.astimezone(UTC), nonce=found.nonce, previous=found.previous, hash=found.hash
    )
