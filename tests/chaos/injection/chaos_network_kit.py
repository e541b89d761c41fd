"""What tests of faults of the network share: a pair in namespaces, orders about it, and connections that are tried."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from injection_kit import PATIENCE, is_over, order_on, runner, until

from dbre.capabilities.chaos.injection.order import Order
from dbre.core.fleet import Address
from dbre.core.packets.commands import command
from dbre.core.packets.namespaces import Namespace
from dbre.lab.network.network import Network
from dbre.lab.postgres import PostgresServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Networked:
    """A primary in host ``a`` and its replica in host ``b``."""

    network: Network
    primary: PostgresServer
    replica: PostgresServer

    @property
    def a(self) -> Namespace:
        return self.network.namespace("a")

    @property
    def b(self) -> Namespace:
        return self.network.namespace("b")

    def order(self, fault: str, state: Path, *, seconds: float = 120.0, **parameters: Any) -> Order:
        """A fault on the replica, whose only peer is the primary."""
        order = order_on(self.replica, fault, state, seconds=seconds, **parameters)
        return replace(order, peers={"first": self.primary.address})

    async def write(self) -> None:
        """Something to replicate."""
        async with await self.primary.connect() as connection:
            await connection.execute("SELECT pg_catalog.pg_logical_emit_message(true, 'dbre', 'x')")

    async def is_behind(self) -> bool:
        """Whether the primary knows of a replica that has replayed everything; False if it has."""
        async with await self.primary.connect() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM pg_catalog.pg_stat_replication"
                " WHERE state = 'streaming' AND replay_lsn >= pg_catalog.pg_current_wal_flush_lsn()"
            )
            row = await cursor.fetchone()
        return row != (1,)

    async def until_level(self) -> None:
        """Wait until the replica has all."""
        async with asyncio.timeout(PATIENCE):
            while await self.is_behind():  # noqa: ASYNC110 - another process's doing
                await asyncio.sleep(0.1)


@asynccontextmanager
async def held(order: Order) -> AsyncIterator[asyncio.subprocess.Process]:
    """A runner that holds a fault; afterwards it is seen to be gone."""
    async with runner(order) as process:
        yield process
    await until(partial(is_over, order))


def goes_through(source: Namespace | None, target: Address, *, seconds: float = 2.0) -> str:
    """``yes``, ``refused`` or ``silence``: what comes of a connection from a namespace, or from our own."""

    def connect() -> str:
        try:
            socket.create_connection((target.host, target.port), timeout=seconds).close()
        except ConnectionRefusedError:
            return "refused"
        except OSError:
            return "silence"
        return "yes"

    return connect() if source is None else source.call(connect)


def tables(namespace: Namespace) -> str:
    """All rules of a namespace."""
    return command("nft", "list", "ruleset", namespace=namespace)


def datagrams(source: Namespace, target: Namespace, host: str, *, count: int) -> int:
    """How many of so many datagrams arrive, a few at a time so that no buffer is full."""

    def receiver() -> socket.socket:
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listening.bind((host, 0))
        return listening

    arrived = 0
    with (
        target.call(receiver) as listening,
        source.call(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sending,
    ):
        for _ in range(count):
            with suppress(PermissionError):  # what a rule of the sender's own machine drops
                sending.sendto(b"x", listening.getsockname())
            arrived += _received(listening, seconds=0.0)
        return arrived + _received(listening, seconds=0.5)


def _received(listening: socket.socket, *, seconds: float) -> int:
    found = 0
    listening.settimeout(seconds)
    with suppress(TimeoutError, BlockingIOError):
        while True:
            listening.recv(16)
            found += 1
    return found
