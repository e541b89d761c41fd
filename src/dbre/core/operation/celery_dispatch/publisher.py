"""Sending ids of operations to a broker, from a thread of its own: a broker that hangs hangs nobody else."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import structlog
from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import KombuError
from kombu.messaging import Producer

from dbre.core.clock import Clock
from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.operation.celery_dispatch.application import TASK, broker_priority, make_application, zone_queue
from dbre.core.operation.dispatch import Due
from dbre.core.secrets import Secret, SecretUnavailable
from dbre.core.text import one_line, printable

__all__ = ["CeleryDispatcher", "check_broker"]

_ROOM = 200  # messages a look; a queue may be as long as it likes
_PAUSE_SECONDS = 5.0  # before a broker that failed is tried again
_log = structlog.get_logger(__name__)


class CeleryDispatcher:
    """Puts the id of an operation into the queue of its zone; the queue is made where it is missing."""

    serves_every_zone = True

    def __init__(self, broker: BrokerDocument, password: Secret | None, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        self._application: Celery = make_application(broker, password)
        self._connection: Connection | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dbre-broker")
        self._seconds = 2 * broker.timeout.total_seconds() + 1  # to connect, and to send
        self._sending: asyncio.Future[int] | None = None
        self._not_before = float("-inf")
        self.problem: str | None = None
        """Why the last message could not be sent; None: it could."""
        self.sent_count = 0

    @property
    def room(self) -> int:
        """How many it takes; 0 while a send hangs, or for five seconds after one failed."""
        is_busy = self._sending is not None and not self._sending.done()
        return 0 if is_busy or self._clock.monotonic() < self._not_before else _ROOM

    async def dispatch(self, operation_id: UUID, *, zone: str | None, priority: int) -> None:
        """Send one; where that fails, the sweeper sends it again."""
        if self.room:
            await self.carry([Due(operation_id=operation_id, zone=zone, priority=priority)])

    async def carry(self, due: Sequence[Due]) -> Sequence[Due]:
        """Send these, and give back those that were not sent, or of which nobody knows."""
        if not self.room:
            return due
        loop = asyncio.get_running_loop()
        self._sending = loop.run_in_executor(self._thread, self._send, list(due))
        try:
            async with asyncio.timeout(self._seconds):
                count = await asyncio.shield(self._sending)
        except TimeoutError:
            self._failed(f"no answer within {self._seconds:g} s")
            return due
        if count == len(due) and self.problem is not None:
            _log.info("broker_answers_again", broker=str(self._broker.url))
            self.problem = None
        self.sent_count += count
        return due[count:]

    async def close(self) -> None:
        """Let go of the connection, without waiting for a broker that hangs."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._thread.submit(_release, connection)
        self._thread.shutdown(wait=False)

    def _failed(self, reason: str) -> None:
        if self.problem is None:
            _log.error("broker_unreachable", broker=self._broker.url, error=reason, hint="operations wait in the store")
        self.problem = reason
        self._not_before = self._clock.monotonic() + _PAUSE_SECONDS

    def _send(self, due: list[Due]) -> int:
        """In the thread: send until one fails; gives how many were sent."""
        count = 0
        try:
            if self._connection is None:
                self._connection = self._application.connection_for_write()
            producer = Producer(self._connection.default_channel, auto_declare=False)
            for one in due:
                self._publish(producer, one)
                count += 1
        except self._errors() as error:
            self._failed(described(error))
            if self._connection is not None:
                _release(self._connection)
            self._connection = None
        return count

    def _publish(self, producer: Producer, one: Due) -> None:
        queue = zone_queue(one.zone)
        seconds = self._broker.timeout.total_seconds()
        self._application.send_task(
            TASK,
            args=[str(one.operation_id)],
            producer=producer,
            queue=queue,
            declare=[queue],
            priority=broker_priority(one.priority, self._broker),
            retry=False,
            ignore_result=True,
            timeout=seconds,
            confirm_timeout=seconds,
        )

    def _errors(self) -> tuple[type[BaseException], ...]:
        known: tuple[type[BaseException], ...] = (OSError, KombuError, RuntimeError, SecretUnavailable)
        if self._connection is None:
            return known
        return (*known, *self._connection.connection_errors, *self._connection.channel_errors)


def described(error: BaseException) -> str:
    """An error of a broker in one printable line."""
    return printable(f"{type(error).__name__}: {one_line(str(error))}", limit=300)


def _release(connection: Connection) -> None:
    try:
        connection.release()
    except Exception as error:  # noqa: BLE001 (the connection is broken already, and every driver says so in its own way)
        _log.debug("broker_connection_not_closed", error=described(error))


def check_broker(broker: BrokerDocument, password: Secret | None) -> str | None:
    """Why the broker cannot be used now; None: it can. Takes up to twice its timeout."""
    connection = make_application(broker, password).connection_for_write()
    try:
        connection.ensure_connection(max_retries=1, timeout=broker.timeout.total_seconds(), errback=None)
        connection.default_channel  # noqa: B018 (opens it, which proves that the login works)
    except Exception as error:  # noqa: BLE001 (drivers of two brokers, each with errors of its own; the text is the answer)
        return described(error)
    finally:
        _release(connection)
    return None
