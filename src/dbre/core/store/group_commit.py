"""Group commit: works of many callers share one transaction, and so one wait for the disk.

While one transaction is written, works queue for the next. There is no timer: a work on an idle store begins at once, and a
group takes in what has come until its transaction has the write lock, and then for at most 5 ms more.
"""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from copy import copy
from typing import Any, TypeVar, cast

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.errors import DbreError
from dbre.core.store.address import StoreAddress
from dbre.core.store.driver_errors import store_error
from dbre.core.store.limits import limited

__all__ = ["LARGEST_GROUP", "GroupCommit"]

LARGEST_GROUP = 256
"""Works in one transaction."""
_JOINING_SECONDS = 0.005  # how long a group that runs takes in works that came after it began

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Any]]
Note = Callable[[AsyncConnection], None]


class _Place:
    """One caller's place in the queue, and what became of its work."""

    __slots__ = ("context", "ended", "error", "note", "result", "work")

    def __init__(self, work: Work | None, note: Note | None) -> None:
        self.work = work
        self.note = note
        self.context = contextvars.copy_context() if work else None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.result: Any = None
        self.error: BaseException | None = None

    def end(self, error: BaseException | None = None) -> None:
        """Let the caller go on."""
        self.error = self.error or error
        if not self.ended.done():
            self.ended.set_result(None)


class GroupCommit:
    """The queue of one store, and the task that empties it."""

    def __init__(self, address: StoreAddress, begin: Callable[[], AbstractAsyncContextManager[AsyncConnection]]) -> None:
        self._address = address
        self._begin = begin
        self._queue: deque[_Place] = deque()
        self._task: asyncio.Task[None] | None = None
        self.working_task: asyncio.Task[Any] | None = None  # of the work that runs at the moment

    async def run(self, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
        """Do the work in the next transaction; see ``Store.grouped``."""
        return cast(Result, await self._wait_for(_Place(work, None)))

    async def note(self, note: Note) -> None:
        """Take the note in the next transaction; see ``Store.grouped_notes``."""
        await self._wait_for(_Place(None, note))

    async def _wait_for(self, place: _Place) -> Any:
        self._queue.append(place)
        if self._task is None or self._task.done():
            # In an empty context: the transaction belongs to nobody's trace.
            self._task = asyncio.create_task(self._empty_queue(), name="group-commit", context=contextvars.Context())
        try:
            await asyncio.shield(place.ended)
        except asyncio.CancelledError as cancelled:
            if place in self._queue:
                self._queue.remove(place)
                raise
            await _until(place.ended)
            if place.error is not None:
                raise cancelled from place.error
            cancelled.add_note("the write was committed")
            raise
        if place.error is not None:
            raise place.error
        return place.result

    async def _empty_queue(self) -> None:
        """One transaction after another until nobody waits."""
        while self._queue:
            group: list[_Place] = []
            try:
                async with self._begin() as connection:
                    await self._do_works(connection, group)
            except _FirstWorkFailed:
                continue  # it ended with its error, and it was alone
            except BaseException as error:
                self._fail(group, error)
                if not isinstance(error, Exception):  # the loop is being closed
                    self._fail([], error)
                    raise
            else:
                for place in group:
                    place.end()
                await asyncio.sleep(0)  # callers that go on at once join the next group

    def _fail(self, group: list[_Place], error: BaseException) -> None:
        """End all that shared the transaction; where it could not begin, all that waited for it."""
        places = group or list(self._queue)
        if not group:
            self._queue.clear()
        known = store_error(error, self._address) if isinstance(error, SQLAlchemyError) else error
        for place in places:
            place.end(_another(known))

    async def _do_works(self, connection: AsyncConnection, group: list[_Place]) -> None:
        until, waiting = time.monotonic() + _JOINING_SECONDS, min(len(self._queue), LARGEST_GROUP)
        while self._queue and (len(group) < waiting or (time.monotonic() < until and len(group) < LARGEST_GROUP)):
            place = self._queue.popleft()
            is_first = not group
            group.append(place)
            if place.note is not None:
                self._take_note(connection, place)
            elif is_first:
                await self._do_first(connection, place)
            else:
                await self._do_in_savepoint(connection, place)

    def _take_note(self, connection: AsyncConnection, place: _Place) -> None:
        try:
            cast(Note, place.note)(connection)
        except BaseException as error:  # noqa: BLE001 (whatever it is, it belongs to the caller)
            place.error = error

    async def _do_first(self, connection: AsyncConnection, place: _Place) -> None:
        """The first of a group needs no savepoint: if it fails, the transaction holds nothing else, and is rolled back."""
        try:
            await self._do(connection, place)
        except BaseException as error:
            if _is_stopping():
                raise
            place.end(error)
            raise _FirstWorkFailed from error

    async def _do_in_savepoint(self, connection: AsyncConnection, place: _Place) -> None:
        try:
            async with connection.begin_nested():
                await self._do(connection, place)
        except BaseException as error:
            # Any other error is of the savepoint: SQLite, for one, ends the whole transaction by itself when the disk is full.
            if error is not place.error or connection.invalidated:
                raise

    async def _do(self, connection: AsyncConnection, place: _Place) -> None:
        work = cast(Work, place.work)

        async def done() -> Any:
            async with limited(self._address, None):  # a driver's error becomes the store's before the caller sees it
                return await work(connection)

        self.working_task = asyncio.create_task(done(), name="grouped-work", context=place.context)
        try:
            place.result = await self.working_task
        except BaseException as error:
            if not _is_stopping():
                place.error = error
            raise
        finally:
            self.working_task = None


class _FirstWorkFailed(Exception):
    """Rolls the transaction of a group back whose first work failed."""


def _another(error: BaseException) -> BaseException:
    """The same error for one more caller: a traceback grows with each place where it is raised."""
    if not isinstance(error, DbreError):
        return error
    made = copy(error)
    made.__cause__ = error.__cause__
    return made


def _is_stopping() -> bool:
    """Whether this task was told to end: by the time limit of the transaction, or because the loop is closed."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _until(ended: "asyncio.Future[None]") -> None:
    """Wait for the end of a transaction, which has a time limit of its own, whoever asks to stop meanwhile."""
    while not ended.done():
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            if ended.cancelled():
                return
