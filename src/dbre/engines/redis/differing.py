"""What of a bounded sample of a server's keys another server has not, or has otherwise, by hashes of their values."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

from dbre.core.text import printable
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection
from dbre.engines.redis.integrity import hash_of, reading
from dbre.engines.redis.link import sections_of
from dbre.ports.engine import Access
from dbre.ports.succession import Differences

__all__ = ["differences"]

_OWN = b"dbre:"
_LARGEST_BYTES = 256 * 1024  # of a value that is read
_SHOWN = 10
_NAME_CHARACTERS = 60
_LASTS = -1  # PTTL of a key that lasts


async def differences(mine: Access, theirs: Access, *, limit: int, limit_seconds: float) -> Differences:
    """SCAN gives keys in the order of their hashes, so that the first ones are as good a sample as any.

    Raises: Unreachable; Denied naming what a login that reads keys needs.
    """
    end = time.monotonic() + limit_seconds
    seen: Counter[str] = Counter()
    total = 0
    names: list[str] = []
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(reading(access)) for access in (mine, theirs)]
        pair = _Pair(here, there, mine.timeouts.statement_seconds)
        for database, count in await pair.databases():
            total += count
            async for key in pair.keys(database):
                if seen.total() >= limit or time.monotonic() > end:
                    break
                found = await pair.compare(key)
                if found is None:
                    total -= 1  # it goes by itself, or has gone
                    continue
                seen[found] += 1
                if found in ("missing", "changed") and len(names) < _SHOWN:
                    names.append(printable(key.decode("utf-8", "replace"), limit=_NAME_CHARACTERS))
    return Differences(
        compared=seen.total(),
        total=max(total, seen.total()),
        missing=seen["missing"],
        changed=seen["changed"],
        names=tuple(names),
        too_large=seen["large"],
    )


class _Pair:
    """A connection to each of two servers, in the same database."""

    def __init__(self, here: Connection, there: Connection, limit_seconds: float) -> None:
        self._here, self._there, self._limit = here, there, limit_seconds

    async def databases(self) -> Sequence[tuple[int, int]]:
        """Those that have keys here, and how many; keys of dbre itself and such as go by themselves are among them."""
        fields = sections_of(await self._here.run(named("keyspace"), limit_seconds=self._limit))
        return [
            (int(name.removeprefix("db")), int(dict(part.partition("=")[::2] for part in text.split(","))["keys"]))
            for name, text in fields.items()
            if name.startswith("db")
        ]

    async def keys(self, database: int) -> AsyncIterator[bytes]:
        """Each once, as far as they are asked for."""
        for one in (self._here, self._there):
            await one.run(named("select"), database, limit_seconds=self._limit)
        cursor, seen = b"0", set[bytes]()
        while True:
            cursor, keys = await self._here.run(named("scan"), int(cursor), limit_seconds=self._limit, is_raw=True)
            for key in keys:
                if key not in seen:
                    seen.add(key)
                    yield key
            if cursor == b"0":
                return

    async def compare(self, key: bytes) -> str | None:
        """What became of it there; None for one that is not compared."""
        text = key.decode("utf-8", "surrogateescape")
        if key.startswith(_OWN) or int(await self._here.run(named("ttl"), text, limit_seconds=self._limit)) != _LASTS:
            return None
        sizes = [await one.run(named("value_bytes"), text, limit_seconds=self._limit) for one in (self._here, self._there)]
        if sizes[0] is None:
            return None
        if sizes[1] is None:
            return "missing"
        if max(map(int, sizes)) > _LARGEST_BYTES:
            return "large"
        mine, theirs = [await hash_of(one, key, limit_seconds=self._limit) for one in (self._here, self._there)]
        return None if mine is None else "same" if mine == theirs else "changed"
