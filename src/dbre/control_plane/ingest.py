"""Taking in events of real traffic: wired where an SLO counts them."""

import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import structlog
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from dbre.capabilities.slo import Definition, SloEngine
from dbre.capabilities.slo.ingest.asgi import ingest_app
from dbre.capabilities.slo.ingest.documents import INGEST
from dbre.capabilities.slo.ingest.intake import Intake
from dbre.capabilities.slo.ingest.latency_store import LatencyStore
from dbre.capabilities.slo.ingest.matching import Matcher
from dbre.capabilities.slo.ingest.metrics import IngestMetrics
from dbre.capabilities.slo.ingest.otlp.asgi import otlp_app
from dbre.capabilities.slo.ingest.otlp.receiver import OtlpReceiver
from dbre.capabilities.slo.ingest.place import log_directory
from dbre.capabilities.slo.ingest.producers import Admission
from dbre.capabilities.slo.ingest.streams import STREAMS, StreamReading, stream_reading
from dbre.capabilities.slo.ingest.streams.metrics import StreamMetrics
from dbre.capabilities.slo.sources import SourceKind
from dbre.control_plane.web_server import bind, run_server
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.fleet import Address, Fleet
from dbre.core.store import Store
from dbre.core.telemetry import Metrics
from dbre.web.services import Readiness

__all__ = ["PlaneIngest"]

_log = structlog.get_logger(__name__)

_CONNECTIONS = 1_000
_KEEP_ALIVE_SECONDS = 60  # producers send every few seconds: they need not connect anew each time


class PlaneIngest:
    """The intake, its HTTP applications, and what of it runs; nothing where no SLO counts events."""

    def __init__(
        self,
        config: Config,
        definitions: Sequence[Definition],
        fleet: Fleet,
        *,
        store: Store,
        clock: Clock,
        sink: SloEngine,
        metrics: Metrics,
    ) -> None:
        self.intake: Intake | None = None
        self.app: ASGIApp | None = None
        self._document = config.get(INGEST)
        self._streams: list[StreamReading] = []
        if not any(one.sli.source.kind is SourceKind.EVENTS for one in definitions):
            if unread := [one.name for one in config.get(STREAMS)]:
                hint = "add an SLO with sli: {kind: events}, or remove the section streams"
                _log.warning("streams_not_read", streams=unread, reason="no SLO counts events", hint=hint)
            return
        matcher = Matcher(definitions, fleet)
        directory: Path = log_directory(self._document, store.address, config_directory=config.directory)
        latencies = LatencyStore(store, clock, max_groups=matcher.max_groups)
        self.intake = Intake(directory, matcher=matcher, sink=sink, latencies=latencies, clock=clock)
        admission = Admission(store, clock)
        events = ingest_app(self.intake, admission.admit)
        receiver = OtlpReceiver(self.intake, names_wanted=lambda: matcher.attribute_names, clock=clock)
        self.app = _by_path(events, otlp_app(receiver, admission.admit))
        IngestMetrics(metrics, self.intake)
        streams = config.get(STREAMS)
        self._streams = stream_reading(streams, intake=self.intake, sink=sink, store=store, clock=clock)
        StreamMetrics(metrics, self._streams)

    def readiness(self, others: Callable[[], Awaitable[Sequence[Readiness]]]) -> Callable[[], Awaitable[Sequence[Readiness]]]:
        """What ``others`` say, and whether events are taken in."""
        intake = self.intake
        if intake is None:
            return others

        async def look() -> Sequence[Readiness]:
            health = intake.health
            detail = health.problem or f"{health.events} events, {health.queued_bytes} bytes wait for the disk"
            return [*await others(), Readiness(part="ingest", is_ready=health.is_ready, detail=detail)]

        return look

    def parts(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """What runs until it is told to stop."""
        if self.intake is None or self.app is None:
            return {}
        parts: dict[str, Callable[[], Awaitable[None]]] = {"ingest": self.intake.run}
        parts |= {f"stream-{one.name}": one.run for one in self._streams}
        if self._document.listen is not None:
            address = Address.parse(self._document.listen, default_port=8433)
            listener, app = bind(address.host, address.port, key="ingest.listen"), self.app
            parts["ingest-web"] = lambda: _serve(app, listener)
        return parts


def _by_path(events: ASGIApp, otlp: ASGIApp) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (otlp if scope["path"].startswith("/v1/") else events)(scope, receive, send)

    return app


async def _serve(app: ASGIApp, listener: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        http="httptools",  # four times as fast as h11, and nothing but producers comes here
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        limit_concurrency=_CONNECTIONS,
        lifespan="off",
    )
    await run_server(config, listener)
