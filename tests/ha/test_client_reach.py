"""Sessions that clients open: what an act did not wait for is there for the next one."""

import asyncio

import pytest

from dbre.capabilities.ha.clients.reach import Reach
from dbre.core.errors import Unreachable
from dbre.ports.client_work import ClientWorkload


class Session:
    """One of a slow door."""

    def __init__(self) -> None:
        self.is_usable, self.is_sent, self.node = True, False, "db:5432"

    def abort(self) -> None:
        self.is_usable = False


class Door:
    """Lets in once it is told to, as a server does that is busy with others."""

    workloads = frozenset(ClientWorkload)

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[Session]] = []

    async def connect(self, *, writable: bool = True) -> Session:  # noqa: ARG002 - as of its port
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


async def given_up(reach: Reach) -> None:
    """An act whose time is over before it is let in."""
    act = asyncio.create_task(reach.connect())
    await asyncio.sleep(0)  # it begins
    await asyncio.sleep(0)  # and so does the opening
    act.cancel()
    with pytest.raises(asyncio.CancelledError):
        await act


async def test_who_comes_next_goes_on_with_an_opening_that_was_given_up() -> None:
    door = Door()
    reach = Reach([door])
    for _ in range(3):  # each has less time than the server takes
        await given_up(reach)
    door.asked[0].set_result(session := Session())
    assert await reach.connect() is session
    assert len(door.asked) == 1


async def test_a_session_that_broke_before_anybody_came_is_opened_anew() -> None:
    door = Door()
    reach = Reach([door])
    await given_up(reach)
    door.asked[0].set_result(broken := Session())
    await asyncio.sleep(0)
    broken.is_usable = False
    act = asyncio.create_task(reach.connect())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    door.asked[1].set_result(session := Session())
    assert await act is session


async def test_an_error_is_told_to_who_waits_for_it_and_to_nobody_who_comes_later() -> None:
    door = Door()
    reach = Reach([door])
    await given_up(reach)
    door.asked[0].set_exception(Unreachable("refused"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    act = asyncio.create_task(reach.connect())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    door.asked[1].set_exception(Unreachable("still refused"))
    with pytest.raises(Unreachable, match="still refused"):
        await act


async def test_nothing_is_left_open_in_the_end() -> None:
    door = Door()
    reach = Reach([door])
    await given_up(reach)
    door.asked[0].set_result(session := Session())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reach.close()
    assert not session.is_usable
