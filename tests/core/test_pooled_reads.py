import asyncio

import pytest

from dbre.core.breaker import CircuitOpen
from dbre.core.clock import SystemClock
from dbre.core.errors import DbreError, Denied, Unreachable
from dbre.core.pool import PoolBusy
from dbre.core.pooled_reads import PooledReads


class Plug:
    is_usable = True

    def abort(self) -> None:
        self.is_usable = False


class Slow(Unreachable):
    """One question took too long."""


class Refused(ConnectionError):
    pass


def translate(error: Exception) -> DbreError:
    return Denied("db:1 said no") if isinstance(error, PermissionError) else Unreachable(f"db:1: {error}")


def reads(*, limit_seconds: float = 5.0, connections: int = 1) -> PooledReads[Plug]:
    async def open_connection() -> Plug:
        await asyncio.sleep(0)
        return Plug()

    return PooledReads(
        open_connection,
        name="db:1",
        connections=connections,
        limit_seconds=limit_seconds,
        clock=SystemClock(),
        raised=(OSError,),
        translate=translate,
        may_pass=lambda error: isinstance(error.__cause__, Refused),
        is_slow=lambda error: isinstance(error, Slow),
    )


async def test_what_may_pass_is_asked_three_times_at_the_most() -> None:
    asked = 0

    async def work(_: Plug) -> str:
        nonlocal asked
        asked += 1
        if asked < 3:
            raise Refused("not now")
        return "well"

    assert await reads().ask(work) == "well"
    asked = -99
    with pytest.raises(Unreachable, match="db:1: not now"):
        await reads().ask(work)
    assert asked == -96


async def test_what_will_not_pass_is_asked_once_and_translated() -> None:
    asked = 0

    async def work(_: Plug) -> None:
        nonlocal asked
        asked += 1
        raise PermissionError("no")

    with pytest.raises(Denied, match="db:1 said no") as caught:
        await reads().ask(work)
    assert asked == 1
    assert isinstance(caught.value.__cause__, PermissionError)


@pytest.mark.parametrize(("error", "is_spared"), [(Slow("slow"), False), (Denied("no"), False), (Unreachable("gone"), True)])
async def test_only_what_speaks_against_the_server_opens_the_circuit(error: DbreError, is_spared: bool) -> None:
    asking = reads()

    async def work(_: Plug) -> None:
        raise error

    for _ in range(5):
        with pytest.raises(type(error)):
            await asking.ask(work)
    with pytest.raises(CircuitOpen if is_spared else type(error)):
        await asking.ask(work)


async def test_time_that_ran_out_is_translated() -> None:
    with pytest.raises(Unreachable, match="db:1"):
        await reads(limit_seconds=0.05).ask(lambda _: asyncio.sleep(5))


async def test_connections_that_stay_busy_say_so_and_do_not_speak_against_the_server() -> None:
    asking = reads(limit_seconds=0.3)
    async with asking._pool.connection(wait_seconds=1):
        answers = await asyncio.gather(*(asking.ask(asyncio.sleep) for _ in range(8)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [PoolBusy] * 8  # more failures in a row than the circuit bears
    assert await asking.ask(lambda _: asyncio.sleep(0, "well")) == "well"


async def test_a_frozen_server_opens_the_circuit_although_most_questions_find_only_busy_connections() -> None:
    asking = reads(limit_seconds=0.2, connections=2)

    async def question() -> None:
        await asking.ask(lambda _: asyncio.sleep(60))

    for _ in range(4):
        answers = await asyncio.gather(*(question() for _ in range(8)), return_exceptions=True)
        if all(isinstance(answer, CircuitOpen) for answer in answers):
            return
        assert sum(isinstance(answer, PoolBusy) for answer in answers) >= 5
    pytest.fail("the circuit is still closed after 8 questions went unanswered in a row")


async def test_open_connections_are_known_while_they_are_busy_and_gone_when_closed() -> None:
    asking = reads(connections=2)

    async def look(connection: Plug) -> bool:
        return connection in asking.open_connections

    assert await asking.ask(look)
    (kept,) = asking.open_connections
    asking.close()
    assert not kept.is_usable
