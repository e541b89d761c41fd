"""Looks each second for operations that should run and are not being run: nothing depends on a message that arrives."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation.dispatch import Carrier
from dbre.core.operation.due import LeaseTime, SweepScope, find_due, mark_dispatched, unmark_dispatched
from dbre.core.operation.journal import TOPIC
from dbre.core.operation.workers import live_zones
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["SWEEP_SECONDS", "Sweeper"]

SWEEP_SECONDS = 1.0
"""How often it looks without being woken."""
_SHORTEST_PAUSE_SECONDS = 0.05  # between two looks, however often it is woken: each commit of a step wakes it
_STORE_WAIT_SECONDS = 5.0
_BATCH = 200
_log = structlog.get_logger(__name__)


class Sweeper:
    """Finds what is due and hands it to a carrier. Any number may run: each operation is handed over by one of them.

    It is a ``Dispatcher`` too, for those who have just stored an operation: being told makes it look at once.
    """

    def __init__(
        self,
        store: Store,
        carrier: Carrier,
        clock: Clock,
        leases: LeaseTime,
        *,
        zone: str | None = None,
        again_after: timedelta = timedelta(seconds=30),
        watch: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._carrier = carrier
        self._clock = clock
        self._leases = leases
        self._zone = zone
        self._again_after = again_after
        self._watch = watch  # is told how many operations were handed over in a look
        self._wake = store.listen(TOPIC)

    def wake(self) -> None:
        """Look at once: there is room again."""
        self._wake.set()

    async def dispatch(self, operation_id: UUID, *, zone: str | None, priority: int) -> None:  # noqa: ARG002 - the protocol's
        """Look at once: the operation is among what is due, in its turn."""
        self._wake.set()

    async def run(self) -> None:
        """Look until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is waited out."""
        while True:
            self._wake.clear()
            try:
                count = await self.sweep()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("sweep_failed", code=error.code, error=error.message)
                await self._clock.sleep(_STORE_WAIT_SECONDS)
                continue
            self._watch(count)
            await self._clock.sleep(_SHORTEST_PAUSE_SECONDS)
            await self._sleep(SWEEP_SECONDS - _SHORTEST_PAUSE_SECONDS)

    async def sweep(self) -> int:
        """Look once; gives the number of operations that were handed over."""
        room = min(self._carrier.room, _BATCH)
        if room < 1:
            return 0
        now = self._clock.now()
        async with self._store.read() as connection:
            scope = SweepScope(
                limit=room,
                again_after=self._again_after,
                is_patient=self._carrier.serves_every_zone,
                zones=await self._zones(connection),
            )
            found = await find_due(connection, scope, now=now, leases=self._leases)
        if not found:
            return 0
        mine = await self._store.grouped(
            lambda connection: mark_dispatched(connection, found, scope, now=now, leases=self._leases)
        )
        failed = await self._carrier.carry(mine)
        if failed:
            await self._store.grouped(lambda connection: unmark_dispatched(connection, failed, marked=now))
        return len(mine) - len(failed)

    async def _zones(self, connection: AsyncConnection) -> tuple[str | None, ...]:
        # No message goes to a zone without a worker: it would only wait in a queue beside thousands of its repetitions.
        return await live_zones(connection, self._leases) if self._carrier.serves_every_zone else (self._zone,)

    async def _sleep(self, seconds: float) -> None:
        tasks = {asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(seconds))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
