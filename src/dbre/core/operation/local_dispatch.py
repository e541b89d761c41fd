"""Operations as tasks of this process: a bounded number at once, the most urgent first."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import structlog

from dbre.core.errors import DbreError
from dbre.core.operation.dispatch import Due, Runs
from dbre.core.operation.errors import LeaseLost
from dbre.core.text import printable

__all__ = ["LocalDispatcher"]

_FAREWELL_SECONDS = 5.0  # for tasks that were cancelled to end
_log = structlog.get_logger(__name__)


class LocalDispatcher:
    """Runs what it is told of, in this process; never the same operation twice at once."""

    serves_every_zone = False

    def __init__(self, runner: Runs, *, concurrency: int = 8, when_room: Callable[[], None] = lambda: None) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency is at least 1, not {concurrency}")
        self._runner = runner
        self._concurrency = concurrency
        self.when_room = when_room
        """Called after an operation ended: the sweeper looks for the next."""
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, UUID]] = []
        self._known: set[UUID] = set()  # waiting or running
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._waiters: dict[UUID, asyncio.Future[None]] = {}
        self._is_stopping = False

    @property
    def running(self) -> int:
        """How many operations run in this process now."""
        return len(self._tasks)

    @property
    def room(self) -> int:
        """How many more it takes: those that would run at once, and as many behind them."""
        return 0 if self._is_stopping else max(0, 2 * self._concurrency - len(self._known))

    async def dispatch(self, operation_id: UUID, *, zone: str | None, priority: int) -> None:  # noqa: ARG002 - the protocol's
        """Run it as soon as there is a free place; ignored where it waits or runs already, or after ``stop``."""
        self._put(operation_id, priority)
        self._start()

    async def carry(self, due: Sequence[Due]) -> Sequence[Due]:
        """Take all of them; none while stopping."""
        if self._is_stopping:
            return due
        for one in due:
            self._put(one.operation_id, one.priority)
        self._start()
        return ()

    async def run(self, operation_id: UUID, priority: int) -> None:
        """Dispatch it, and return when this process has no more to do with it."""
        if operation_id in self._known:
            return  # another message about the same operation
        self._put(operation_id, priority)
        if operation_id not in self._known:
            return
        ended = asyncio.get_running_loop().create_future()
        self._waiters[operation_id] = ended
        self._start()
        await ended

    async def idle(self) -> None:
        """Return when nothing waits and nothing runs."""
        while self._tasks:
            await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # the callbacks that start the next come first

    async def stop(self, *, grace_seconds: float) -> None:
        """Begin nothing more, wait for what runs, and after ``grace_seconds`` leave the rest where it is.

        What is left is not undone: its lease runs out, and another worker goes on with it.
        """
        self._is_stopping = True
        for _, _, operation_id in self._waiting:
            self._forget(operation_id)
        self._waiting.clear()
        tasks = dict(self._tasks)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks.values(), timeout=max(grace_seconds, 0))
        if late:
            left = [str(operation_id) for operation_id, task in tasks.items() if task in late]
            _log.warning("operations_left_to_others", operations=left, grace_seconds=grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.wait(late, timeout=_FAREWELL_SECONDS)

    def _put(self, operation_id: UUID, priority: int) -> None:
        if self._is_stopping or operation_id in self._known:
            return
        self._known.add(operation_id)
        heapq.heappush(self._waiting, (-priority, next(self._order), operation_id))

    def _start(self) -> None:
        while self._waiting and len(self._tasks) < self._concurrency:
            _, _, operation_id = heapq.heappop(self._waiting)
            task = asyncio.create_task(self._run(operation_id), name=f"operation-{operation_id}")
            self._tasks[operation_id] = task
            task.add_done_callback(partial(self._ended, operation_id))

    def _ended(self, operation_id: UUID, _: asyncio.Task[None]) -> None:
        self._tasks.pop(operation_id, None)
        self._forget(operation_id)
        self._start()
        self.when_room()

    def _forget(self, operation_id: UUID) -> None:
        self._known.discard(operation_id)
        waiter = self._waiters.pop(operation_id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _run(self, operation_id: UUID) -> None:
        try:
            await self._runner.drive(operation_id)
        except LeaseLost as lost:
            _log.warning("operation_lost", operation=str(operation_id), why=str(lost))
        except Exception as error:  # noqa: BLE001 (one operation's trouble ends no other; the sweeper finds it again)
            said = error.message if isinstance(error, DbreError) else str(error)
            described = printable(f"{type(error).__name__}: {said}", limit=500)
            _log.error("operation_run_failed", operation=str(operation_id), error=described, exc_info=error)
