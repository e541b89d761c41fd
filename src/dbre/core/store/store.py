"""The open state store: write transactions one at a time, reads beside them, and every driver error turned into ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dbre.core.store.address import PostgresAddress, SqliteAddress, StoreAddress
from dbre.core.store.announcements import Announcements
from dbre.core.store.control_plane import ControlPlaneLease
from dbre.core.store.group_commit import GroupCommit
from dbre.core.store.limits import READ_SECONDS, WRITE_SECONDS, limited
from dbre.core.store.notes import begin_notes, end_notes, follow_savepoints
from dbre.core.store.observation import WriteObserver, observed
from dbre.core.store.postgres import take_write_lock
from dbre.core.store.upsert import upsert

__all__ = ["Store"]

Result = TypeVar("Result")


class Store:
    """An open state store. Make one with ``open_store``; ``warnings`` say what is doubtful about the place where it is."""

    def __init__(
        self,
        address: StoreAddress,
        *,
        writer: AsyncEngine,
        reader: AsyncEngine,
        lease: ControlPlaneLease | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._address = address
        self._writer = writer
        self._reader = reader
        self._lease = lease
        self._writing = asyncio.Lock()
        self._writing_task: asyncio.Task[Any] | None = None
        self._announcements = Announcements()
        self._groups = GroupCommit(address, self._begin)
        follow_savepoints(writer)
        self.warnings = warnings
        self.write_observer: WriteObserver | None = None  # hears of each write transaction; set by who runs long

    @property
    def address(self) -> StoreAddress:
        """Where the store is; printing it shows no password."""
        return self._address

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return "sqlite" if isinstance(self._address, SqliteAddress) else "postgresql"

    def listen(self, topic: str) -> asyncio.Event:
        """A signal that is set after each commit of this process that announced ``topic`` (``announce``)."""
        return self._announcements.listen(topic)

    async def control_plane_lost(self) -> None:
        """Return when this process has lost the lock of the control plane, and so must end. Without a lock: never."""
        if self._lease is None:
            await asyncio.Event().wait()
        else:
            await self._lease.lost.wait()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: the only one at its time in this process and beyond; committed at the end, rolled back on error.

        What is read inside cannot be changed by another writer before the commit.

        Raises: a StoreError in place of any driver's error (its cause); RuntimeError for one inside another of the same task.
        """
        self._refuse_nesting()
        async with self._begin() as connection:
            yield connection

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        with observed(self.write_observer):
            async with self._writing:
                self._writing_task = asyncio.current_task()
                try:
                    async with limited(self._address, WRITE_SECONDS), self._writer.connect() as connection, connection.begin():
                        notes = begin_notes(connection)
                        if isinstance(self._address, PostgresAddress):
                            await take_write_lock(connection)
                        if self._lease is not None:
                            await self._lease.verify(connection)
                        async with _interrupted_after(connection, WRITE_SECONDS):
                            try:
                                yield connection
                                await notes.write(connection)
                            finally:
                                end_notes(connection)
                finally:
                    self._writing_task = None
            self._announcements.deliver(notes.topics)

    async def grouped(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do ``work`` in a write transaction that it may share with others: one commit, and one wait for the disk, for all.

        Returns once the transaction is committed. An error of one work, of whatever class, undoes that work alone and is raised
        to its caller; where the commit fails, all that shared it get the error. A caller that is cancelled before its work
        begins does nothing; later, it waits until the transaction has ended, and is cancelled then: it must look whether its
        work was committed. The work runs in a task of its own, in the context of its caller.

        Raises: a StoreError in place of any driver's error (its cause); RuntimeError inside a transaction of the same task.
        """
        self._refuse_nesting()
        return await self._groups.run(work)

    async def grouped_notes(self, note: Callable[[AsyncConnection], None]) -> None:
        """As ``grouped``, for a work that only notes something (``announce``, ``defer``): it costs no savepoint.

        ``note`` either raises or has noted everything.
        """
        self._refuse_nesting()
        await self._groups.note(note)

    def _refuse_nesting(self) -> None:
        task = asyncio.current_task()
        if task is not None and (task is self._writing_task or task is self._groups.working_task):
            raise RuntimeError("begin() inside begin() of the same task would wait for itself: hand the connection on instead")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One consistent snapshot, read-only; on SQLite it neither waits for a writer nor makes one wait.

        Raises: a StoreError in place of any driver's error (its cause).
        """
        async with limited(self._address, READ_SECONDS), self._reader.connect() as connection:
            if isinstance(self._address, PostgresAddress):
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            async with connection.begin(), _interrupted_after(connection, READ_SECONDS):
                yield connection

    async def insert_or_update(
        self,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        keys: Sequence[str],
        add: Sequence[str] = (),
        connection: AsyncConnection | None = None,
    ) -> None:
        """Insert rows; where ``keys`` (a unique constraint) exist, replace the other columns, and *add* to those in ``add``.

        All rows have the same columns. Without ``connection`` this is a write transaction of its own.
        """
        if connection is not None:
            await upsert(connection, table, rows, keys=keys, add=add)
        elif rows:
            async with self.begin() as own:
                await upsert(own, table, rows, keys=keys, add=add)


@asynccontextmanager
async def _interrupted_after(connection: AsyncConnection, seconds: float) -> AsyncIterator[None]:
    # Cancelling the wait does not stop SQLite's thread, and closing the connection would wait for it.
    if connection.dialect.name != "sqlite":
        yield
        return
    driver = (await connection.get_raw_connection()).driver_connection
    tasks: list[asyncio.Task[None]] = []
    alarm = asyncio.get_running_loop().call_later(seconds, lambda: tasks.append(asyncio.create_task(_interrupt(driver))))
    try:
        yield
    finally:
        alarm.cancel()


async def _interrupt(driver: Any) -> None:
    await driver.interrupt()
