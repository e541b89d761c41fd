import asyncio

import pytest

from dbre.core.errors import Unreachable
from dbre.core.pool import Pool


class Plug:
    def __init__(self) -> None:
        self.is_usable = True
        self.aborts = 0

    def abort(self) -> None:
        self.is_usable = False
        self.aborts += 1


class Socket:
    """Opens plugs and remembers them."""

    def __init__(self) -> None:
        self.opened: list[Plug] = []

    async def open(self) -> Plug:
        await asyncio.sleep(0)
        self.opened.append(Plug())
        return self.opened[-1]


async def test_a_connection_is_used_again_and_never_more_than_the_limit_are_open() -> None:
    wall = Socket()
    pool = Pool(wall.open, limit=2, name="db:1")
    busy = 0

    async def work() -> None:
        nonlocal busy
        async with pool.connection(wait_seconds=5):
            busy += 1
            assert busy <= 2
            await asyncio.sleep(0.001)
            busy -= 1

    await asyncio.gather(*(work() for _ in range(20)))
    assert len(wall.opened) == 2


async def test_waiting_for_a_busy_pool_ends_in_time_and_says_so() -> None:
    pool = Pool(Socket().open, limit=1, name="db:1")
    async with pool.connection(wait_seconds=1):
        with pytest.raises(Unreachable, match=r"db:1: all 1 connections stayed busy for 20ms"):
            async with pool.connection(wait_seconds=0.02):
                pass
    async with pool.connection(wait_seconds=0.02) as plug:
        assert plug.is_usable


async def test_a_broken_connection_is_dropped_and_its_place_is_free() -> None:
    wall = Socket()
    pool = Pool(wall.open, limit=1, name="db:1")

    async def fail() -> None:
        async with pool.connection(wait_seconds=1) as plug:
            plug.abort()
            raise ValueError("mid-answer")

    with pytest.raises(ValueError, match="mid-answer"):
        await fail()
    async with pool.connection(wait_seconds=1) as other:
        assert other is wall.opened[1]


async def test_a_connection_that_died_while_idle_is_replaced() -> None:
    wall = Socket()
    pool = Pool(wall.open, limit=1, name="db:1")
    async with pool.connection(wait_seconds=1):
        pass
    wall.opened[0].is_usable = False
    async with pool.connection(wait_seconds=1) as plug:
        assert plug is wall.opened[1]
    assert wall.opened[0].aborts == 1


async def test_a_cancelled_opening_frees_its_place() -> None:
    never = asyncio.Event()

    async def hang() -> Plug:
        await never.wait()
        return Plug()

    pool = Pool(hang, limit=1, name="db:1")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), pool.connection(wait_seconds=1):
                pass


async def test_closing_closes_idle_and_busy_connections_and_the_pool_stays_closed() -> None:
    wall = Socket()
    pool = Pool(wall.open, limit=2, name="db:1")
    async with pool.connection(wait_seconds=1) as busy:
        async with pool.connection(wait_seconds=1):
            pass
        pool.close()
        assert [plug.aborts > 0 for plug in wall.opened] == [True, True]
        assert busy.is_usable is False
    with pytest.raises(Unreachable, match="db:1: the connections are closed"):
        async with pool.connection(wait_seconds=1):
            pass
