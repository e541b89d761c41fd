"""Looks each second, and at once when this process is told, what people want of the operations that run here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from sqlalchemy import select

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation import tables
from dbre.core.operation.flags import FLAG_COLUMNS, Flags, flags_of
from dbre.core.operation.hand import Hand
from dbre.core.operation.journal import REQUESTS, Fence
from dbre.core.store import Store

__all__ = ["ControlWatch"]

POLL_SECONDS = 1.0
_log = structlog.get_logger(__name__)


class ControlWatch:
    """One look for all operations of a runner."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._hands: dict[UUID, Hand] = {}
        self._told = store.listen(REQUESTS)
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follow(self, hand: Hand) -> AsyncIterator[None]:
        """Tell the hand's controls of every wish for as long as the block lasts."""
        self._hands[hand.id] = hand
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="operation-control-watch")
        try:
            yield
        finally:
            self._hands.pop(hand.id, None)
            if not self._hands and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _run(self) -> None:
        while True:
            await self._sleep()
            try:
                await self._look()
            except StoreError as error:  # the next look may succeed; an outage ends leases, not this
                _log.warning("operation_controls_not_read", code=error.code, error=error.message)
            except Exception as error:  # noqa: BLE001 - without it no running step hears of a wish to cancel any more
                _log.error("operation_controls_failed", error=f"{type(error).__name__}: {error}")

    async def _sleep(self) -> None:
        wakers = [asyncio.ensure_future(self._told.wait()), asyncio.ensure_future(self._clock.sleep(POLL_SECONDS))]
        try:
            await asyncio.wait(wakers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waker in wakers:
                waker.cancel()
        self._told.clear()

    async def _look(self) -> None:
        wanted = select(*FLAG_COLUMNS).where(tables.operation.c.id.in_(list(self._hands)))
        async with self._store.read() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        for row in rows:
            if (hand := self._hands.get(row["id"])) is not None:
                self._tell(hand, flags_of(row))

    def _tell(self, hand: Hand, flags: Flags) -> None:
        if Fence(flags.owner or "", flags.attempt) != hand.pen.fence:
            # Read before the claim of this hand was committed, or its end: only a later attempt proves that it is lost.
            if flags.attempt > hand.pen.fence.attempt:
                hand.lose(f"{flags.owner or 'another worker'} has it, attempt {flags.attempt}")
            return
        hand.controls.take(flags, self._clock.now())
