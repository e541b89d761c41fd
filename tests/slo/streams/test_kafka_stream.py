"""Events through a real Kafka broker: ``make test-kafka``."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from stream_kit import body, done, reading, store_all, until, world

from dbre.capabilities.slo.ingest.streams.documents import KafkaDocument
from dbre.core.store import Store
from dbre.lab.kafka import KafkaServer, find_kafka
from dbre.lab.site import Site
from dbre.testing.fixtures import running

JARS = os.environ.get("DBRE_KAFKA", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not JARS, reason="needs a broker that Maven fetches: make test-kafka"),
]
_NUMBERS = itertools.count()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker(lab_site: Site) -> AsyncIterator[KafkaServer]:
    jars = Path(JARS)
    async with running(KafkaServer("kafka", lab_site, program=find_kafka(jars), jars=jars)) as server:
        yield server


@dataclass
class Topic:
    """A topic of two partitions, and one for what cannot be read."""

    document: KafkaDocument
    producer: AIOKafkaProducer

    async def put(self, *bodies: bytes, partition: int = 0, **headers: str) -> None:
        told = [(name.replace("_", "-"), value.encode()) for name, value in headers.items()]
        for one in bodies:
            async with asyncio.timeout(60):
                await self.producer.send_and_wait(self.document.topic, one, partition=partition, headers=told)


@pytest.fixture
async def topic(broker: KafkaServer) -> AsyncIterator[Topic]:
    address, name = str(broker.address), f"sli{next(_NUMBERS)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic(name, 2, 1), NewTopic(f"{name}-dead", 1, 1)])
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    document = KafkaDocument(kind="kafka", name=name, brokers=[address], topic=name, dead_letter=f"{name}-dead")
    yield Topic(document, producer)
    await producer.stop()
    await admin.close()


async def test_partitions_are_counted_and_committed_once_they_are_stored(sqlite_store: Store, topic: Topic, tmp_path: Path):
    one, document = world(sqlite_store), topic.document
    await topic.put(body(8, 2), body(5))
    await topic.put(body(1), partition=1)
    watcher = AIOKafkaConsumer(bootstrap_servers=document.brokers, group_id=f"dbre-{document.name}", enable_auto_commit=False)
    await watcher.start()
    partition = TopicPartition(document.topic, 0)
    async with reading(one, document, tmp_path) as found:
        await until(lambda: done(found) == 3, found)
        assert (await one.status("checkout")).counts.total == 16
        assert not await watcher.committed(partition)
        await store_all(one, found)
        for _ in range(600):
            if await watcher.committed(partition) == 2:
                break
            await asyncio.sleep(0.1)
        assert await watcher.committed(partition) == 2
    await watcher.stop()
    assert (await one.stored())["total"] == 16


async def test_after_a_kill_everything_is_counted_once(sqlite_store: Store, topic: Topic, tmp_path: Path):
    one = world(sqlite_store)
    for number in range(1, 4):
        await topic.put(*(body(3, 1) for _ in range(10)), partition=number % 2)
        async with reading(one, topic.document, tmp_path) as found:
            await until(lambda count=10 * number: done(found) >= count, found)
            if number == 2:
                await store_all(one, found)
        one.start()
    async with reading(one, topic.document, tmp_path) as found:
        await until(lambda: done(found) >= 30, found)
        await store_all(one, found)
    assert (await one.stored())["total"] == 120


async def test_a_message_that_cannot_be_read_is_set_aside(sqlite_store: Store, topic: Topic, tmp_path: Path):
    one, document = world(sqlite_store), topic.document
    await topic.put(body(1), b"{", body(1))
    await topic.put(b"broken", content_encoding="gzip")
    async with reading(one, document, tmp_path) as found:
        await until(lambda: done(found) == 4, found)
        assert found.source.poisoned == 2
        await store_all(one, found)
    assert (await one.stored())["total"] == 2
    consumer = AIOKafkaConsumer(document.dead_letter, bootstrap_servers=document.brokers, auto_offset_reset="earliest")
    await consumer.start()
    async with asyncio.timeout(60):
        kept = await consumer.getone()
    await consumer.stop()
    assert kept.value == b"{"
    assert dict(kept.headers)["dbre-offset"] == b"1"


async def test_a_topic_that_is_missing_is_named(sqlite_store: Store, topic: Topic, tmp_path: Path):
    document = topic.document.model_copy(update={"topic": "nowhere"})
    async with reading(world(sqlite_store), document, tmp_path) as found:
        await until(lambda: found.problem is not None and "no topic nowhere" in found.problem, found)
