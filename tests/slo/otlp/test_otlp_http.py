import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from otlp_kit import KeepingIntake, now_nano, receiver_for, traces

from dbre.capabilities.slo.ingest.errors import IntakeUnavailable
from dbre.capabilities.slo.ingest.otlp import otlp_app
from dbre.capabilities.slo.ingest.otlp.limits import MAX_BODY_BYTES

TOKEN = {"Authorization": "Bearer secret-of-shop"}
PROTOBUF = {**TOKEN, "Content-Type": "application/x-protobuf"}
JSON = {**TOKEN, "Content-Type": "application/json"}


async def _admit(token: str) -> str | None:
    return "shop" if token == "secret-of-shop" else None


@asynccontextmanager
async def _serving(intake: KeepingIntake) -> AsyncIterator[str]:
    app = otlp_app(receiver_for(intake), _admit)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = asyncio.ensure_future(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await asyncio.wait_for(running, 30)


@asynccontextmanager
async def _posting(intake: KeepingIntake) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(otlp_app(receiver_for(intake), _admit))
    async with httpx.AsyncClient(transport=transport, base_url="http://dbre") as client:
        yield client


async def test_the_exporters_of_opentelemetry_are_understood():
    intake = KeepingIntake()
    async with _serving(intake) as url:
        await asyncio.to_thread(_export, url)
    good = [one for one in intake.events() if one[0]]
    assert [(duration is not None, weight) for _, _, duration, weight, _ in good if weight == 1] == [(True, 1)]  # the span
    counted = sum(weight for _, _, duration, weight, attributes in good if "metric.name" in attributes)
    assert counted == 3


def _export(url: str) -> None:
    exporter = OTLPSpanExporter(f"{url}/v1/traces", headers=TOKEN, compression=None)
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("test").start_as_current_span("SELECT", attributes={"db.system": "postgresql", "db.name": "app"}):
        pass
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{url}/v1/metrics", headers=TOKEN))
    meters = MeterProvider([reader])
    durations = meters.get_meter("test").create_histogram("db.client.operation.duration", unit="s")
    for seconds in (0.002, 0.003, 0.2):
        durations.record(seconds, {"db.system.name": "postgresql"})
    assert meters.force_flush(30_000)
    provider.shutdown()
    meters.shutdown()


async def test_an_intake_that_is_full_is_tried_again_by_the_exporter():
    refusals = 1

    async def refuse_once() -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise IntakeUnavailable("the queue is full", retry_after_seconds=1)

    intake = KeepingIntake(before=refuse_once)
    provider = TracerProvider()
    with provider.get_tracer("test").start_as_current_span("SELECT", attributes={"db.system": "postgresql"}) as span:
        pass
    async with _serving(intake) as url:
        exporter = OTLPSpanExporter(f"{url}/v1/traces", headers=TOKEN, timeout=30)
        assert await asyncio.to_thread(exporter.export, [span]) is SpanExportResult.SUCCESS
    assert len(intake.events()) == 1


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/v1/traces", PROTOBUF, b"", 200),  # an empty request is a good one
        ("/v1/metrics", PROTOBUF, b"", 200),
        ("/v1/traces", JSON, b"{}", 200),
        ("/v1/logs", PROTOBUF, b"", 404),
        ("/v1/traces", PROTOBUF, b"\xff\xff", 400),
        ("/v1/traces", JSON, b"{", 400),
        ("/v1/traces", {"Content-Type": "application/x-protobuf"}, b"", 401),
        ("/v1/traces", {**PROTOBUF, "Authorization": "Bearer guess"}, b"", 401),
        ("/v1/traces", {**TOKEN, "Content-Type": "text/plain"}, b"", 415),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "br"}, b"", 415),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "gzip"}, b"no gzip", 400),
        ("/v1/traces", {**PROTOBUF, "Content-Encoding": "gzip"}, gzip.compress(b"x" * 5_000, mtime=0)[:-9], 400),  # cut off
    ],
)
async def test_each_request_is_answered_as_otlp_says(path, headers, body, status):
    async with _posting(KeepingIntake()) as client:
        answer = await client.post(path, headers=headers, content=body)
    assert answer.status_code == status
    assert (
        answer.headers["content-type"]
        == (JSON if headers.get("Content-Type") == "application/json" else PROTOBUF)["Content-Type"]
    )
    if status != 200:
        assert b"message" in answer.content if headers is JSON else answer.content[0] == 8


async def test_a_gzip_bomb_is_refused_without_unpacking_it():
    bomb = gzip.compress(bytes(MAX_BODY_BYTES + 1))
    assert len(bomb) < 50_000
    async with _posting(KeepingIntake()) as client:
        answer = await client.post("/v1/traces", headers={**PROTOBUF, "Content-Encoding": "gzip"}, content=bomb)
    assert answer.status_code == 413


async def test_gzip_of_several_members_is_read():
    intake = KeepingIntake()
    body = traces({"id": 1}).SerializeToString()
    packed = gzip.compress(body[:20]) + gzip.compress(body[20:])
    async with _posting(intake) as client:
        answer = await client.post("/v1/traces", headers={**PROTOBUF, "Content-Encoding": "gzip"}, content=packed)
    assert answer.status_code == 200
    assert len(intake.events()) == 1


async def test_what_is_left_out_is_told_in_the_form_of_the_request():
    request = traces({"id": 1})
    request.resource_spans[0].scope_spans[0].spans[0].span_id = b""
    async with _posting(KeepingIntake()) as client:
        answer = await client.post("/v1/traces", headers=PROTOBUF, content=request.SerializeToString())
        told = await client.post("/v1/traces", headers=JSON, content=json.dumps(_json_request(spanId="")))
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (partial.rejected_spans, "span id" in partial.error_message) == (1, True)
    assert told.json()["partialSuccess"]["rejectedSpans"] == "1"


async def test_the_json_form_is_read_by_the_rules_of_otlp():
    intake = KeepingIntake()
    async with _posting(intake) as client:
        answer = await client.post("/v1/traces", headers=JSON, content=json.dumps(_json_request()))
    assert (answer.status_code, answer.json()) == (200, {})
    ((good, valid, duration, weight, attributes),) = intake.events()
    assert (good, valid, duration, weight) == (False, False, 5.0, 1)
    assert attributes == {"db.system.name": "postgresql", "db.namespace": "app"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "SPAN_KIND_CLIENT"}, "kind"),  # enums are numbers only
        ({"traceId": "AQEBAQEBAQEBAQEBAQEBAQ=="}, "hex"),  # base64, as Python's json_format writes it
        ({"spanId": "EEE19B7EC3C1"}, "6 bytes instead of 8"),
        ({"startTimeUnixNano": "yesterday"}, "start_time_unix_nano"),
        ({"endTimeUnixNano": "9" * 23}, "range"),
    ],
)
async def test_json_that_is_not_otlp_is_refused_with_the_reason(changes, says):
    async with _posting(KeepingIntake()) as client:
        answer = await client.post("/v1/traces", headers=JSON, content=json.dumps(_json_request(**changes)))
    assert answer.status_code == 400
    assert says in answer.json()["message"]


async def test_json_nested_beyond_reason_is_refused():
    async with _posting(KeepingIntake()) as client:
        answer = await client.post("/v1/traces", headers=JSON, content=b'{"unknown":' + b"[" * 200_000)
    assert answer.status_code == 400


def _json_request(**changes: object) -> dict[str, object]:
    end = now_nano()
    span = {
        "traceId": "5B8EFFF798038103D269B633813FC60C",
        "spanId": "EEE19B7EC3C1B174",
        "name": "INSERT",
        "kind": 3,
        "startTimeUnixNano": str(end - 5_000_000),
        "endTimeUnixNano": end,  # a number is as good
        "attributes": [
            {"key": "db.system", "value": {"stringValue": "postgresql"}},
            {"key": "db.name", "value": {"stringValue": "app"}},
            {"key": "db.response.status_code", "value": {"stringValue": "23505"}},
            {"key": "list", "value": {"arrayValue": {"values": []}}},
        ],
        "status": {"code": 2, "message": "duplicate key"},
        "unknownField": {"of": "a later version"},
        **changes,
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {"name": "s"}, "spans": [span]}]}]}


@settings(max_examples=80, deadline=None)
@given(body=st.binary(max_size=300), is_json=st.booleans(), signal=st.sampled_from(["traces", "metrics"]))
def test_any_bytes_are_answered(body, is_json, signal):
    async def post() -> int:
        async with _posting(KeepingIntake()) as client:
            return (await client.post(f"/v1/{signal}", headers=JSON if is_json else PROTOBUF, content=body)).status_code

    assert asyncio.run(post()) in (200, 400)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_damaged_request_is_answered(data):
    body = bytearray(traces({"id": 1}, {"id": 2, "failed": True}).SerializeToString())
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))

    async def post() -> int:
        async with _posting(KeepingIntake()) as client:
            return (await client.post("/v1/traces", headers=PROTOBUF, content=bytes(body))).status_code

    assert asyncio.run(post()) in (200, 400)
