"""Events over HTTP: every format, every limit, and senders that mean no good. The server is the one that producers meet."""

import asyncio
import contextlib
import gzip
import json
import socket

import httpx
import msgspec
import pytest
import uvicorn
from ingest_kit import NOW_MS, KeepingSink, running

from dbre.capabilities.slo.ingest import asgi
from dbre.capabilities.slo.ingest.asgi import PATH, ingest_app
from dbre.capabilities.slo.ingest.otlp import bodies
from dbre.capabilities.slo.ingest.otlp.limits import MAX_BODY_BYTES

ROW = {"ts": NOW_MS, "slo": "requests@orders", "ms": 3.0}
JSON = {"content-type": "application/json"}


async def admit(token: str) -> str | None:
    return "checkout" if token == "good" else None


class Site:
    """A running server and what it counted."""

    def __init__(self, client: httpx.AsyncClient, sink: KeepingSink, port: int) -> None:
        self.client, self.sink, self.port = client, sink, port

    async def post(self, content, headers=JSON, **more) -> httpx.Response:
        return await self.client.post(PATH, content=content, headers={"authorization": "Bearer good", **headers, **more})


@pytest.fixture
async def site(tmp_path):
    sink, listener = KeepingSink(), socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with running(tmp_path, sink) as intake:
        config = uvicorn.Config(ingest_app(intake, admit), http="httptools", lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        server.capture_signals = contextlib.nullcontext
        task = asyncio.ensure_future(server.serve(sockets=[listener]))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Site(client, sink, port)
        server.should_exit = True
        await task


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", json.dumps([ROW, ROW]).encode()),
        ("application/json; charset=utf-8", json.dumps({"events": [ROW, ROW]}).encode()),
        ("application/x-ndjson", (json.dumps(ROW) + "\n").encode() * 2),
        ("application/msgpack", msgspec.msgpack.encode([[NOW_MS, "requests@orders"]] * 2)),
        ("application/json", json.dumps({"ts": [NOW_MS] * 2, "slo": "requests@orders"}).encode()),
        ("application/json", json.dumps({"counts": [{"ts": NOW_MS, "slo": "requests@orders", "good": 2}]}).encode()),
    ],
)
async def test_every_format_is_taken(site, kind, body):
    for encoded, more in ((body, {}), (gzip.compress(body), {"content-encoding": "gzip"})):
        answer = await site.post(encoded, {"content-type": kind, **more})
        assert answer.status_code == 200, answer.text
        assert answer.json()["rejected"] == 0
    assert site.sink.good == 4


async def test_a_batch_is_known_by_producer_stream_and_sequence(site):
    body = json.dumps([ROW])
    for headers, is_duplicate in (
        ({"dbre-sequence": "1"}, False),
        ({"dbre-sequence": "1"}, True),
        ({"dbre-sequence": "1", "dbre-stream": "host-7:4711"}, False),
        ({"dbre-sequence": "1", "dbre-stream": "host-7:4711"}, True),
        ({}, False),
        ({}, False),
    ):
        assert (await site.post(body, {**JSON, **headers})).json()["duplicate"] is is_duplicate
    assert site.sink.good == 4


async def test_wrong_rows_are_told_with_their_numbers_and_the_others_count(site):
    rows = [ROW, {"ts": "x"}, {**ROW, "ts": 5}, {**ROW, "slo": "\x1b[2J<b>@orders"}, ROW]
    told = (await site.post(json.dumps(rows))).json()
    assert (told["accepted"], told["rejected"]) == (2, 3)
    assert sorted(one["row"] for one in told["rejections"]) == [1, 2, 3]
    assert "\x1b" not in str(told)
    assert site.sink.good == 2


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"authorization": "Bearer bad"}, b"[]", 401),
        ({"authorization": "good"}, b"[]", 401),
        ({"authorization": ""}, b"[]", 401),
        ({"content-type": "text/plain"}, b"[]", 415),
        ({"content-encoding": "br"}, b"[]", 415),
        ({"content-encoding": "gzip"}, b"[]", 400),
        ({"content-encoding": "gzip"}, gzip.compress(b"[" + b" " * 1000 + b"]", mtime=0)[:-9], 400),
        ({"dbre-sequence": "-1"}, b"[]", 400),
        ({"dbre-sequence": "1e3"}, b"[]", 400),
        ({"dbre-stream": "a b"}, b"[]", 400),
        ({}, b"[1", 400),
        ({}, b"", 400),
        ({}, b'{"ts": [1], "good": [true, false], "slo": "a"}', 400),
    ],
)
async def test_what_cannot_be_taken_is_refused_with_a_reason(site, headers, content, status):
    answer = await site.post(content, {**JSON, **headers})
    assert answer.status_code == status
    assert answer.json()["message"]
    assert (await site.post(json.dumps([ROW]))).status_code == 200  # the connection lives on


async def test_other_paths_and_methods_are_refused(site):
    assert (await site.client.get(PATH)).status_code == 405
    assert (await site.client.post("/ingest/v2/events")).status_code == 404
    assert (await site.client.post("/")).status_code == 404


async def test_a_bomb_is_refused_and_never_unpacked(site):
    bomb = gzip.compress(b" " * 50 * 2**20)
    assert len(bomb) < 60_000
    answer = await site.post(bomb, {**JSON, "content-encoding": "gzip"})
    assert (answer.status_code, answer.headers["connection"]) == (413, "close")


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(site):
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {MAX_BODY_BYTES + 1}\r\n\r\n".encode())
    assert b"413" in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


async def test_chunks_without_a_length_are_taken_and_limited(site, monkeypatch):
    async def pieces():
        body = json.dumps([ROW] * 100).encode()
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    assert (await site.post(pieces())).json()["accepted"] == 100
    monkeypatch.setattr(bodies, "MAX_BODY_BYTES", 4_000)
    assert (await site.post(pieces())).status_code == 413


async def test_who_sends_a_byte_now_and_then_is_hung_up_on(site, monkeypatch):
    monkeypatch.setattr(bodies, "_READ_SECONDS", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n".encode())
    assert b"408" in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


async def test_too_much_under_way_is_put_off(site, monkeypatch):
    monkeypatch.setattr(asgi, "_BODIES_BYTES", 10)
    answer = await site.post(json.dumps([ROW]))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


async def test_a_large_batch_is_counted_beside_the_loop(site):
    body = json.dumps({"ts": [NOW_MS] * 50_000, "slo": "fast@orders", "ms": [99.5] * 49_999 + [100.5]})
    assert len(body) > asgi._LARGE_BYTES
    assert (await site.post(body)).json()["accepted"] == 50_000
    assert site.sink.counts["fast", "orders", "", "bad"] == 1


async def test_a_sign_of_life_is_heard(site):
    told = (await site.post(json.dumps({"alive": ["requests@orders"]}))).json()
    assert (told["accepted"], site.sink.alive) == (1, [("requests", "orders")])


async def test_while_nothing_can_be_made_durable_senders_are_told_when_to_come_back(tmp_path):
    async with running(tmp_path) as intake:
        app = ingest_app(intake, admit)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        headers = {"authorization": "Bearer good", **JSON}
        answer = await client.post(PATH, content=json.dumps([ROW]), headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
