"""What the control plane says of itself: spans at a collector, ids in logs, metrics for dashboards."""

import asyncio
import gzip
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from plane_kit import cluster, configuration, fired, metric, new_secret, unreachable, until
from prometheus_client.parser import text_string_to_metric_families

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.demo.pager import Pager
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.timeout(180)
UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


class Collector(ThreadingHTTPServer):
    """Takes OTLP traces."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str) -> list[dict]:
        """Attributes, trace and parent of the spans of that name."""
        return [
            {one.key: one.value.string_value or one.value.int_value for one in span.attributes}
            | {"trace": span.trace_id.hex(), "parent": span.parent_span_id.hex(), "id": span.span_id.hex()}
            for span in self.spans
            if span.name == name
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        request = ExportTraceServiceRequest.FromString(body)
        self.server.spans += [span for one in request.resource_spans for scope in one.scope_spans for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def observed(
    postgres18: PostgresServer, collector: Collector, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ControlPlaneProcess]:
    """A control plane that sends traces, with a database that is well, one that is not, and a page that was delivered."""
    directory = tmp_path_factory.mktemp("observed")
    with Pager(new_secret()) as pager:
        clusters = [cluster(directory, postgres18), unreachable("gone", choose_port())]
        document = configuration(clusters, pager=pager, directory=directory)
        document["telemetry"] = {"otlp_endpoint": collector.url, "log_level": "info"}
        plane = ControlPlaneProcess(directory, document)
        await plane.start()
        await until(lambda: fired(pager), what=plane.log_tail())
        await until(lambda: metric(plane, 'dbre_slo_alert_firing{cluster="gone",rule="fast",slo="writes"}'))
        yield plane
        await plane.stop()


async def test_spans_of_requests_evaluations_deliveries_and_writes_arrive(
    observed: ControlPlaneProcess, collector: Collector
) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with observed.client() as client:
        await client.get("/api/v1/slos/writes/gone", headers={"X-Request-ID": "ticket-17", "traceparent": traceparent})
        await client.get("/api/v1/nothing/here")
    found = await until(lambda: collector.named("GET /api/v1/slos/{name}/{cluster}"), seconds=20)
    assert len(found) == 1, found
    span = found[0]
    assert span["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert span["parent"] == "b7ad6b7169203331"
    assert span["request_id"] == "ticket-17"
    assert span["http.response.status_code"] == 200
    assert await until(lambda: collector.named("GET none"))
    assert collector.named("slo.evaluate")[0]["slo.instances"] == 2
    assert collector.named("store.write")
    delivered = [one for one in collector.named("event.deliver") if one["outcome"] == "delivered"]
    assert ("webhook:pager", "slo.alert_fired") in [(one["subscription"], one["event_kind"]) for one in delivered]


@pytest.mark.parametrize("sane", ["ticket-17", "0af7651916cd43dd", "a" * 128, "a/b:c=+"])
async def test_a_sane_request_id_is_kept_and_returned(observed: ControlPlaneProcess, sane: str) -> None:
    async with observed.client() as client:
        for path in ("/healthz", "/api/v1/slos", "/nowhere", "/static/style.css"):
            assert (await client.get(path, headers={"X-Request-ID": sane})).headers["x-request-id"] == sane


@pytest.mark.parametrize("odd", ["", "a" * 129, 'x"y', "<script>", "a b", "-", b"\x1b[2J", "ä".encode()])
async def test_any_other_request_id_is_replaced(observed: ControlPlaneProcess, odd: str | bytes) -> None:
    async with observed.client(authenticated=False) as client:
        answer = await client.get("/api/v1/slos", headers=[(b"X-Request-ID", odd if isinstance(odd, bytes) else odd.encode())])
    assert answer.status_code == 401
    assert UUID7.fullmatch(answer.headers["x-request-id"])


async def test_deliveries_are_logged_with_the_id_of_their_event(observed: ControlPlaneProcess) -> None:
    lines = [json.loads(line) for line in observed.log_file.read_text().splitlines() if line.startswith("{")]
    (delivered, *_) = [line for line in lines if line["event"] == "webhook_delivered"]
    assert UUID7.fullmatch(delivered["event_id"])
    assert delivered["subscription"] == "webhook:pager"
    assert re.fullmatch(r"[0-9a-f]{32}", delivered["trace_id"])


async def test_metrics_show_slos_requests_deliveries_and_the_store(observed: ControlPlaneProcess) -> None:
    async with observed.client() as client:
        for path in (
            "/nowhere/1",
            "/nowhere/2",
            "/api/v1/clusters/a",
            "/api/v1/clusters/b",
            "/static/style.css",
            "/login",
            "/",
        ):
            await client.get(path)
        await client.request("BREW", "/nowhere")
        await asyncio.sleep(6)  # the process is read every five seconds
        text = (await client.get("/metrics")).text
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        return samples[(name, *sorted(labels.items()))]

    gone, orders = {"slo": "writes", "cluster": "gone"}, {"slo": "writes", "cluster": "orders"}
    assert value("dbre_slo_objective_ratio", **gone) == 0.999
    assert value("dbre_slo_budget_remaining_ratio", **gone) < value("dbre_slo_budget_remaining_ratio", **orders) <= 1
    assert value("dbre_slo_burn_rate", window="1m", **gone) == pytest.approx(1000)
    assert value("dbre_slo_alert_firing", rule="fast", **gone) == 1
    assert value("dbre_slo_alert_firing", rule="fast", **orders) == 0
    assert value("dbre_slo_good_total", **orders) > 0
    assert value("dbre_slo_bad_total", **orders) < value("dbre_slo_good_total", **orders)
    assert value("dbre_slo_bad_total", **gone) > 0
    assert value("dbre_slo_evaluation_seconds_count") > 0
    assert value("dbre_slo_lost_events_total") == 0
    assert value("dbre_events_lost_total") == 0
    assert value("dbre_event_delivery_attempts_total", subscription="webhook:pager", outcome="delivered") == 1
    assert value("dbre_event_deliveries", subscription="webhook:pager", state="dead") == 0
    assert value("dbre_operations", state="queued", held="false") == 0
    assert value("dbre_store_write_seconds_count", outcome="committed") > 0
    assert value("dbre_http_requests_total", method="GET", route="none", status="4xx") >= 2
    assert value("dbre_http_requests_total", method="other", route="none", status="4xx") == 1
    assert value("dbre_http_requests_total", method="GET", route="/api/v1/clusters/{name}", status="4xx") == 2
    assert value("dbre_http_request_seconds_count", route="/api/v1/clusters/{name}") == 2
    routes = {dict(key[1:])["route"] for key in samples if key[0] == "dbre_http_requests_total"}
    assert routes <= {"none", "/", "/login", "/static", "/metrics", "/readyz", "/healthz", "/api/v1/slos"} | {
        "/api/v1/clusters/{name}",
        "/api/v1/slos/{name}/{cluster}",
    }
    slo_labels = {label for key in samples if key[0].startswith("dbre_slo_") for label, _ in key[1:]}
    assert slo_labels == {"slo", "cluster", "window", "rule", "le"}
