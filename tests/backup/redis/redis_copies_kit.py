"""What tests of Redis's copies share: a server with a ledger, orders, a log on disk."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis

from dbre.core.clock import SystemClock
from dbre.core.ids import uuid7
from dbre.core.programs.account import give
from dbre.engines.redis.backup.port import RedisBackups
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.backup.engine import ReceiveOrder, RecoverOrder
from dbre.ports.backup.model import CopyFacts, CopyKind, CopyOrder, LogPosition, Place, RecoveryTarget
from dbre.ports.engine import Access

SETTINGS: Mapping[str, str] = {"aof-timestamp-enabled": "yes", "appendfsync": "always"}


def place_of(site: Site) -> Place:
    return Place(account=site.account, cache=site.cache)


@contextmanager
def redis_scratch(site: Site) -> Iterator[Path]:
    """A directory that the servers' account may enter, gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="copies-", dir=site.directory))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def own(path: Path, site: Site) -> Path:
    """A new directory of the servers' account."""
    path.mkdir(mode=0o700)
    give(path, site.account)
    return path


async def quiet(_done: int, _total: int | None) -> None:
    """A progress that nobody watches."""


def client(access: Access) -> "redis.Redis[bytes]":
    where, password = access.address, access.password.reveal() if access.password else None
    if where.host.startswith("/"):
        return redis.Redis(unix_socket_path=where.host, password=password)
    return redis.Redis(host=where.host, port=where.port, password=password)


def ledger(access: Access) -> list[int]:
    """The numbers that were written, in order."""
    with client(access) as connection:
        return [int(one) for one in connection.lrange("ledger", 0, -1)]


@dataclass
class RedisCopies:
    """Copies of one server."""

    server: RedisServer
    site: Site
    directory: Path
    made: dict[str, CopyFacts] = field(default_factory=dict)

    @property
    def backups(self) -> RedisBackups:
        return RedisBackups(place_of(self.site))

    async def take(self, name: str, *, kind: CopyKind = CopyKind.FULL) -> CopyFacts:
        order = CopyOrder(set_id=str(uuid7(SystemClock())), kind=kind, directory=own(self.directory / name, self.site))
        self.made[name] = await self.backups.copy(self.server.access(), order, quiet)
        return self.made[name]

    async def assemble(self, name: str, *, into: str) -> Path:
        target = own(self.directory / into, self.site)
        await self.backups.assemble([self.directory / name], target, quiet)
        return target


@dataclass
class KeptLog:
    """``LogFetch`` over files in a directory."""

    directory: Path
    site: Site
    damage: dict[str, int] = field(default_factory=dict)

    async def fetch(self, name: str, into: Path) -> bool:
        for candidate in (name, f"{name}.partial"):
            if (self.directory / candidate).is_file():
                content = bytearray((self.directory / candidate).read_bytes())
                if name in self.damage:
                    content[self.damage[name]] ^= 0x40
                into.write_bytes(content)
                give(into, self.site.account)
                return True
        return False


@dataclass
class RedisHistory:
    """What happened: 1-3, full, 4-6 with a transaction, a place, 7, a moment, 8-9, a rewrite, 10; snapshot."""

    copies: RedisCopies
    log: KeptLog
    position: LogPosition  # after 6
    moment: datetime  # between 7 and 8


async def until(condition: Any, *, seconds: float = 90.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another process does it
            await asyncio.sleep(0.05)


async def write_redis_history(copies: RedisCopies, spool: Path) -> RedisHistory:
    """Write it while a receiver keeps the log."""

    access = copies.server.access()
    with client(access) as connection:
        connection.rpush("ledger", 1, 2, 3)
        await copies.take("full")
        receiver = copies.backups.receiver(access, ReceiveOrder(spool=spool, name="dbre_test"))
        task = asyncio.create_task(receiver.run())
        for number in (4, 5):
            connection.rpush("ledger", number)
        with connection.pipeline(transaction=True) as pipe:
            pipe.rpush("ledger", 6)
            pipe.set("with-six", "yes")
            pipe.execute()
        position = await copies.backups.position(access)
        connection.rpush("ledger", 7)
        await asyncio.sleep(1.1)  # the log counts whole seconds: what follows lies in another one
        moment = datetime.now(UTC)
        await asyncio.sleep(1.1)
        connection.rpush("ledger", 8, 9)
        first = await copies.backups.position(access)
        await until(lambda: (receiver.flushed() is not None and receiver.flushed() >= first) or task.done())
        connection.bgrewriteaof()
        await until(lambda: connection.info("persistence")["aof_rewrite_in_progress"] == 0)
        connection.rpush("ledger", 10)
        last = await copies.backups.position(access)
        assert last.value >> 32 == (first.value >> 32) + 1
        await until(lambda: (receiver.flushed() is not None and receiver.flushed() >= last) or task.done())
        assert not task.done(), task
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await copies.take("snapshot", kind=CopyKind.SNAPSHOT)
    return RedisHistory(copies, KeptLog(spool, copies.site), position, moment)


def order_for(directory: Path, target: RecoveryTarget, log: Any, **rest: Any) -> RecoverOrder:
    return RecoverOrder(directory=directory, target=target, log=log, timeout_seconds=300.0, is_faithful=False, **rest)
