import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dbre.core.config import ConfigInvalid, load
from dbre.core.errors import ExitCode, Unsupported
from dbre.core.telemetry import TELEMETRY, TelemetryDocument, exporting

# A provider can be set once a process, so each case runs in its own.
PROGRAM = """
import io, json, sys
from dbre.core.secrets import SecretReference
from dbre.core.telemetry import TelemetryDocument, configure_logging, exporting, logger, tracer
stream = io.StringIO()
configure_logging("info", stream)
headers = {"X-Token": SecretReference.parse("env:COLLECTOR_TOKEN")}
document = TelemetryDocument(otlp_endpoint=sys.argv[1] or None, otlp_headers=headers, service_name="dbre-test")
with exporting(document, version="9.9"):
    try:
        with tracer("dbre.test").start_as_current_span("probe") as span:
            span.set_attribute("db.url", "postgresql://u:hunter2@db/shop")
            span.set_attribute("password", "hunter2")
            logger("dbre.test").info("measured")
            raise ValueError("password=hunter2")
    except ValueError:
        pass
print(stream.getvalue())
"""


class Receiver(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        import gzip

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.requests.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def run(endpoint: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, endpoint],
        env={"COLLECTOR_TOKEN": "letmein", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout + done.stderr


def test_spans_reach_the_collector_without_secrets_and_logs_name_them(receiver: Receiver) -> None:
    log = run(receiver.url)
    ((path, headers, body),) = receiver.requests
    assert (path, headers["x-token"], headers["content-type"]) == ("/v1/traces", "letmein", "application/x-protobuf")
    assert b"hunter2" not in body
    request = ExportTraceServiceRequest.FromString(body)
    (resource_spans,) = request.resource_spans
    resource = {one.key: one.value.string_value for one in resource_spans.resource.attributes}
    assert (resource["service.name"], resource["service.version"]) == ("dbre-test", "9.9")
    (span,) = resource_spans.scope_spans[0].spans
    attributes = {one.key: one.value.string_value for one in span.attributes}
    assert (span.name, attributes) == ("probe", {"db.url": "postgresql://u:***@db/shop", "password": "***"})
    assert span.events[0].name == "exception"
    assert span.status.message == "ValueError: password=***"
    assert f'"trace_id": "{span.trace_id.hex()}", "span_id": "{span.span_id.hex()}"' in log


def test_nothing_is_sent_where_no_collector_is_configured(receiver: Receiver) -> None:
    log = run("")
    assert receiver.requests == []
    assert '"event": "measured"' in log
    assert "trace_id" not in log


def test_a_collector_that_is_not_there_costs_seconds_at_most() -> None:
    assert '"event": "measured"' in run("http://127.0.0.1:9/custom/path")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("opentelemetry.exporter")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter", None)
    document = TelemetryDocument(otlp_endpoint="http://127.0.0.1:4318")
    with (
        pytest.raises(
            Unsupported, match=r"telemetry\.otlp_endpoint is set, but the Python package .* is not installed"
        ) as caught,
        exporting(document, version="1"),
    ):
        pass
    assert "pip install 'dbre[otel]'" in (caught.value.hint or "")
    assert caught.value.exit_code is ExitCode.REFUSED


@pytest.mark.parametrize(
    "url", ["collector:4318", "ftp://collector", "http://", "http://u:hunter2@collector", "http://[::1", "http://a:99999", ""]
)
def test_a_wrong_endpoint_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    path = tmp_path / "dbre.yaml"
    path.write_text(f"telemetry: {{otlp_endpoint: '{url}', log_level: loud}}")
    with pytest.raises(ConfigInvalid) as caught:
        load([path], sections=[TELEMETRY], environment={}, flags={})
    assert "hunter2" not in caught.value.message
    assert len(caught.value.problems) == 2
