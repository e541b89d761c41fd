"""A Celery worker inside this process: its thread takes messages, the operations run in the event loop.

Celery's own pools fork, or run plain functions. Here a pool thread hands the id to the event loop and waits, so that all
operations of a worker share one event loop, one set of connections and one group of commits. There is no child that could
be killed alone: when the process dies, the broker delivers its messages again, and the claim in the store decides.
"""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any
from uuid import UUID

import structlog
from celery import Celery
from celery.concurrency.thread import ApplyResult, TaskPool
from celery.worker import WorkController, state

from dbre.core.clock import Clock
from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.operation.celery_dispatch.application import TASK, make_application, queue_name, zone_queue
from dbre.core.operation.celery_dispatch.publisher import described
from dbre.core.secrets import Secret
from dbre.core.text import printable

__all__ = ["ACKNOWLEDGE_SECONDS", "CeleryConsumer"]

ACKNOWLEDGE_SECONDS = 20 * 60.0
"""A message is acknowledged when its operation has ended, or after this: RabbitMQ cuts off who keeps one for 30 minutes."""
_AGAIN_SECONDS = 5.0
_JOIN_SECONDS = 15.0
_log = structlog.get_logger(__name__)


class _Pool(TaskPool):
    """Celery's threads, which tell its event loop when one is done: else the acknowledgement waits for up to a second."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.wake_reader, self.wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def on_apply(self, *arguments: Any, **options: Any) -> ApplyResult:
        """Run a task in a thread."""
        result = super().on_apply(*arguments, **options)
        result.f.add_done_callback(self._wake)
        return result

    def _wake(self, future: "Future[Any]") -> None:
        if not future.cancelled() and (error := future.exception()) is not None:
            _log.error("broker_task_failed", error=described(error))  # a defect of ours or of Celery's: it is not acknowledged
        try:
            os.write(self.wake_writer, b"\0")
        except OSError:
            return  # the pipe is full, so it is awake; or it is closed, so it has ended

    def slept(self) -> None:
        """Forget what woke the loop."""
        try:
            os.read(self.wake_reader, 4096)
        except OSError:
            return


class _Controller(WorkController):
    """Celery's worker without its command line, its signals and its log files."""

    def on_consumer_ready(self, consumer: Any) -> None:
        """Let finished tasks wake the loop of this connection."""
        if consumer.hub is not None:
            consumer.hub.add_reader(self.pool.wake_reader, self.pool.slept)


class CeleryConsumer:
    """Takes messages of one zone's queue for as long as ``run`` runs; one a process, because Celery stops by globals."""

    def __init__(
        self,
        broker: BrokerDocument,
        password: Secret | None,
        clock: Clock,
        run: Callable[[UUID, int], Awaitable[None]],
        *,
        zone: str | None,
        name: str,
        concurrency: int,
    ) -> None:
        self._broker = broker
        self._password = password
        self._clock = clock
        self._run_operation = run
        self._zone = zone
        self._name = name
        self._concurrency = concurrency
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    async def run(self) -> None:
        """Take messages until cancelled; a broker that is away is tried again each few seconds."""
        self._loop = asyncio.get_running_loop()
        while True:
            ended = self._loop.create_future()
            self._thread = threading.Thread(target=self._work, args=(ended,), name="dbre-celery", daemon=True)
            self._thread.start()
            try:
                problem = await ended
            except asyncio.CancelledError:
                self.stop_taking()
                raise
            if self._is_stopping:
                return
            _log.error("broker_consumer_ended", broker=self._broker.url, error=problem, again_after_seconds=_AGAIN_SECONDS)
            await self._clock.sleep(_AGAIN_SECONDS)

    def stop_taking(self) -> None:
        """Take no more messages; what runs goes on."""
        self._is_stopping = True
        state.should_stop = 0

    async def join(self) -> None:
        """Wait until Celery has let go of its connection, for a bounded time."""
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _JOIN_SECONDS)

    def _work(self, ended: "asyncio.Future[str | None]") -> None:
        problem: str | None = None
        state.should_stop = state.should_terminate = None
        try:
            if not self._is_stopping:
                self._controller().start()
        except BaseException as error:  # noqa: BLE001 (a thread's end is reported to the loop, whatever ended it)
            problem = described(error)
        assert self._loop is not None  # noqa: S101 (set before the thread was started)
        self._loop.call_soon_threadsafe(_settle, ended, problem)

    def _controller(self) -> WorkController:
        application: Celery = make_application(self._broker, self._password)
        application.conf.task_queues = [zone_queue(self._zone)]

        @application.task(name=TASK, shared=False, acks_late=True, reject_on_worker_lost=True, ignore_result=True)
        def run_operation(operation_id: str) -> None:
            self._in_thread(operation_id)

        run_operation  # noqa: B018 (registered by its decorator)
        application.finalize()
        application.set_default()  # the pool's threads find the task by the default application
        return _Controller(
            app=application,
            hostname=printable(self._name, limit=100),
            pool_cls=_Pool,
            concurrency=self._concurrency,
            queues=[queue_name(self._zone)],
            loglevel="WARNING",
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )

    def _in_thread(self, operation_id: str) -> None:
        """What a pool thread does: hand the id over and wait. Returning acknowledges the message."""
        try:
            known = UUID(operation_id)
        except (ValueError, AttributeError, TypeError):
            _log.warning("broker_message_refused", message=printable(repr(operation_id), limit=100))
            return
        assert self._loop is not None  # noqa: S101 (set before the thread was started)
        future: Future[None] = asyncio.run_coroutine_threadsafe(self._hand_over(known), self._loop)
        try:
            future.result(timeout=ACKNOWLEDGE_SECONDS)
        except (FutureTimeout, CancelledError):
            return  # it goes on under its lease, or somebody else will

    async def _hand_over(self, operation_id: UUID) -> None:
        # Shielded: where the thread gives up waiting, the operation does not end.
        await asyncio.shield(asyncio.ensure_future(self._run_operation(operation_id, 0)))


def _settle(ended: "asyncio.Future[str | None]", problem: str | None) -> None:
    if not ended.done():
        ended.set_result(problem)
