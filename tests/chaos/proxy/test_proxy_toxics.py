"""Every toxic of connections, on and off again, on connections that live."""

import asyncio
import os
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from proxy_kit import PATIENCE, Driver, driver, echo, until

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest_asyncio.fixture(loop_scope="session")
async def scene() -> AsyncIterator[tuple[Driver, Client, list[asyncio.StreamWriter]]]:
    """A proxy before an echo, and a client that has been answered once."""
    async with driver() as proxy, echo() as (upstream, ends):
        client = await asyncio.open_connection(*await proxy.proxy("echo", upstream))
        await said(client, b"hello")
        yield proxy, client, ends
        client[1].transport.abort()


Scene = tuple[Driver, Client, list[asyncio.StreamWriter]]


async def said(client: Client, data: bytes) -> float:
    """Sends it and reads it back; how long that took."""
    began = time.monotonic()
    client[1].write(data)
    assert await asyncio.wait_for(client[0].readexactly(len(data)), PATIENCE) == data
    return time.monotonic() - began


async def is_silent(client: Client) -> bool:
    try:
        await asyncio.wait_for(client[0].read(1), 0.3)
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_latency_delays_and_keeps_the_order(scene: Scene, stream: str) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "latency", stream=stream, latency=200, jitter=50)
    assert await said(client, b"x") >= 0.149
    data = os.urandom(3_000_000)  # more than may lie between reading and writing
    await said(client, data)
    assert (await proxy.connections("echo"))[0]["mode"][stream] == "bytes"
    await proxy.remove("echo", "latency")
    await said(client, data)
    assert set((await proxy.connections("echo"))[0]["mode"].values()) == {"splice"}


async def test_what_waits_when_a_toxic_is_removed_goes_on_at_once(scene: Scene) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "latency", latency=3_600_000)
    client[1].write(b"late")
    assert await is_silent(client)
    await proxy.remove("echo", "latency")
    assert await asyncio.wait_for(client[0].readexactly(4), PATIENCE) == b"late"


async def test_bandwidth_holds_the_rate(scene: Scene) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "bandwidth", rate=200)
    assert await said(client, os.urandom(100_000)) >= 0.45
    await proxy.call("POST", "/proxies/echo/toxics/bandwidth", {"attributes": {"rate": 1_000_000}})
    await said(client, os.urandom(1_000_000))


async def test_slicer_cuts_and_loses_nothing(scene: Scene) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "slicer", average_size=1, size_variation=0, delay=10, stream="upstream")
    await proxy.toxic("echo", "slicer", name="again", average_size=700, size_variation=600)
    await said(client, os.urandom(5_000))
    await proxy.call("POST", "/reset", status=204)
    await said(client, os.urandom(100_000))


async def test_limit_data_closes_after_so_many_bytes(scene: Scene) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "limit_data", bytes=1000)
    client[1].write(b"y" * 5000)
    assert await asyncio.wait_for(client[0].read(), PATIENCE) == b"y" * 1000
    await until(lambda: nobody(proxy))


async def nobody(proxy: Driver) -> bool:
    return (await proxy.state("echo"))["connections"] == 0


async def test_timeout_swallows_then_closes(scene: Scene) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "timeout", timeout=400)
    client[1].write(b"nobody hears it")
    assert await asyncio.wait_for(client[0].read(), PATIENCE) == b""
    await proxy.call("PATCH", "/proxies/echo/toxics/timeout", {"attributes": {"timeout": 0}})
    other = await asyncio.open_connection("127.0.0.1", int((await proxy.state("echo"))["listen"].rpartition(":")[2]))
    other[1].write(b"nobody hears this either")
    assert await is_silent(other)
    await proxy.remove("echo", "timeout")
    assert await asyncio.wait_for(other[0].read(), PATIENCE) == b"", "there is a hole in the stream, it must not go on"


@pytest.mark.parametrize("kind", ["reset_peer", "down"])
async def test_a_reset_is_a_reset(scene: Scene, kind: str) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", kind)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client[0].read(), PATIENCE)
    await proxy.remove("echo", kind)
    address = (await proxy.state("echo"))["listen"].rpartition(":")
    await said(await asyncio.open_connection(address[0], int(address[2])), b"back again")


async def test_slow_close_tells_the_end_later(scene: Scene) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "slow_close", delay=300)
    await said(client, b"data is not late")
    began = time.monotonic()
    client[1].write_eof()
    assert await asyncio.wait_for(client[0].read(), PATIENCE) == b""
    assert time.monotonic() - began >= 0.299


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_a_blackhole_heals(scene: Scene, stream: str) -> None:
    proxy, client, _ = scene
    await proxy.toxic("echo", "blackhole", stream=stream)
    data = os.urandom(200_000)
    client[1].write(data)
    assert await is_silent(client)
    assert (await proxy.connections("echo"))[0]["toxics"] == ["blackhole"]
    await proxy.remove("echo", "blackhole")
    assert await asyncio.wait_for(client[0].readexactly(len(data)), PATIENCE) == data


async def test_a_blackhole_tells_no_end(scene: Scene) -> None:
    proxy, client, ends = scene
    await proxy.toxic("echo", "blackhole")
    ends[0].transport.abort()
    assert await is_silent(client)
    await proxy.remove("echo", "blackhole")
    assert await asyncio.wait_for(client[0].read(), PATIENCE) == b""


async def test_half_open_the_server_is_gone_and_the_client_never_hears_of_it(scene: Scene) -> None:
    proxy, client, ends = scene
    await proxy.toxic("echo", "half_open")
    await until(ends[0].transport.is_closing)
    client[1].write(b"z" * 100_000)
    await client[1].drain()
    assert await is_silent(client)
    await proxy.remove("echo", "half_open")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client[0].read(), PATIENCE)


async def test_a_half_open_connection_hears_no_lease_and_disturbs_no_neighbour(scene: Scene) -> None:
    proxy, client, ends = scene
    await proxy.toxic("echo", "half_open", ttl=3600)
    await until(ends[0].transport.is_closing)
    host, _, port = (await proxy.state("echo"))["upstream"].rpartition(":")
    neighbour = await asyncio.open_connection(*await proxy.proxy("next", f"{host}:{port}"))  # takes the number that is free now
    await said(neighbour, b"neighbour")
    await proxy.call("POST", "/proxies/echo/toxics/half_open", {"ttl": 1800})
    assert await is_silent(client)
    await proxy.remove("echo", "half_open")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client[0].read(), PATIENCE)
    await said(neighbour, os.urandom(100_000))
    neighbour[1].transport.abort()


async def test_half_open_the_client_is_gone_and_the_server_waits(scene: Scene) -> None:
    proxy, client, ends = scene
    await proxy.toxic("echo", "half_open", stream="upstream")
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(client[0].read(), PATIENCE)
    ends[0].write(b"is anybody there")
    await asyncio.sleep(0.2)
    assert not ends[0].transport.is_closing()


async def test_corruption_replays_wherever_the_bytes_are_cut(scene: Scene) -> None:
    _, client, _ = scene
    sent, found = bytes(20_000), []
    for sizes in (20_000, 977):
        async with driver(seed=7) as fresh, echo() as (upstream, _ends):
            reader, writer = await asyncio.open_connection(*await fresh.proxy("echo", upstream))
            await fresh.toxic("echo", "corrupt", every=500)
            for start in range(0, len(sent), sizes):
                writer.write(sent[start : start + sizes])
                await asyncio.sleep(0.001)
            found.append(await asyncio.wait_for(reader.readexactly(len(sent)), PATIENCE))
            writer.transport.abort()
    assert found[0] == found[1]
    assert 15 <= sum(one.bit_count() for one in found[0]) <= 80
    await said(client, sent)  # the proxy without the toxic changes nothing


async def test_a_toxic_gets_its_share_of_connections_old_and_new_and_its_lease_ends(scene: Scene) -> None:
    proxy, _, _ = scene
    host, _, port = (await proxy.state("echo"))["listen"].rpartition(":")
    clients = [await asyncio.open_connection(host, int(port)) for _ in range(100)]
    await until(lambda: how_many(proxy, 101))
    await proxy.toxic("echo", "blackhole", toxicity=0.3, ttl=3600)
    clients += [await asyncio.open_connection(host, int(port)) for _ in range(100)]
    await until(lambda: how_many(proxy, 201))
    hit = {one["number"] for one in await proxy.connections("echo") if one["toxics"]}
    assert 35 <= len(hit) <= 90
    assert (await proxy.state("echo"))["counts"]["hits"]["blackhole"] == len(hit)
    renewed = await proxy.call("POST", "/proxies/echo/toxics/blackhole", {"ttl": 0.2})
    assert renewed["toxicity"] == 0.3
    await until(lambda: no_toxic(proxy))
    for one in clients:
        await said(one, b"free")
        one[1].transport.abort()


async def how_many(proxy: Driver, count: int) -> bool:
    return len(await proxy.connections("echo")) == count


async def no_toxic(proxy: Driver) -> bool:
    return not (await proxy.state("echo"))["toxics"]
