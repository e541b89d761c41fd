"""Bad input, half messages, dying servers, no more files: the proxy stays, and guesses nothing."""

import asyncio
import contextlib
import json
import os
import re
import resource
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
from proxy_kit import PATIENCE, Driver, driver, echo, until
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dbre.app import Application
from dbre.cli import root
from dbre.lab.postgres import PostgresServer


@pytest_asyncio.fixture(loop_scope="session")
async def proxy() -> AsyncIterator[Driver]:
    async with driver() as found:
        yield found


async def received(address: tuple[str, int], data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(data)
    try:
        return await asyncio.wait_for(reader.read(100_000), PATIENCE)
    finally:
        writer.transport.abort()


@pytest.mark.parametrize(
    "first",
    [b"\0\0\0\x03", b"\xff\xff\xff\xff....", b"\0\0\x7f\xff" + b"x" * 40, b"GET / HTTP/1.1\r\n\r\n"],
    ids=["too-short", "negative", "too-long", "http"],
)
async def test_what_is_not_the_protocol_passes_as_it_is(proxy: Driver, first: bytes) -> None:
    async with echo() as (upstream, _):
        address = await proxy.proxy("pg", upstream, engine="postgresql")
        await proxy.toxic("pg", "error", unit="query")
        assert await received(address, first) == first


async def test_a_message_of_impossible_length_after_the_start(proxy: Driver) -> None:
    async with echo() as (upstream, _):
        reader, writer = await asyncio.open_connection(*await proxy.proxy("pg", upstream, engine="postgresql"))
        start = b"\0\3\0\0user\0app\0\0"
        writer.write((len(start) + 4).to_bytes(4, "big") + start)
        await reader.readexactly(len(start) + 4)
        broken = b"X\0\0\0\3after" + bytes(1000)
        writer.write(broken)
        assert await asyncio.wait_for(reader.readexactly(len(broken)), PATIENCE) == broken
        assert "impossible length" in (await proxy.connections("pg"))[0]["why_opaque"]
        writer.transport.abort()


async def test_a_client_that_begins_slowly_holds_nobody_up(proxy: Driver) -> None:
    async with echo() as (upstream, _):
        address = await proxy.proxy("pg", upstream, engine="postgresql")
        slow = [await asyncio.open_connection(*address) for _ in range(50)]
        for _, writer in slow:
            writer.write(b"\0\0")
        assert await received(address, b"GET / HTTP/1.1\r\n\r\n")
        assert len(await proxy.connections("pg")) >= 50
        for reader, writer in slow:
            writer.write_eof()
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b"\0\0", "what was held must not be lost at the end"


async def test_postgres_through_slices_of_one_byte(proxy: Driver, postgres15: PostgresServer) -> None:
    behind = await proxy.proxy("wire", str(postgres15.address), engine="postgresql")
    before = await proxy.proxy("slices", "{}:{}".format(*behind))
    for stream in ("upstream", "downstream"):
        await proxy.toxic("slices", "slicer", name=stream, stream=stream, average_size=1)
        await proxy.toxic("wire", "slicer", name=stream, stream=stream, average_size=1)
    await proxy.toxic("wire", "error", unit="query", match={"regex": "poison"})
    given = {
        key: value
        for key, value in conninfo_to_dict(postgres15.conninfo(database="postgres")).items()
        if key not in ("host", "hostaddr", "port")
    }
    async with await psycopg.AsyncConnection.connect(
        make_conninfo(**given, host=before[0], port=before[1]), autocommit=True, prepare_threshold=0
    ) as one:
        with pytest.raises(psycopg.errors.QueryCanceled):
            await one.execute("SELECT %s::text /* poison */", ("x" * 500,))
        assert await (await one.execute("SELECT length(%s::text)", ("x" * 5000,))).fetchone() == (5000,)
        assert (await proxy.state("wire"))["counts"]["queries"] == 2


async def test_a_server_that_dies_and_one_that_is_not_there(proxy: Driver) -> None:
    async with echo() as (upstream, ends):
        address = await proxy.proxy("dying", upstream)
        await proxy.toxic("dying", "latency", latency=3_600_000)
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"in flight")
        await until(lambda: ends)
        ends[0].transport.abort()
        await proxy.remove("dying", "latency")
        with contextlib.suppress(ConnectionResetError):  # an end or a reset, as the server gave it
            assert await asyncio.wait_for(reader.read(), PATIENCE) in (b"", b"in flight")
        writer.transport.abort()
    with pytest.raises(ConnectionResetError):
        await received(address, b"nobody is there")
    await until(lambda: refused(proxy))


async def refused(proxy: Driver) -> bool:
    state = await proxy.state("dying")
    return state["counts"]["refused"] >= 1 and state["connections"] == 0


async def test_who_does_not_read_stops_who_writes(proxy: Driver) -> None:
    async with echo() as (upstream, _):
        reader, writer = await asyncio.open_connection(*await proxy.proxy("slow", upstream))
        await proxy.toxic("slow", "latency", stream="upstream", latency=3_600_000)
        writer.write(bytes(64 << 20))
        await asyncio.sleep(0.3)
        assert writer.transport.get_write_buffer_size() > 32 << 20, "the proxy took in what nobody reads"
        await proxy.call("DELETE", "/proxies/slow", status=204)  # in the middle of the transfer
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), PATIENCE)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"type": "latncy"}, "did you mean latency"),
        ({"type": "latency", "attributes": {"latency": -1}}, "latency.latency is"),
        ({"type": "latency", "attributes": {"latency": "x"}}, "not a number"),
        ({"type": "latency", "attributes": {"delay": 1}}, "has no attribute"),
        ({"type": "latency", "toxicity": 2}, "toxicity is"),
        ({"type": "latency", "stream": "sideways"}, "stream"),
        ({"type": "slicer", "unit": "query"}, "has no unit query"),
        ({"type": "error"}, "sees bytes, not queries"),
        ({"type": "latency", "unit": "query", "match": {"regex": "("}}, "cannot be read"),
        ({"type": "latency", "match": {"user": "app"}}, "of connections"),
        ({"type": "latency", "ttl": 0}, "ttl is"),
        ({"type": "latency", "name": "../x"}, "no name"),
        ([], "a toxic is an object"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
async def test_bad_toxics_are_refused_with_the_reason(proxy: Driver, document: Any, words: str) -> None:
    if "p" not in await proxy.call("GET", "/proxies"):
        await proxy.proxy("p", "127.0.0.1:9")
    answer = await proxy.call("POST", "/proxies/p/toxics", document, status=400)
    assert words in f"{answer['error']} {answer['hint']}"
    assert (await proxy.state("p"))["toxics"] == []


async def test_the_api_obeys_only_the_token(proxy: Driver) -> None:
    base = f"http://{proxy.api}"
    async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as stranger:
        assert (await stranger.get("/proxies")).status_code == 401
        for given in ("Bearer wrong", "Bearer", "Basic the-token", "Bearer the-token2"):
            assert (await stranger.post("/reset", headers={"authorization": given})).status_code == 401
        right = {"authorization": "Bearer the-token"}
        assert (await stranger.get("/proxies", headers=right | {"origin": "http://evil.example"})).status_code == 403
        assert (await stranger.post("/proxies", headers=right, content=b"{")).status_code == 400
        assert (await stranger.post("/proxies", headers=right, content=b"[" * 200_000)).status_code == 400
        assert (await stranger.get("/nowhere", headers=right)).status_code == 404
        assert (await stranger.delete("/version", headers=right)).status_code == 405
    reader, writer = await asyncio.open_connection(proxy.api.host, proxy.api.port)
    writer.write(b"\x16\x03\x01 this is TLS")
    assert b" 400 " in await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()


async def test_proxies_as_toxiproxy_has_them(proxy: Driver) -> None:
    async with echo() as (upstream, _):
        host, port = await proxy.proxy("one", upstream)
        await proxy.call("POST", "/proxies", {"name": "one", "listen": "127.0.0.1:0", "upstream": upstream}, status=409)
        taken = {"name": "two", "listen": f"{host}:{port}", "upstream": upstream}
        assert "choose another port" in (await proxy.call("POST", "/proxies", taken, status=500))["hint"]
        assert list(await proxy.call("GET", "/proxies")) == ["one"]
        assert (await proxy.call("POST", "/proxies/one", {"enabled": False}))["enabled"] is False
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, port)
        await proxy.call("POST", "/reset", status=204)
        assert await received((host, port), b"here again") == b"here again"
        made = await proxy.call(
            "POST", "/populate", [{"name": "three", "listen": "127.0.0.1:0", "upstream": upstream}], status=201
        )
        assert [one["name"] for one in made["proxies"]] == ["three"]
        assert 'dbre_chaos_proxy_accepted_total{proxy="one"} 1' in await proxy.call("GET", "/metrics")
        await proxy.call("GET", "/proxies/four", status=404)


async def test_no_more_files_makes_clients_wait_and_nothing_spin(tmp_path: Path) -> None:
    token = tmp_path / "token"
    async with echo() as (upstream, _):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dbre", "chaos", "proxy", "run", "--listen", "127.0.0.1:0", "--to", upstream,
            "--api", "127.0.0.1:0", "--api-token", str(token), "--seed", "1", "-o", "json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "HOME": str(tmp_path)}, cwd=tmp_path,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        api = re.search(r"http://(\S+),", (await asyncio.wait_for(process.stderr.readline(), PATIENCE)).decode())
        line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE)).decode()
        listens = re.search(r"listens on 127\.0\.0\.1:(\d+)", line)
        assert api is not None, line
        assert listens is not None, line
        assert token.stat().st_mode & 0o777 == 0o600
        used = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (used + 21, used + 21))
        clients = [await asyncio.open_connection("127.0.0.1", int(listens[1])) for _ in range(30)]
        headers = {"authorization": f"Bearer {token.read_text().strip()}"}
        for _, writer in clients[:5]:
            writer.write(b"still served")
        for reader, _ in clients[:5]:
            assert await asyncio.wait_for(reader.readexactly(12), PATIENCE) == b"still served"
        for _, writer in clients:
            writer.transport.abort()
        async with httpx.AsyncClient(base_url=f"http://{api[1]}", headers=headers, timeout=PATIENCE) as client:
            state = {}

            async def has_starved() -> bool:
                state.update((await client.get("/proxies/proxy")).json())
                return state["counts"]["starved"] > 0 and state["connections"] == 0

            await until(has_starved)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(listens[1]))
        writer.write(b"and again")
        assert await asyncio.wait_for(reader.readexactly(9), PATIENCE) == b"and again"
        writer.transport.abort()
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode == 0
        assert json.loads(out)["item"]["counts"]["starved"] > 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--listen", "127.0.0.1:0", "--to", "nowhere"], "not an address with a port"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--toxic", "latency,latency=x"], "not a number"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--toxic", "latency,latency"], "KEY=VALUE"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--toxic", "error"], "sees bytes, not queries"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--engine", "postgres"], "did you mean"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--api", "127.0.0.1:0"], "belong together"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--api", "0.0.0.0:0", "--api-token", "t"], "this machine only"),
        (["--listen", "127.0.0.1:0", "--to", "127.0.0.1:9", "--tls", "maybe"], "refuse, pass"),
    ],
    ids=["to", "number", "pair", "bytes", "engine", "api", "loopback", "tls"],
)
def test_bad_words_on_the_command_line(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert root.main(Application, ["chaos", "proxy", "run", *words]) == 2
    assert says in capsys.readouterr().err
