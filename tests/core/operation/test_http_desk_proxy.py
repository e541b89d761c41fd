"""The token of a client that talks to this machine goes to no proxy of the environment."""

import asyncio
from uuid import uuid4

import pytest

from dbre.core.errors import Unreachable
from dbre.core.operation.http_desk import open_http_desk
from dbre.core.secrets import Secret
from dbre.lab.free_port import choose_port


async def test_a_proxy_of_the_environment_is_not_told_a_token_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as proxy:
        host, port = proxy.sockets[0].getsockname()
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://{host}:{port}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        async with open_http_desk(f"http://127.0.0.1:{choose_port()}", Secret("token-of-alice")) as desk:
            with pytest.raises(Unreachable):
                await desk.get(uuid4())
    assert heard == []
