"""Events on their whole way: a producer by the command line, events over HTTP and OTLP, numbers by the commands."""

import json
import signal
import time

import httpx
import pytest
from plane_kit import configuration, run, unreachable, until

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port

SLOS = [
    {
        "name": "checkout",
        "selector": {"environment": "default"},
        "sli": {"kind": "events", "match": {"service.name": "checkout"}, "good": "latency", "threshold": "100ms"},
        "target": "99.9%",
        "window": {"rolling": "30d"},
    },
    {
        "name": "tenants",
        "selector": {"environment": "default"},
        "sli": {"kind": "events", "group_by": "tenant"},
        "target": "99%",
        "window": {"rolling": "7d"},
    },
]


def span(code: int, *, started_ns: int, seconds: float) -> dict:
    attributes = [{"key": "db.system.name", "value": {"stringValue": "postgresql"}}]
    return {
        "traceId": f"{code + 1:032x}",
        "spanId": f"{code + 1:016x}",
        "name": "SELECT",
        "kind": 3,
        "startTimeUnixNano": str(started_ns),
        "endTimeUnixNano": str(started_ns + int(seconds * 1e9)),
        "attributes": attributes,
        "status": {"code": code},
    }


def resource(*spans: dict) -> dict:
    service = [{"key": "service.name", "value": {"stringValue": "checkout"}}]
    return {"resourceSpans": [{"resource": {"attributes": service}, "scopeSpans": [{"spans": list(spans)}]}]}


async def report(plane: ControlPlaneProcess, *command: str) -> dict:
    ended = await run(*plane.command(*command, "-o", "json"))
    assert ended.code == 0, ended.errors
    return json.loads(ended.output)


@pytest.mark.slow
async def test_events_reach_their_slos_and_survive_a_restart(tmp_path):
    port, now_ms = choose_port(), int(time.time() * 1000)
    document = configuration([unreachable("orders", choose_port())], directory=tmp_path)
    document |= {"slos": [*document["slos"], *SLOS], "ingest": {"listen": f"127.0.0.1:{port}"}}
    plane = ControlPlaneProcess(tmp_path, document)
    await plane.start()
    try:
        token = (await report(plane, "ingest", "producer", "add", "checkout"))["item"]["token"]
        headers = {"authorization": f"Bearer {token}"}
        events = {"ts": [now_ms] * 4, "slo": ["checkout@orders"] * 3 + ["tenants@orders/t1"], "ms": [5, 250, 5, 5]}
        async with httpx.AsyncClient(timeout=20, headers=headers) as client:
            for base, stream in ((plane.url, "one"), (f"http://127.0.0.1:{port}", "two")):
                numbered = {"dbre-stream": stream, "dbre-sequence": "1"}
                for is_duplicate in (False, True):
                    answer = await client.post(f"{base}/ingest/v1/events", json=events, headers=numbered)
                    assert answer.status_code == 200, answer.text
                    assert answer.json()["duplicate"] is is_duplicate
            spans = resource(span(0, started_ns=now_ms * 10**6, seconds=0.01), span(2, started_ns=now_ms * 10**6, seconds=0.01))
            answer = await client.post(f"{plane.url}/v1/traces", json=spans)
            assert answer.status_code == 200, answer.text
            refused = await client.get(f"{plane.url}/api/v1/slos")
            assert refused.status_code in (401, 403)  # a producer may send events, and nothing else
        await until(lambda: counted(plane, good=5, bad=3), what="2 x (2 good, 1 bad), and a span of each kind")
        await plane.stop(signal.SIGKILL)
        await plane.start()
        await until(lambda: counted(plane, good=5, bad=3), what="the same after a kill")
        async with plane.client() as client:
            parts = (await client.get("/readyz")).json()
        assert "ingest" in str(parts)
        status = (await report(plane, "ingest", "status"))["item"]
        assert status["quarantined_segments"] == 0
        await until(lambda: latencies(plane), what="histograms in the store")
        assert (await report(plane, "ingest", "producer", "list"))["items"][0]["status"] == "valid"
        assert (await report(plane, "ingest", "producer", "revoke", "checkout"))["item"]["status"] == "revoked"
    finally:
        await plane.stop(signal.SIGKILL)


async def counted(plane: ControlPlaneProcess, *, good: int, bad: int) -> bool:
    ended = await run(*plane.command("slo", "list", "-o", "json"))
    found = {one["id"]: one for one in json.loads(ended.output)["items"]}
    one = found["checkout@orders"]
    return (one["good"], one["bad"]) == (good, bad) and "tenants@orders/t1" in found


async def latencies(plane: ControlPlaneProcess) -> bool:
    ended = await run(*plane.command("slo", "latency", "checkout@orders", "--below", "100ms", "-o", "json"))
    return ended.code == 0 and [one["what"] for one in json.loads(ended.output)["items"]][-1] == "<= 100ms"
