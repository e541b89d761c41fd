"""Batches from NATS JetStream: one consumer, in the order of the stream, acknowledged when the store has the counts."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import structlog

from dbre.capabilities.slo.ingest.errors import BadBatch
from dbre.capabilities.slo.ingest.streams.counter import StreamCounter
from dbre.capabilities.slo.ingest.streams.documents import NatsDocument
from dbre.capabilities.slo.ingest.streams.errors import StreamUnreachable, StreamUnusable
from dbre.core.errors import Unsupported
from dbre.core.text import printable

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

__all__ = ["NatsSource"]

_SECONDS = 10.0  # of one request
_FETCH_SECONDS = 1.0
_FETCH = 200
_PENDING = 10_000  # messages that the server hands out before the store has them
_ACK_WAIT_SECONDS = 3_600.0  # what comes again is recognised, so this only saves traffic

_log = structlog.get_logger(__name__)
MakeCounter = Callable[[str], StreamCounter]


class NatsSource:
    """Reads one stream. The position lies in the state store, beside the counts; the server's own only shows the lag.

    The consumer is made anew with each connection, behind the last message that was taken: a durable one would hand out what
    is new before it hands out again what was not acknowledged, and the order is what makes counting exact.
    """

    def __init__(self, document: NatsDocument, make_counter: MakeCounter) -> None:
        self._document = document
        self._make_counter = make_counter
        self._counters: dict[str, StreamCounter] = {}
        self._held: deque[tuple[int, Msg]] = deque()
        self.poisoned = 0
        self.is_connected = False

    @property
    def counters(self) -> list[StreamCounter]:
        """What was read so far, of each log."""
        return list(self._counters.values())

    async def read(self) -> None:
        """Connect and read until the connection ends. Raises: StreamUnreachable, StreamUnusable, StoreError."""
        nats = _library()
        try:
            async with self._connected() as client:
                jetstream = client.jetstream(timeout=_SECONDS)
                counter = await self._prepare(jetstream)
                messages = await jetstream.pull_subscribe_bind(self._consumer, stream=self._document.stream)
                self.is_connected = True
                while True:
                    for message in await _fetch(messages):
                        await self._take(jetstream, counter, message)
                    await counter.tick()
                    await self._acknowledge(counter)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise StreamUnreachable(f"{self._name}: {printable(str(error) or type(error).__name__, limit=300)}") from error

    @property
    def _name(self) -> str:
        return f"stream {self._document.name} (NATS {self._document.stream})"

    @property
    def _consumer(self) -> str:
        return f"dbre-{self._document.name}"

    @asynccontextmanager
    async def _connected(self) -> "AsyncIterator[Client]":
        nats, document = _library(), self._document
        options: dict[str, Any] = {"servers": list(document.servers), "allow_reconnect": False, "name": "dbre"}
        options |= {"connect_timeout": _SECONDS, "error_cb": self._note, "max_reconnect_attempts": 1}
        if document.token is not None:
            options["token"] = (await document.token.resolve()).reveal()
        if document.user is not None:
            options["user"] = document.user
            options["password"] = (await document.password.resolve()).reveal() if document.password else ""
        if document.tls_ca_file is not None:
            options["tls"] = await asyncio.to_thread(ssl.create_default_context, cafile=str(document.tls_ca_file))
        async with asyncio.timeout(_SECONDS):
            client = await nats.connect(**options)
        try:
            yield client
        finally:
            self.is_connected = False
            self._held.clear()
            async with asyncio.timeout(_SECONDS):
                await client.close()

    async def _note(self, error: Exception) -> None:
        _log.warning("stream_trouble", stream=self._document.name, error=printable(str(error), limit=300))

    async def _prepare(self, jetstream: "JetStreamContext") -> StreamCounter:
        from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RetentionPolicy
        from nats.js.errors import NotFoundError

        document = self._document
        try:
            info = await jetstream.stream_info(document.stream)
        except NotFoundError as error:
            raise StreamUnusable(f"{self._name} does not exist", hint=f"nats stream add {document.stream}") from error
        if info.config.retention not in (None, RetentionPolicy.LIMITS):
            raise StreamUnusable(
                f"{self._name} deletes what was read (retention {info.config.retention}): nobody could read it again",
                hint="make the stream with retention limits",
            )
        await self._check_dead_letter(jetstream)
        # A stream that was deleted and made anew counts its messages from 1 again: it is another source.
        created = "" if info.created is None else f"/{int(info.created.timestamp() * 1000)}"
        counter = await self._counter(f"nats/{document.stream}{created}")
        if info.state.first_seq > counter.done + 1 and counter.done:
            lost = info.state.first_seq - counter.done - 1
            _log.error("stream_messages_expired", stream=document.name, messages=lost, hint="raise the limits of the stream")
        with suppress(NotFoundError):
            await jetstream.delete_consumer(document.stream, self._consumer)
        consumer = ConsumerConfig(
            durable_name=self._consumer,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=counter.done + 1,
            ack_policy=AckPolicy.ALL,
            ack_wait=_ACK_WAIT_SECONDS,
            max_ack_pending=_PENDING,
            filter_subject=document.subject,
        )
        await jetstream.add_consumer(document.stream, consumer)
        return counter

    async def _check_dead_letter(self, jetstream: "JetStreamContext") -> None:
        from nats.js.errors import NotFoundError

        document = self._document
        try:
            holder = await jetstream.find_stream_name_by_subject(document.dead_letter)
        except NotFoundError as error:
            raise StreamUnusable(
                f"{self._name}: no stream holds the subject {document.dead_letter}, for messages that cannot be read",
                hint=f"nats stream add {document.stream}_DEAD --subjects {document.dead_letter}",
            ) from error
        if holder == document.stream:
            raise StreamUnusable(
                f"{self._name} holds the subject {document.dead_letter} itself: what cannot be read would come back",
                hint="let another stream hold it",
            )

    async def _counter(self, source: str) -> StreamCounter:
        counter = self._counters.get(source)
        if counter is None:
            counter = self._make_counter(source)
            await counter.start()
            self._counters[source] = counter
        return counter

    async def _take(self, jetstream: "JetStreamContext", counter: StreamCounter, message: "Msg") -> None:
        number, headers = message.metadata.sequence.stream, message.headers or {}
        try:
            counter.take(
                number,
                message.data,
                content_type=headers.get("Content-Type", ""),
                encoding=headers.get("Content-Encoding", ""),
            )
        except BadBatch as error:
            await self._set_aside(jetstream, message, number, error.message)
            counter.pass_over(number)
        message.data = b""  # only its name is still needed, until the store has the counts
        self._held.append((number, message))
        await asyncio.sleep(0)  # a long backlog must not hold up the prober

    async def _set_aside(self, jetstream: "JetStreamContext", message: "Msg", number: int, reason: str) -> None:
        stream = self._document.stream
        headers = {
            "Nats-Msg-Id": f"{stream}-{number}",  # the server drops it where it comes twice
            "Dbre-Reason": printable(reason, limit=300).encode("ascii", "replace").decode(),
            "Dbre-Stream": stream,
            "Dbre-Sequence": str(number),
        }
        await jetstream.publish(self._document.dead_letter, message.data, timeout=_SECONDS, headers=headers)
        self.poisoned += 1
        _log.warning("stream_message_set_aside", stream=self._document.name, number=number, reason=printable(reason, limit=300))

    async def _acknowledge(self, counter: StreamCounter) -> None:
        """Tell the server how far the store is: everything up to the last message that it has."""
        stored, last = counter.stored, None
        while self._held and self._held[0][0] <= stored:
            last = self._held.popleft()[1]
        if last is not None:
            await last.ack()


async def _fetch(messages: "JetStreamContext.PullSubscription") -> "list[Msg]":
    try:
        return await messages.fetch(_FETCH, timeout=_FETCH_SECONDS)
    except TimeoutError:
        return []


def _library() -> Any:
    try:
        import nats
        import nats.errors
    except ModuleNotFoundError as error:
        raise Unsupported(
            "streams of NATS need the package nats-py, which is not installed", hint="pip install 'dbre[nats]'"
        ) from error
    return nats
