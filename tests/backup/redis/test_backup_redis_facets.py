"""Canary chain and digests of Redis: what they see, and that a recovered server shows the same."""

import asyncio
import hashlib
import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from redis_copies_kit import RedisHistory, client, order_for

from dbre.core.errors import Denied, UsageError
from dbre.core.secrets import Secret
from dbre.engines.redis.canary import RedisCanary
from dbre.engines.redis.integrity import RedisIntegrity
from dbre.lab.redis import RedisServer
from dbre.ports.backup.model import RecoveryTarget, TargetKind
from dbre.ports.integrity import TableName

ZERO = TableName("", "0")


async def test_each_row_of_the_canary_names_the_one_before(redis_server: RedisServer) -> None:
    canary = RedisCanary(redis_server.access())
    await canary.prepare()
    written = [(await canary.write()) for _ in range(3)]
    rows = await canary.newest(3)
    assert [row for row, _ in reversed(written)] == list(rows)
    for newer, older in itertools.pairwise(rows):
        assert (newer.previous, newer.sequence) == (older.hash, older.sequence + 1)
    assert all(hashlib.sha256(row.text()).hexdigest() == row.hash for row in rows)
    assert all(position is not None for _, position in written)


async def test_pruning_keeps_the_newest_row(redis_server: RedisServer) -> None:
    canary = RedisCanary(redis_server.access())
    for _ in range(3):
        last, _ = await canary.write()
    await asyncio.sleep(1.1)
    assert await canary.prune(timedelta(seconds=1)) >= 2
    assert await canary.newest(10) == (last,)
    assert (await canary.write())[0].previous == last.hash


def fill(connection: Any) -> None:
    connection.flushall()
    connection.set(b"raw\xff\xfe", b"\x00\xff")
    connection.rpush("list", "a", "b")
    connection.hset("hash", mapping={"x": "1", "y": "2"})
    connection.sadd("set", "m", "n")
    connection.zadd("zset", {"one": 1.5, "two": 2})
    connection.xadd("stream", {"f": "v"}, id="5-1")
    connection.set("goes", "soon", ex=1000)
    connection.set("dbre:own", "1")


CHANGES: dict[str, Any] = {
    "string": lambda one: one.set(b"raw\xff\xfe", b"\x00\xfe"),
    "key-that-looks-the-same-as-text": lambda one: one.rename(b"raw\xff\xfe", b"raw\xfe\xff"),
    "order-of-a-list": lambda one: (one.delete("list"), one.rpush("list", "b", "a")),
    "joined-list": lambda one: (one.delete("list"), one.rpush("list", "ab")),
    "hash-swapped": lambda one: one.hset("hash", mapping={"x": "2", "y": "1"}),
    "set": lambda one: one.srem("set", "m"),
    "score": lambda one: one.zadd("zset", {"one": 1.25}),
    "stream": lambda one: one.xadd("stream", {"f": "w"}, id="5-2"),
    "type": lambda one: (one.delete("set"), one.rpush("set", "m", "n")),
    "key-gone": lambda one: one.delete("hash"),
}


@pytest.mark.parametrize("name", sorted(CHANGES))
async def test_a_digest_sees_every_change(redis_server: RedisServer, name: str) -> None:
    integrity = RedisIntegrity(redis_server.access())
    with client(redis_server.access()) as connection:
        fill(connection)
        before = await integrity.digest(ZERO)
        assert before.rows == 6
        CHANGES[name](connection)
        assert (await integrity.digest(ZERO)).digest != before.digest
        fill(connection)
        assert (await integrity.digest(ZERO)).digest == before.digest


async def test_a_digest_does_not_see_encodings_or_keys_that_go(redis_server: RedisServer) -> None:
    integrity = RedisIntegrity(redis_server.access())
    with client(redis_server.access()) as connection:
        fill(connection)
        before = await integrity.digest(ZERO)
        connection.sadd("set", *(f"more-{number}" for number in range(1000)))
        connection.srem("set", *(f"more-{number}" for number in range(1000)))
        connection.set("goes", "later", ex=2000)
        assert (await integrity.digest(ZERO)).digest == before.digest


async def test_who_may_not_read_every_key_is_told_what_that_takes(redis_server: RedisServer) -> None:
    access = replace(redis_server.access(), user="reader", password=Secret("word"))
    with client(redis_server.access()) as connection:
        fill(connection)
        connection.execute_command(
            "ACL", "SETUSER", "reader", "on", ">word", "-@all", "+client|setname", "+client|id", "+acl|whoami", "+info"
        )
        with pytest.raises(Denied, match="NOPERM") as refused:
            await RedisIntegrity(access).digest(ZERO)
        hint = refused.value.hint or ""
        connection.execute_command(*hint.partition(": ")[2].split())
        assert await RedisIntegrity(access).digest(ZERO) is not None
        connection.execute_command("ACL", "DELUSER", "reader")


async def test_buckets_divide_the_keys_and_counts_agree(redis_server: RedisServer) -> None:
    integrity = RedisIntegrity(redis_server.access())
    with client(redis_server.access()) as connection:
        connection.flushall()
        connection.mset({f"key-{number}": number for number in range(3000)})
    parts = [await integrity.digest(ZERO, bucket=(number, 3)) for number in range(3)]
    assert sum(part.rows for part in parts) == 3000
    assert list(await integrity.tables()) == [ZERO]
    report = await integrity.check("counts")
    assert (report.looked_at, report.faults) == (3000, ())
    assert list(await integrity.extensions()) == []
    with pytest.raises(UsageError, match="no database"):
        await integrity.digest(TableName("", "x"))
    with pytest.raises(UsageError, match="no integrity check"):
        await integrity.check("pages")


async def test_a_recovered_server_has_the_digests_of_its_source(redis_history: RedisHistory) -> None:
    copies = redis_history.copies
    directory = await copies.assemble("full", into="data-digest")
    async with copies.backups.recover(
        order_for(directory, RecoveryTarget(kind=TargetKind.LATEST), redis_history.log)
    ) as server:
        found = await RedisIntegrity(server.access).digest(ZERO)
        assert found.digest == (await RedisIntegrity(copies.server.access()).digest(ZERO)).digest
        assert found.rows == 2
