"""Faults of commands on a real Redis: the chosen ones fail, and every other answer stays in its place."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from proxy_kit import Driver, driver, until
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import ExecAbortError, ResponseError

from dbre.engines.redis.wire import RedisWire
from dbre.lab.redis import RedisServer
from dbre.ports.wire import Decision, InjectedError, Statement, TlsRequest

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(loop_scope="session", params=[2, 3], ids=["resp2", "resp3"])
async def proxied(request: pytest.FixtureRequest, redis_server: RedisServer) -> AsyncIterator[tuple[Driver, Redis]]:
    async with driver() as proxy:
        host, port = await proxy.proxy("redis", str(redis_server.address), engine="redis")
        access = redis_server.access()
        password = access.password.reveal() if access.password else None
        async with Redis(
            host=host, port=port, username=access.user, password=password, protocol=request.param, single_connection_client=True
        ) as client:
            yield proxy, client


async def test_the_chosen_fail_and_the_others_keep_their_answers(proxied: tuple[Driver, Redis]) -> None:
    proxy, client = proxied
    await proxy.toxic("redis", "error", unit="query", match={"regex": "poison"}, code="LOADING-ish", message="not now")
    async with client.pipeline(transaction=False) as pipe:
        for number in range(500):
            pipe.set(f"poison{number}" if number % 7 == 0 else f"good{number}", "v" * number)
            pipe.strlen(f"good{number}")
        answers = await pipe.execute(raise_on_error=False)
    for number in range(500):
        written, length = answers[2 * number : 2 * number + 2]
        if number % 7 == 0:
            assert isinstance(written, ResponseError)
            assert "not now" in str(written)
            assert length == 0
        else:
            assert (written, length) == (True, number)
    assert (await proxy.state("redis"))["counts"]["hits"] == {"error": len(range(0, 500, 7))}
    await proxy.remove("redis", "error")
    assert await client.exists(*[f"poison{number}" for number in range(0, 500, 7)]) == 0


async def test_nested_answers_big_values_and_broken_transactions(proxied: tuple[Driver, Redis]) -> None:
    proxy, client = proxied
    await client.delete("h", "big", "x")
    await client.hset("h", mapping={f"f{n}": "v" * n for n in range(200)})
    await client.set("big", b"b" * 3_000_000)
    await proxy.toxic("redis", "error", unit="query", match={"regex": "poison"})
    assert len(await client.hgetall("h")) == 200
    assert len(await client.get("big")) == 3_000_000
    assert await client.eval("return {1, {2, 'three', {}}, false}", 0) == [1, [2, b"three", []], None]
    async with client.pipeline(transaction=True) as pipe:
        pipe.set("x", "1").set("poison", "2")
        with pytest.raises((ExecAbortError, ResponseError)):
            await pipe.execute()
    assert await client.get("x") is None
    assert (await proxy.connections("redis"))[0]["why_opaque"] == ""


async def test_late_and_reset_commands_and_subscriptions(proxied: tuple[Driver, Redis], redis_server: RedisServer) -> None:
    proxy, client = proxied
    await proxy.toxic("redis", "latency", unit="query", match={"class": "read"}, latency=100)
    await client.set("k", "v")
    assert await client.get("k") == b"v"
    assert (await proxy.state("redis"))["counts"]["hits"] == {"latency": 1}
    await proxy.toxic("redis", "reset_peer", unit="query", match={"regex": "^DBSIZE"})
    await client.ping()
    with pytest.raises((Lost, ConnectionResetError)):
        await (await raw(proxy, redis_server)).execute_command("DBSIZE")
    other = await raw(proxy, redis_server)
    async with other.pubsub() as heard:
        await heard.subscribe("news")
        await until(lambda: is_opaque(proxy))
        await client.publish("news", "hello")
        message = None
        while message is None or message["type"] != "message":
            message = await heard.get_message(timeout=60)
        assert message["data"] == b"hello"
    await other.aclose()


async def raw(proxy: Driver, server: RedisServer) -> Redis:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    host, _, port = (await proxy.state("redis"))["listen"].rpartition(":")
    access = server.access()
    password = access.password.reveal() if access.password else None
    return Redis(host=host, port=int(port), username=access.user, password=password, retry=Retry(NoBackoff(), 0))


async def is_opaque(proxy: Driver) -> bool:
    return any("SUBSCRIBE" in one["why_opaque"] for one in await proxy.connections("redis"))


@pytest.mark.parametrize("piece", [1, 3, 7])
def test_frames_do_not_depend_on_how_the_bytes_are_cut(piece: int) -> None:
    client = b"*2\r\n$3\r\nGET\r\n$6\r\npoison\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n*0\r\n*1\r\n$4\r\nPING\r\n"
    server = b"-ERR unknown command\r\n+PONG\r\n>2\r\n+push\r\n*1\r\n:1\r\n%1\r\n+a\r\n*2\r\n$2\r\nbc\r\n_\r\n$-1\r\n"
    asked: list[str] = []

    def decide(statement: Statement) -> Decision:
        asked.append(statement.text)
        return Decision(error=InjectedError(code="", message="no")) if "poison" in statement.text else Decision()

    session = RedisWire().session(decide, TlsRequest.REFUSE)
    parts = [session.from_client(client[start : start + piece]) for start in range(0, len(client), piece)]
    sent = b"".join(data for one in parts for _, data in one.onward)
    assert sent == client.replace(b"*2\r\n$3\r\nGET\r\n$6\r\npoison\r\n", b"*1\r\n$19\r\ndbre_injected_fault\r\n")
    assert asked == ["GET poison", "PING", "SET k ", "PING"]
    answers = [session.from_server(server[start : start + piece]) for start in range(0, len(server), piece)]
    assert b"".join(data for one in answers for _, data in one.onward) == server.replace(b"-ERR unknown command", b"-ERR no")
    assert not session.is_opaque


@pytest.mark.parametrize(
    "data",
    [
        b"*-1\r\n",
        b"*1\r\n:1\r\n",
        b"*9999999999\r\n",
        b"*1\r\n$9999999999\r\n",
        b"*" + b"1" * 99,
        b"x" * 70_000,
        b"*1\r\n$5000000\r\n" + b"y" * 4_500_000,
    ],
    ids=["negative", "no-string", "many", "long", "no-end", "no-line", "too-long-to-hold"],
)
def test_what_is_not_the_protocol_or_too_long_passes_as_it_is(data: bytes) -> None:
    session = RedisWire().session(lambda _: Decision(is_dropped=True), TlsRequest.REFUSE)
    passed = [*session.from_client(data).onward, *session.from_client(b"more").onward]
    assert b"".join(piece for _, piece in passed) == data + b"more"
    assert session.is_opaque
