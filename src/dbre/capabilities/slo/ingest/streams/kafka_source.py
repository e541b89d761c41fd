"""Batches from Kafka: a consumer group, each partition in its order, offsets stored with the counts."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from dbre.capabilities.slo.ingest.errors import BadBatch
from dbre.capabilities.slo.ingest.streams.counter import StreamCounter
from dbre.capabilities.slo.ingest.streams.documents import KafkaDocument
from dbre.capabilities.slo.ingest.streams.errors import StreamUnreachable, StreamUnusable
from dbre.core.errors import Unsupported
from dbre.core.text import printable

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

__all__ = ["KafkaSource"]

_SECONDS = 20.0  # of one request
_FETCH_MS = 1_000
_FETCH = 500
_COMMIT_SECONDS = 5.0

_log = structlog.get_logger(__name__)
MakeCounter = Callable[[str], StreamCounter]


class KafkaSource:
    """Reads one topic. Where to read on is decided by the state store; offsets committed to Kafka only show the lag.

    The number of a message is its offset plus one, so that numbers begin at 1.
    """

    def __init__(self, document: KafkaDocument, make_counter: MakeCounter) -> None:
        self._document = document
        self._make_counter = make_counter
        self._counters: dict[int, StreamCounter] = {}  # by partition; they outlive a connection and a rebalance
        self._ready: set[int] = set()  # partitions whose position was set since they were assigned
        self._committed: dict[int, int] = {}
        self._next_commit = 0.0
        self.poisoned = 0
        self.is_connected = False

    @property
    def counters(self) -> list[StreamCounter]:
        """What was read so far, of each partition."""
        return list(self._counters.values())

    async def read(self) -> None:
        """Connect and read until the connection ends. Raises: StreamUnreachable, StreamUnusable, StoreError."""
        kafka = _library()
        try:
            async with self._connected() as (consumer, producer):
                await self._check_topics(consumer)
                consumer.subscribe([self._document.topic])
                self.is_connected = True
                while True:
                    await self._begin_assigned(consumer)
                    found = await consumer.getmany(timeout_ms=_FETCH_MS, max_records=_FETCH)
                    for partition, records in found.items():
                        await self._take_all(producer, partition, records)
                    for counter in self._counters.values():
                        await counter.tick()
                    await self._commit(consumer)
        except (kafka.errors.KafkaError, OSError, TimeoutError) as error:
            raise StreamUnreachable(f"{self._name}: {printable(str(error) or type(error).__name__, limit=300)}") from error

    @property
    def _name(self) -> str:
        return f"stream {self._document.name} (Kafka {self._document.topic})"

    @asynccontextmanager
    async def _connected(self) -> "AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaProducer]]":
        kafka, options = _library(), await self._options()
        group = f"dbre-{self._document.name}"
        consumer = kafka.AIOKafkaConsumer(group_id=group, enable_auto_commit=False, auto_offset_reset="earliest", **options)
        producer = kafka.AIOKafkaProducer(enable_idempotence=True, request_timeout_ms=int(_SECONDS * 1000), **options)
        try:
            async with asyncio.timeout(_SECONDS * 2):
                await consumer.start()
                await producer.start()
            yield consumer, producer
        finally:
            self.is_connected = False
            self._ready.clear()
            async with asyncio.timeout(_SECONDS):
                await producer.stop()
                await consumer.stop()

    async def _options(self) -> dict[str, Any]:
        document = self._document
        options: dict[str, Any] = {"bootstrap_servers": list(document.brokers), "client_id": "dbre"}
        if document.tls:
            authorities = None if document.tls_ca_file is None else str(document.tls_ca_file)
            options["ssl_context"] = await asyncio.to_thread(ssl.create_default_context, cafile=authorities)
        if document.user is not None:
            password = (await document.password.resolve()).reveal() if document.password else ""
            options |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": document.user}
            options["sasl_plain_password"] = password
        protocol = ("SASL_" if document.user is not None else "") + ("SSL" if document.tls else "PLAINTEXT")
        return {**options, "security_protocol": protocol}

    async def _check_topics(self, consumer: "AIOKafkaConsumer") -> None:
        async with asyncio.timeout(_SECONDS):
            known = await consumer.topics()
        for topic in (self._document.topic, self._document.dead_letter):
            if topic not in known:
                raise StreamUnusable(
                    f"{self._name}: there is no topic {topic}", hint=f"kafka-topics.sh --create --topic {topic}"
                )

    async def _take_all(
        self,
        producer: "AIOKafkaProducer",
        partition: "TopicPartition",
        records: "Iterable[ConsumerRecord[bytes, bytes]]",
    ) -> None:
        if partition.partition not in self._ready:
            return  # assigned just now: it is fetched again from where the store is
        counter = self._counters[partition.partition]
        for record in records:
            headers = {name: value.decode("latin-1") for name, value in record.headers}
            number = record.offset + 1
            kind, encoding = headers.get("content-type", ""), headers.get("content-encoding", "")
            try:
                counter.take(number, record.value or b"", content_type=kind, encoding=encoding)
            except BadBatch as error:
                await self._set_aside(producer, record, error.message)
                counter.pass_over(number)
            await asyncio.sleep(0)  # a long backlog must not hold up the prober

    async def _begin_assigned(self, consumer: "AIOKafkaConsumer") -> None:
        """Set the position of partitions that came to us, also where the group finds nothing new to read in them."""
        assigned = {one.partition: one for one in consumer.assignment()}
        self._ready &= assigned.keys()
        for number in assigned.keys() - self._ready:
            counter = self._counters.get(number)
            if counter is None:
                counter = self._make_counter(f"kafka/{self._document.topic}/{number}")
                await counter.start()
                self._counters[number] = counter
            await self._begin(consumer, assigned[number], counter)

    async def _begin(self, consumer: "AIOKafkaConsumer", partition: "TopicPartition", counter: StreamCounter) -> None:
        """Read on where the store is, whatever the group has committed."""
        async with asyncio.timeout(_SECONDS):
            first = (await consumer.beginning_offsets([partition]))[partition]
            end = (await consumer.end_offsets([partition]))[partition]
        if counter.done > end:
            _log.error("stream_began_anew", stream=self._document.name, partition=partition.partition, offset=end)
            counter.begin_anew()
        if first > counter.done > 0:
            lost = first - counter.done
            _log.error("stream_messages_expired", stream=self._document.name, partition=partition.partition, messages=lost)
        consumer.seek(partition, max(counter.done, first))
        self._ready.add(partition.partition)

    async def _set_aside(self, producer: "AIOKafkaProducer", record: "ConsumerRecord[bytes, bytes]", reason: str) -> None:
        told = {
            "dbre-reason": printable(reason, limit=300),
            "dbre-topic": record.topic,
            "dbre-partition": str(record.partition),
            "dbre-offset": str(record.offset),
        }
        headers = [*record.headers, *((name, value.encode()) for name, value in told.items())]
        async with asyncio.timeout(_SECONDS):
            await producer.send_and_wait(self._document.dead_letter, record.value, key=record.key, headers=headers)
        self.poisoned += 1
        _log.warning("stream_message_set_aside", stream=self._document.name, reason=told["dbre-reason"], offset=record.offset)

    async def _commit(self, consumer: "AIOKafkaConsumer") -> None:
        """Tell Kafka how far the store is."""
        if time.monotonic() < self._next_commit:
            return
        self._next_commit = time.monotonic() + _COMMIT_SECONDS
        ours = {one.partition: one for one in consumer.assignment() if one.partition in self._ready}
        stored = {number: self._counters[number].stored for number in ours}
        news = {number: offset for number, offset in stored.items() if offset > self._committed.get(number, 0)}
        if news:
            async with asyncio.timeout(_SECONDS):
                await consumer.commit({ours[number]: offset for number, offset in news.items()})
            self._committed |= news


def _library() -> Any:
    try:
        import aiokafka
        import aiokafka.errors
    except ModuleNotFoundError as error:
        raise Unsupported(
            "streams of Kafka need the package aiokafka, which is not installed", hint="pip install 'dbre[kafka]'"
        ) from error
    return aiokafka
