"""What tests of faults that servers make share: how each comes and goes, and a client that notices."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self

import asyncmy
import psycopg
import pytest
from injection_kit import ENGINES, INJECTOR, PATIENCE, fleet_with, has_no_injector, is_over, order_on, record_of, runner, until
from redis.exceptions import RedisError

from dbre.capabilities.chaos.injection.healing import heal
from dbre.capabilities.chaos.injection.model import InjectionFailed
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.supervising import Injection
from dbre.core.clock import SystemClock
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.server import LabServer

Look = Callable[[], Awaitable[bool]]
ENDS = pytest.mark.parametrize("end", ["injector", pytest.param("runner", marks=pytest.mark.soak)])
"""Who is killed. That faults do not outlive their runner is shown elsewhere for all of them; here for each."""
Cases = Mapping[str, tuple[dict[str, Any], Look]]


async def until_found(look: Look) -> None:
    """Wait for what the server shows."""
    clock = SystemClock()
    deadline = clock.monotonic() + PATIENCE
    while not await look():
        assert clock.monotonic() < deadline
        await clock.sleep(0.05)


def orders_for(server: LabServer, cases: Cases, state: Path) -> list[Order]:
    return [order_on(server, name, state, **parameters) for name, (parameters, _) in cases.items()]


async def gone(cases: Cases) -> None:
    for name, (_, look) in cases.items():

        async def is_off(look: Look = look) -> bool:
            return not await look()

        try:
            await until_found(is_off)
        except AssertionError:
            pytest.fail(f"{name} is still there")


async def come_and_go(server: LabServer, cases: Cases, state: Path, end: str) -> None:
    """All of them on at once; off when their runner is killed, or healed when their injectors are killed."""
    orders = orders_for(server, cases, state)
    await gone(cases)
    async with runner(*orders) as process:
        for _, look in cases.values():
            await until_found(look)
        if end == "runner":
            process.kill()
            for order in orders:
                await until(partial(is_over, order))
        else:
            for order in orders:
                os.kill(record_of(order).pid, signal.SIGKILL)
                await until(partial(has_no_injector, order))
            healed = await heal(state, fleet_with(server), ENGINES, SystemClock())
            assert [one.detail for one in healed if one.outcome != "reverted"] == []
            assert {one.record.fault for one in healed} == set(cases)
    await gone(cases)


async def failure_of(order: Order) -> str:
    injection = await Injection.start(INJECTOR, order)
    with pytest.raises(InjectionFailed) as caught:
        await injection.wait_until_on()
    await injection.end(limit_seconds=PATIENCE)
    return caught.value.message


class Shop:
    """A client that comes back whenever its session was ended."""

    def __init__(self, connect: Callable[[], Awaitable[Any]], ask: Callable[[Any], Awaitable[Any]]) -> None:
        self._connect, self._ask = connect, ask
        self.ends = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def is_ended(self) -> bool:
        """Whether it loses its session within the next seconds."""
        before = self.ends
        for _ in range(16):  # sessions are ended each second
            await asyncio.sleep(0.1)
            if self.ends > before:
                return True
        return False

    async def _work(self) -> None:
        while True:
            try:
                async with await self._connect() as connection:
                    while True:
                        await self._ask(connection)
                        await asyncio.sleep(0.05)
            except (psycopg.Error, asyncmy.errors.Error, RedisError, OSError, EOFError):
                self.ends += 1
                await asyncio.sleep(0.05)


@asynccontextmanager
async def administrator(server: MariaDbServer, **more: Any) -> AsyncIterator[Any]:
    """A connection of the superuser to a MariaDB."""
    where = {"host": server.address.host, "port": server.address.port, "user": server.superuser}
    async with asyncmy.connect(**where, password=server.password.reveal(), autocommit=True, **more) as connection:
        yield connection


async def execute(connection: Any, statement: str) -> Any:
    """The rows of a statement, if it gives any."""
    async with connection.cursor() as cursor:
        await cursor.execute(statement)
        return await cursor.fetchall() if cursor.description else ()
