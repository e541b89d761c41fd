"""Folds the journals of operations that ended long ago into compressed documents. The audit log is never touched."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation import tables
from dbre.core.operation.archive import JOURNAL, packed, stored_rows
from dbre.core.operation.states import FINAL
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["Retention"]

_PERIOD_SECONDS = 3600.0
_BATCH = 20  # operations in a transaction, so that no other writer waits for long
_PAUSE_SECONDS = 0.2  # between two transactions
_row = tables.operation.c
_log = structlog.get_logger(__name__)


class Retention:
    """Looks about once an hour for operations that ended longer ago than ``keep_detail``."""

    def __init__(self, store: Store, clock: Clock, *, keep_detail: timedelta) -> None:
        self._store = store
        self._clock = clock
        self._keep_detail = keep_detail

    async def run(self) -> None:
        """Look until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is left for the next time."""
        share = 0.0
        while True:
            spread = random.uniform(0.1, 0.2)  # noqa: S311 - keeps processes that began together apart, hides nothing
            await self._clock.sleep((share + spread) * _PERIOD_SECONDS)
            share = 0.85
            try:
                count = await self.archive()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.warning("operations_not_archived", code=error.code, error=error.message)
                continue
            if count:
                _log.info("operations_archived", count=count)

    async def archive(self) -> int:
        """Fold what is due by now; gives the number of operations."""
        before, total = self._clock.now() - self._keep_detail, 0
        while True:
            async with self._store.read() as connection:
                due = await _due(connection, before)
            if not due:
                return total
            async with self._store.begin() as connection:
                total += await self._fold(connection, before)
            await self._clock.sleep(_PAUSE_SECONDS)

    async def _fold(self, connection: AsyncConnection, before: datetime) -> int:
        now = self._clock.now()
        chosen = await _due(connection, before)
        for operation_id in chosen:
            journal = {part: await stored_rows(connection, part, operation_id) for part in JOURNAL}
            document = packed(journal, connection.dialect)
            await connection.execute(insert(tables.archive).values(operation_id=operation_id, at=now, document=document))
        for table, _ in JOURNAL.values():
            await connection.execute(delete(table).where(table.c.operation_id.in_(chosen)))
        await connection.execute(update(tables.operation).where(_row.id.in_(chosen)).values(archived_at=now))
        return len(chosen)


async def _due(connection: AsyncConnection, before: datetime) -> Sequence[UUID]:
    is_final = _row.state.in_([one.value for one in FINAL])
    wanted = select(_row.id).where(tables.IN_DETAIL, _row.ended_at < before, is_final).order_by(_row.ended_at).limit(_BATCH)
    return (await connection.execute(wanted)).scalars().all()
