"""A fault proxy in a thread, driven through its API only, and a server that talks back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from dbre.capabilities.chaos.proxy.api import Api
from dbre.capabilities.chaos.proxy.loop import Loop
from dbre.capabilities.chaos.proxy.routes import Routes
from dbre.capabilities.chaos.proxy.service import Proxies
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.engines.mysql.wire import MySqlWire
from dbre.engines.postgres.wire import PostgresWire
from dbre.engines.redis.wire import RedisWire
from dbre.ports.wire import WirePort

PATIENCE = 60.0


class Driver:
    """Speaks to the API as any client does."""

    def __init__(self, api: Address, client: httpx.AsyncClient) -> None:
        self.api, self.client = api, client

    async def call(self, method: str, path: str, document: object = None, *, status: int = 200) -> Any:
        answer = await self.client.request(method, path, json=document)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer.text

    async def proxy(self, name: str, upstream: str, **more: object) -> tuple[str, int]:
        document = {"name": name, "listen": "127.0.0.1:0", "upstream": upstream, **more}
        made = await self.call("POST", "/proxies", document, status=201)
        host, _, port = made["listen"].rpartition(":")
        return host, int(port)

    async def toxic(self, proxy: str, kind: str, *, name: str | None = None, **more: Any) -> dict[str, Any]:
        keys = ("stream", "toxicity", "unit", "match", "ttl")
        document = {
            "type": kind,
            "name": name or kind,
            **{key: more.pop(key) for key in keys if key in more},
            "attributes": more,
        }
        return await self.call("POST", f"/proxies/{proxy}/toxics", document)

    async def remove(self, proxy: str, name: str) -> None:
        await self.call("DELETE", f"/proxies/{proxy}/toxics/{name}", status=204)

    async def state(self, proxy: str) -> dict[str, Any]:
        return await self.call("GET", f"/proxies/{proxy}")

    async def connections(self, proxy: str) -> list[dict[str, Any]]:
        return await self.call("GET", f"/proxies/{proxy}/connections")


def wires(name: str) -> WirePort:
    return {"postgresql": PostgresWire(), "mysql": MySqlWire(), "redis": RedisWire()}[name]


@asynccontextmanager
async def driver(*, seed: int = 7) -> AsyncIterator[Driver]:
    loop = Loop()
    proxies = Proxies(loop, wires, seed=seed)
    api = Api(Address("127.0.0.1", 0), Secret("the-token"), Routes(proxies, "test"), loop)
    thread = threading.Thread(target=loop.run, daemon=True)
    thread.start()
    try:
        headers = {"authorization": "Bearer the-token"}
        async with httpx.AsyncClient(base_url=f"http://{api.address}", headers=headers, timeout=PATIENCE) as client:
            yield Driver(api.address, client)
    finally:
        loop.stop()
        await asyncio.to_thread(thread.join, PATIENCE)
        assert not thread.is_alive()
        api.close()
        proxies.close()
        loop.close()


@asynccontextmanager
async def echo() -> AsyncIterator[tuple[str, list[asyncio.StreamWriter]]]:
    """A server that sends back what comes; its address, and its ends of the connections."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname()), writers
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it holds; it may be a coroutine function."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.02)
