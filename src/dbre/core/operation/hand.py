"""An operation in the hands of a worker: its position, its lease, and the only way in which the worker writes about it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID, uuid4

import structlog
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation import tables
from dbre.core.operation.controls import Controls
from dbre.core.operation.definition import Handler, Operation
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.hooks import JournalHooks
from dbre.core.operation.lease import HeldLease
from dbre.core.operation.page import Page, Pen, open_page
from dbre.core.operation.position import Position
from dbre.core.retry import RetryPolicy
from dbre.core.store.errors import ConstraintViolated, ControlPlaneLockLost
from dbre.core.store.limits import WRITE_SECONDS

__all__ = ["Hand"]

_AGAIN = RetryPolicy(first_seconds=0.1, longest_seconds=2.0)
_RAN_OUT = "its lease of {:g} s ran out before it could be renewed"
_row = tables.operation.c
_log = structlog.get_logger(__name__)
Result = TypeVar("Result")


class Hand:
    """One claimed operation. What its worker writes goes through ``commit``, which writes nothing without a lease."""

    def __init__(
        self,
        pen: Pen,
        position: Position,
        lease: HeldLease,
        definition: Operation[Any],
        *,
        clock: Clock,
        hooks: JournalHooks,
        parent_ids: tuple[UUID, ...] = (),
    ) -> None:
        self.pen = pen
        self.position = position
        self.lease = lease
        self.definition = definition
        self.handlers: Mapping[str, Handler] = definition.handlers()
        self.clock = clock
        self.parent_ids = parent_ids
        self.controls = Controls()
        self.lost = asyncio.Event()
        self.ending_children = 0  # operations that a step began, and that are being cancelled with it
        self.is_leaving = False  # this worker stops, and leaves the operation to others
        self.work: asyncio.Task[Any] | None = None  # what a handler does at the moment, or still does though it was cancelled
        self._hooks = hooks
        self._writing = asyncio.Lock()

    @property
    def id(self) -> UUID:
        """The operation's id."""
        return self.position.record.id

    def lose(self, why: str) -> None:
        """The lease is gone: whatever waits for the step ends now."""
        self.lease.lose(why)
        self.lost.set()

    async def commit(self, what: str, work: Callable[[Page], Awaitable[Result]]) -> Result:
        """Write one page of the journal, once, however often the store has to be asked, for as long as the lease lives.

        A commit whose answer is lost may have happened or not: the next try looks for the mark that it would have left.

        Raises: LeaseLost; ControlPlaneLockLost; ConstraintViolated, a defect.
        """
        async with self._writing:
            return await self._commit(what, work)

    async def _commit(self, what: str, work: Callable[[Page], Awaitable[Result]]) -> Result:
        tries: dict[UUID, tuple[Position, Result]] = {}
        while True:
            self.lease.require()
            asked = self.lease.asked()
            await self._hooks.before(what)
            try:
                self.position, result = await self.pen.store.grouped(lambda connection: self._write(connection, work, tries))
            except (ControlPlaneLockLost, ConstraintViolated):
                raise
            except StoreError as error:
                await self._wait_for_store(error, what, len(tries))
                continue
            self.lease.renewed(asked)
            await self._hooks.after(what)
            return result

    async def _write(
        self,
        connection: AsyncConnection,
        work: Callable[[Page], Awaitable[Result]],
        tries: dict[UUID, tuple[Position, Result]],
    ) -> tuple[Position, Result]:
        self.lease.require()  # again: the store may have made this wait for its turn
        if tries:
            mark = (await connection.execute(select(_row.journal_mark).where(_row.id == self.id))).scalar()
            if mark in tries:
                return tries[mark]
        now, mark = self.clock.now(), uuid4()
        page = await open_page(connection, self.pen, self.position, mark=mark, at=now)
        self.controls.take(page.flags, now)
        result = await work(page)
        await page.close()
        tries[mark] = (page.position, result)
        return page.position, result

    async def _wait_for_store(self, error: StoreError, what: str, number: int) -> None:
        remaining = self.lease.remaining_seconds
        _log.warning(
            "journal_write_failed", operation=str(self.id), commit=what, code=error.code, error=error.message,
            lease_seconds=round(remaining, 1),
        )  # fmt: skip
        await self.clock.sleep(min(_AGAIN.ceiling_seconds(number + 1), remaining + 0.01))

    async def keep(self, *, renewal_seconds: float) -> None:
        """Renew the lease until cancelled, or until it is lost."""
        try:
            await self._keep(renewal_seconds)
        except Exception as error:  # noqa: BLE001 - a lease that nobody renews is lost, whatever the cause
            _log.error("lease_keeper_failed", operation=str(self.id), error=f"{type(error).__name__}: {error}")
            self.lose("its lease could not be renewed, because of a defect")

    async def _keep(self, renewal_seconds: float) -> None:
        while True:
            await self.clock.sleep(min(renewal_seconds, self.lease.remaining_seconds))
            while not await self._renewed():
                if self.lease.remaining_seconds <= 0:
                    self.lose(_RAN_OUT.format(self.lease.seconds))
                    return
                await self.clock.sleep(min(1.0, renewal_seconds / 4, self.lease.remaining_seconds))

    async def _renewed(self) -> bool:
        """Whether the store has renewed the lease; waits no longer than the lease lives."""
        if self.lease.remaining_seconds <= 0:
            return False
        asked, task = self.lease.asked(), asyncio.ensure_future(self.pen.store.grouped(self._renew))
        try:
            await asyncio.wait({task}, timeout=self.lease.remaining_seconds)
            if not task.done():  # the step ends now, and not once the store has given up
                self.lose(_RAN_OUT.format(self.lease.seconds))
        finally:
            if (
                not task.done()
            ):  # one that waits for its turn is withdrawn; one that is being written must not outlive the store
                task.cancel()
                await asyncio.wait({task}, timeout=WRITE_SECONDS)
        if not task.done() or task.cancelled():
            return False
        error = task.exception()
        if isinstance(error, LeaseLost):
            return False
        if error is not None:
            if not isinstance(error, StoreError):
                raise error
            _log.warning("lease_renewal_failed", operation=str(self.id), code=error.code, error=error.message)
            return False
        if not task.result():
            self.lose(f"it is not in the hands of {self.pen.fence.owner}, attempt {self.pen.fence.attempt}, any more")
        self.lease.renewed(asked)
        return True

    async def _renew(self, connection: AsyncConnection) -> bool:
        self.lease.require()  # again: the store may have made this wait for its turn, and somebody else may have looked
        mine = (_row.id == self.id, _row.owner == self.pen.fence.owner, _row.attempt == self.pen.fence.attempt)
        until = self.pen.leases.present() + self.pen.lease_seconds
        return (await connection.execute(update(tables.operation).where(*mine).values(lease_until=until))).rowcount == 1

    async def let_go(self) -> None:
        """End the lease at once, because this worker stops in order: another one need not wait for its end."""
        mine = (_row.id == self.id, _row.owner == self.pen.fence.owner, _row.attempt == self.pen.fence.attempt)
        free = {"owner": None, "lease_epoch": None, "lease_until": None, "dispatched_at": None}
        await self.pen.store.grouped(lambda connection: connection.execute(update(tables.operation).where(*mine).values(free)))
