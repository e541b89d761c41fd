"""Facet ``integrity`` of Redis and Valkey: digests of logical databases, by SCAN and hash; everything only reads."""

import hashlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dbre.core.errors import Denied, UsageError
from dbre.core.text import printable, quoted
from dbre.engines.redis.backup.asking import conversation
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection
from dbre.engines.redis.link import sections_of
from dbre.ports.engine import Access
from dbre.ports.integrity import IntegrityFault, IntegrityReport, TableDigest, TableName

__all__ = ["RedisIntegrity", "hash_of", "reading"]

_METHOD = "redis/sha256/lasting-keys"
_WORDS = {
    b"string": "value_string",
    b"list": "value_list",
    b"hash": "value_hash",
    b"set": "value_set",
    b"zset": "value_zset",
    b"stream": "value_stream",
}
_UNORDERED = frozenset({b"set", b"hash"})
_MODULUS = 2**256
_OWN = b"dbre:"
_CHECK = "counts"
_EXPIRES = -1  # PTTL of a key that lasts


class RedisIntegrity:
    """Implements ``ports.integrity``. Keys with a time to live are not compared: they differ with the clock."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._limit = access.timeouts.statement_seconds

    async def tables(self) -> Sequence[TableName]:
        """Logical databases that have keys."""
        async with reading(self._access) as connection:
            fields = sections_of(await connection.run(named("keyspace"), limit_seconds=self._limit))
        numbers = sorted(int(name.removeprefix("db")) for name in fields if name.startswith("db"))
        return [TableName("", str(number)) for number in numbers]

    async def digest(self, table: TableName, *, bucket: tuple[int, int] | None = None) -> TableDigest:
        """Count and sum of SHA-256 over key, type and value; keys of dbre itself are left out."""
        if bucket is not None and not 0 <= bucket[0] < bucket[1]:
            raise UsageError(f"there is no bucket {bucket[0]} of {bucket[1]}", hint="count from 0")
        began = time.monotonic()
        total, seen = 0, set[bytes]()
        async with reading(self._access) as connection:
            await self._select(connection, table)
            cursor = b"0"
            while True:
                cursor, keys = await connection.run(named("scan"), int(cursor), limit_seconds=self._limit, is_raw=True)
                for key in keys:
                    mark = hashlib.sha256(key).digest()[:16]
                    is_wanted = bucket is None or int.from_bytes(mark, "big") % bucket[1] == bucket[0]
                    if mark in seen or not is_wanted or key.startswith(_OWN):  # SCAN may give a key twice
                        continue
                    value = await hash_of(connection, key, limit_seconds=self._limit)
                    if value is not None:
                        seen.add(mark)
                        total = (total + value) % _MODULUS
                if cursor == b"0":
                    break
        return TableDigest(
            table=table, rows=len(seen), digest=f"{total:064x}", method=_METHOD, seconds=time.monotonic() - began
        )

    def checks(self) -> Sequence[str]:
        """Names of the checks."""
        return (_CHECK,)

    async def check(self, name: str) -> IntegrityReport:
        """``counts``: every key that the server counts can be found and read."""
        if name != _CHECK:
            raise UsageError(f"Redis has no integrity check {quoted(name, limit=100)}", hint=f"there is {_CHECK}")
        began = time.monotonic()
        faults: list[IntegrityFault] = []
        looked_at = 0
        for table in await self.tables():
            async with reading(self._access) as connection:
                await self._select(connection, table)
                before = int(await connection.run(named("size"), limit_seconds=self._limit))
                found = await self._count(connection)
                after = int(await connection.run(named("size"), limit_seconds=self._limit))
            looked_at += found
            if found < min(before, after):
                detail = f"the server counts {min(before, after)} keys, and {found} can be found"
                faults.append(IntegrityFault(rule="keys_missing", subject=printable(str(table)), detail=detail))
        return IntegrityReport(
            check=name, looked_at=looked_at, unit="keys", faults=tuple(faults), missing=None, seconds=time.monotonic() - began
        )

    async def extensions(self) -> Sequence[tuple[str, str, bool]]:
        """Modules; a server that lacks one does not start on data that needs it."""
        async with reading(self._access) as connection:
            answer = await connection.run(named("modules"), limit_seconds=self._limit)
        found = [dict(zip(one[::2], one[1::2], strict=True)) for one in answer]
        return [(str(one["name"]), str(one["ver"]), True) for one in found]

    async def _select(self, connection: Connection, table: TableName) -> None:
        if table.schema or not (table.name.isascii() and table.name.isdigit()):
            raise UsageError(f"{quoted(str(table), limit=100)} is no database of Redis", hint="databases are numbers: 0")
        await connection.run(named("select"), int(table.name), limit_seconds=self._limit)

    async def _count(self, connection: Connection) -> int:
        cursor, seen = b"0", set[bytes]()
        while True:
            cursor, keys = await connection.run(named("scan"), int(cursor), limit_seconds=self._limit, is_raw=True)
            seen |= {hashlib.sha256(key).digest()[:16] for key in keys}
            if cursor == b"0":
                return len(seen)


async def hash_of(connection: Connection, key: bytes, *, limit_seconds: float) -> int | None:
    """Of key, type and value; None for a key that goes by itself, or is gone."""
    text = key.decode("utf-8", "surrogateescape")
    if int(await connection.run(named("ttl"), text, limit_seconds=limit_seconds)) != _EXPIRES:
        return None
    kind = await connection.run(named("type"), text, limit_seconds=limit_seconds, is_raw=True)
    value = await connection.run(named(_WORDS.get(kind, "value_other")), text, limit_seconds=limit_seconds, is_raw=True)
    if kind in _UNORDERED:
        value = _sorted(kind, value)
    digest = hashlib.sha256(_framed([key, kind, _framed(value)]))
    return int.from_bytes(digest.digest(), "big")


@asynccontextmanager
async def reading(access: Access) -> AsyncIterator[Connection]:
    """A connection; a user who may not read every key is told what that takes, as no grants of ours give it by the way."""
    try:
        async with conversation(access, what="integrity") as connection:
            yield connection
    except Denied as error:
        if "NOPERM" not in error.message:
            raise
        user = printable(access.user or "default", limit=100)
        hint = f"digests and counts read every key: ACL SETUSER {user} %R~* +@read +select"
        raise type(error)(error.message, hint=hint, context=error.context) from error


def _sorted(kind: bytes, value: Sequence[bytes]) -> list[Any]:
    if kind == b"hash":
        return sorted(map(list, zip(value[::2], value[1::2], strict=True)))
    return sorted(value)


def _framed(value: Any) -> bytes:
    """Bytes that no other value gives: each part with its length before it."""
    if isinstance(value, list):
        return b"*%d:" % len(value) + b"".join(map(_framed, value))
    data = value if isinstance(value, bytes) else str(value).encode()
    return b"$%d:" % len(data) + data
