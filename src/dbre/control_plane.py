"""The control plane: prober, exporter, SLO engine, event delivery and web server in one process, wired here."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvicorn

from dbre import __version__
from dbre.capabilities.incident import RECEIVERS, webhook_subscriptions
from dbre.capabilities.observe import EXPORTER, PROBE, Exporter, Prober
from dbre.capabilities.slo import ALERTING, SLOS, SloEngine, definitions_from
from dbre.core.errors import Conflict, DbreError, StoreError, UsageError
from dbre.core.events import EventBuffer, EventDelivery, EventLog, recent
from dbre.core.progress import report
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.core.store.address import SqliteAddress
from dbre.core.telemetry import TELEMETRY, Metrics, configure_logging, exporting
from dbre.core.text import printable
from dbre.web.application import create_app
from dbre.web.document import SERVER, ServerDocument
from dbre.web.identity import Gatekeeper, load_or_create_token
from dbre.web.services import Readiness, Services

if TYPE_CHECKING:
    from dbre.app import Application

__all__ = ["ControlPlane"]

_log = structlog.get_logger(__name__)
_STORE_ANSWER_SECONDS = 2.0


class ControlPlaneLost(DbreError):
    """Another process took the store over; this one must not write any more."""

    code = "control_plane.lost"


class ControlPlane:
    """Everything that runs until it is told to stop; a part that fails ends the whole, so that the init system restarts it."""

    def __init__(self, application: "Application") -> None:
        self._application = application
        self._config = application.config
        self._fleet = application.fleet
        self._clock = application.clock
        self._document = self._config.get(SERVER)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises: Conflict if the port or the store is taken; any StoreError of opening."""
        telemetry = self._config.get(TELEMETRY)
        configure_logging(telemetry.log_level)
        with exporting(telemetry, version=__version__), contextlib.closing(_listen(self._document)) as listener:
            async with self._application.open_store(exclusive=True) as store:
                await self._run_with(store, listener)

    async def _run_with(self, store: Store, listener: socket.socket) -> None:
        for warning in store.warnings:
            report(warning)
        log = EventLog(self._clock)
        events = EventBuffer(store, log, self._clock)
        slo = self._slo_engine(store, log)
        exporter = Exporter(
            fleet=self._fleet,
            engines=self._application.engines,
            clock=self._clock,
            settings=self._config.get(EXPORTER),
            registries=[Metrics(version=__version__).registry],
        )
        prober = Prober(
            fleet=self._fleet,
            engines=self._application.engines,
            clock=self._clock,
            settings=self._config.get(PROBE),
            sink=slo.record,
            events=events.put,
            metrics=exporter.probe_metrics,
        )
        delivery = EventDelivery(store, webhook_subscriptions(self._config.get(RECEIVERS), clock=self._clock), self._clock)
        services = Services(
            clock=self._clock,
            fleet=self._fleet,
            store=store,
            engines=self._application.engines,
            definitions=definitions_from(self._config.get(SLOS)),
            gatekeeper=Gatekeeper(await self._token(store), self._clock),
            document=self._document,
            endpoints=lambda: prober.states,
            slo_status=slo.status,
            readiness=lambda: _readiness(store, slo, prober),
            metrics=exporter.render,
        )
        parts = {
            "events": events.run,
            "slo": slo.run,
            "exporter": exporter.run,
            "prober": prober.run,
            "delivery": delivery.run,
            "lock": lambda: _end_when_lost(store),
            "web": lambda: _serve(services, listener),
        }
        events.put("control_plane.started", "control-plane", {"version": __version__, "pid": os.getpid()})
        self._say_where(listener, store)
        await _run_until_told(parts)
        events.put("control_plane.stopped", "control-plane", {"version": __version__, "pid": os.getpid()})
        await events.write_waiting()

    def _slo_engine(self, store: Store, log: EventLog) -> SloEngine:
        return SloEngine(
            store,
            definitions_from(self._config.get(SLOS)),
            fleet=self._fleet,
            probe_interval=self._config.get(PROBE).interval,
            clock=self._clock,
            events=log,
            alerting=self._config.get(ALERTING),
        )

    async def _token(self, store: Store) -> Secret:
        if self._document.token is not None:
            return await self._document.token.resolve()
        return await asyncio.to_thread(load_or_create_token, self._token_file(store))

    def _token_file(self, store: Store) -> Path:
        directory = store.address.path.parent if isinstance(store.address, SqliteAddress) else self._config.directory
        return directory / "dbre.token"

    def _say_where(self, listener: socket.socket, store: Store) -> None:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        report(f"control plane on http://{shown}:{port} with {len(self._fleet.clusters)} clusters; state in {store.address}")
        origin = self._document.token or self._token_file(store)
        report(f"log in with the token from {printable(str(origin))}; stop with Ctrl-C or SIGTERM")


async def _run_until_told(parts: Mapping[str, Callable[[], Awaitable[None]]]) -> None:
    """Run all parts at once until a signal comes, or until one fails: its error is then this function's."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for one in signals:
        loop.add_signal_handler(one, told.set)
    tasks = [asyncio.ensure_future(_named(name, run)) for name, run in parts.items()]
    waiter = asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait([waiter, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (waiter, *tasks):
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for one in signals:
            loop.remove_signal_handler(one)
    failures = [one for one in results if isinstance(one, Exception)]
    if failures:
        raise failures[0]


async def _named(name: str, run: Callable[[], Awaitable[None]]) -> None:
    try:
        await run()
    except Exception as error:
        _log.error("control_plane_part_failed", part=name, error=f"{type(error).__name__}: {error}", exc_info=error)
        raise


async def _end_when_lost(store: Store) -> None:
    await store.control_plane_lost()
    raise ControlPlaneLost(
        f"the lock on {store.address} is lost: another control plane may have taken over",
        hint="start this one again; it takes the lock or says who has it",
    )


async def _readiness(store: Store, slo: SloEngine, prober: Prober) -> Sequence[Readiness]:
    health = slo.health
    measured = [one for one in prober.states if one.last is not None]
    try:
        async with asyncio.timeout(_STORE_ANSWER_SECONDS), store.read() as connection:
            await recent(connection, limit=1)
        store_detail, store_is_ready = str(store.address), True
    except (StoreError, TimeoutError) as error:
        store_detail, store_is_ready = f"{store.address}: {error}", False
    return (
        Readiness(part="store", is_ready=store_is_ready, detail=store_detail),
        Readiness(
            part="slo",
            is_ready=health.is_started and health.store_error is None,
            detail=health.store_error or f"{health.unsaved_events} events in memory",
        ),
        Readiness(
            part="prober",
            is_ready=bool(measured) or not prober.states,
            detail=f"{len(measured)} of {len(prober.states)} endpoints measured",
        ),
    )


def _listen(document: ServerDocument) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(document.host, document.port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=128)
    except socket.gaierror as error:
        raise UsageError(f"server.host {document.host!r} is not an address of this machine: {error.strerror}") from error
    except OverflowError as error:
        raise UsageError(f"server.port {document.port} is not a port") from error
    except OSError as error:
        where = f"{document.host}:{document.port}"
        if error.errno == errno.EADDRINUSE:
            hint = "stop whoever has it (ss -ltnp), or set another: --set server.port=8433 (0 takes a free one)"
            raise Conflict(f"{where} is taken by another process", hint=hint) from error
        raise UsageError(f"cannot listen on {where}: {error.strerror}", hint="see server.host and server.port") from error
    return listener


class _Server(uvicorn.Server):
    """Leaves the signals to the control plane, which has more to close than the web server."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


async def _serve(services: Services, listener: socket.socket) -> None:
    config = uvicorn.Config(
        create_app(services),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        timeout_keep_alive=5,
        h11_max_incomplete_event_size=64 * 1024,
        limit_concurrency=500,
        lifespan="off",
    )
    server = _Server(config)
    task = asyncio.ensure_future(server.serve(sockets=[listener]))
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        server.should_exit = True
        await asyncio.wait([task], timeout=5)
        raise
