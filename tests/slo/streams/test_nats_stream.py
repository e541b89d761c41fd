"""Events through a real NATS server."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.js import JetStreamContext
from nats.js.api import RetentionPolicy
from stream_kit import body, done, reading, store_all, until, world

from dbre.capabilities.slo.ingest.streams.documents import NatsDocument
from dbre.core.store import Store
from dbre.lab.nats import NatsServer

_NUMBERS = itertools.count()


@dataclass
class Stream:
    """One stream of the server, and one for what cannot be read."""

    document: NatsDocument
    jetstream: JetStreamContext

    async def put(self, *bodies: bytes, **headers: str) -> None:
        for one in bodies:
            await self.jetstream.publish(self.document.subject, one, timeout=30, headers=headers or None)

    async def consumer(self) -> Any:
        return await self.jetstream.consumer_info(self.document.stream, f"dbre-{self.document.name}", timeout=30)

    async def dead(self) -> int:
        return (await self.jetstream.stream_info(f"{self.document.stream}_DEAD")).state.messages


@pytest.fixture
async def stream(nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[Stream]:
    name, password = f"EVENTS{next(_NUMBERS)}", tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(nats_server.password.reveal())
    client = await nats.connect(nats_server.url, user="dbre", password=nats_server.password.reveal())
    jetstream = client.jetstream(timeout=30)
    await jetstream.add_stream(name=name, subjects=[f"{name}.>"])
    await jetstream.add_stream(name=f"{name}_DEAD", subjects=[f"dead.{name}"])
    document = NatsDocument(
        kind="nats",
        name=name.lower(),
        servers=[nats_server.url],
        stream=name,
        subject=f"{name}.batches",
        dead_letter=f"dead.{name}",
        user="dbre",
        password=f"file:{password}",
    )
    yield Stream(document, jetstream)
    await jetstream.delete_stream(name)
    await jetstream.delete_stream(f"{name}_DEAD")
    await client.close()


async def test_messages_are_counted_and_acknowledged_once_they_are_stored(sqlite_store: Store, stream: Stream, tmp_path: Path):
    one = world(sqlite_store)
    await stream.put(body(8, 2), body(5))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 2, found)
        assert (await one.status("checkout")).counts.total == 15
        assert (await stream.consumer()).ack_floor.stream_seq == 0  # nothing is stored yet
        await store_all(one, found)
        await stream.put(body(1))
        await until(lambda: done(found) == 3, found)
        for _ in range(600):
            if (await stream.consumer()).ack_floor.stream_seq == 2:
                break
        assert (await stream.consumer()).ack_floor.stream_seq == 2
    assert (await one.stored())["total"] == 15


async def test_after_a_kill_everything_is_counted_once(sqlite_store: Store, stream: Stream, tmp_path: Path):
    one = world(sqlite_store)
    expected = 0
    for round_number in range(4):
        await stream.put(*(body(3, 1) for _ in range(20)))
        expected += 80
        async with reading(one, stream.document, tmp_path) as found:
            await until(lambda count=20 * (round_number + 1): done(found) >= count, found)
            if round_number % 2:
                await store_all(one, found)  # of the other rounds nothing was stored
        one.start()  # what was in memory only is gone
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) >= 80, found)
        await store_all(one, found)
    assert (await one.stored())["total"] == expected
    assert (await one.status("checkout")).counts.total == expected


async def test_counts_and_histograms_that_were_stored_apart_are_both_exact(sqlite_store: Store, stream: Stream, tmp_path: Path):
    one = world(sqlite_store)
    await stream.put(body(10))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 1, found)
        await one.engine.tick()  # the counts, not the histograms
    one.start()
    await stream.put(body(10))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 2, found)
        await store_all(one, found)
        assert found.source.counters[0].stored == 2
    assert (await one.stored())["total"] == 20


async def test_a_message_that_cannot_be_read_is_set_aside(sqlite_store: Store, stream: Stream, tmp_path: Path):
    one = world(sqlite_store)
    await stream.put(body(1), b"{", body(1))
    await stream.put(b"\x1f\x8b broken", **{"Content-Encoding": "gzip"})
    await stream.put(body(1), **{"Content-Type": "image/png"})
    await stream.put(body(1))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 6, found)
        assert found.source.poisoned == 3
    one.start()  # nothing was stored: the same are set aside again, and the server keeps one of each
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 6, found)
        await store_all(one, found)
    assert (await one.stored())["total"] == 3
    assert await stream.dead() == 3
    kept = await stream.jetstream.get_msg(f"{stream.document.stream}_DEAD", seq=1)
    assert kept.data == b"{"
    assert kept.headers is not None
    assert kept.headers["Dbre-Sequence"] == "2"
    assert "cannot be read" in kept.headers["Dbre-Reason"]


async def test_a_stream_that_is_made_anew_is_counted_from_its_beginning(sqlite_store: Store, stream: Stream, tmp_path: Path):
    one, name = world(sqlite_store), stream.document.stream
    await stream.put(body(1), body(1), body(1))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 3, found)
        await store_all(one, found)
    await stream.jetstream.delete_stream(name)
    await stream.jetstream.add_stream(name=name, subjects=[f"{name}.>"])
    await stream.put(body(7))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 1, found)
    assert (await one.status("checkout")).counts.total == 10


@pytest.mark.parametrize("fault", ["missing", "retention", "dead letter", "own dead letter"])
async def test_a_stream_that_cannot_serve_is_named_with_the_reason(
    sqlite_store: Store, stream: Stream, tmp_path: Path, fault: str
):
    document, says = stream.document, "does not exist"
    if fault == "missing":
        document = document.model_copy(update={"stream": "NOWHERE"})
    elif fault == "retention":
        name, says = f"QUEUE{next(_NUMBERS)}", "deletes what was read"
        await stream.jetstream.add_stream(name=name, subjects=[name], retention=RetentionPolicy.WORK_QUEUE)
        document = document.model_copy(update={"stream": name, "subject": name})
    elif fault == "dead letter":
        document, says = document.model_copy(update={"dead_letter": "nobody.holds.this"}), "no stream holds"
    else:
        changes = {"dead_letter": f"{document.stream}.dead"}
        document, says = document.model_copy(update=changes), "would come back"
    async with reading(world(sqlite_store), document, tmp_path) as found:
        await until(lambda: found.problem is not None and says in found.problem, found)


@pytest.mark.slow
async def test_a_server_that_was_away_is_read_on(sqlite_store: Store, stream: Stream, nats_server: NatsServer, tmp_path: Path):
    one = world(sqlite_store)
    await stream.put(body(2))
    async with reading(one, stream.document, tmp_path) as found:
        await until(lambda: done(found) == 1, found)
        await nats_server.kill()
        await until(lambda: found.problem is not None, found)
        await nats_server.start()
        await until(lambda: stream.jetstream._nc.is_connected, found)
        await stream.put(body(3))
        await until(lambda: done(found) == 2, found)
        await store_all(one, found)
    assert (await one.stored())["total"] == 5
