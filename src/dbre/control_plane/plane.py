"""What the control plane is made of, and how its parts are wired."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbre import __version__
from dbre.assembly import Ground, StoredReportSources, assemble, chaos_ground, schedules_of_installation, slo_snapshots
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.ha.kept_nodes import KeptNodes
from dbre.capabilities.incident import RECEIVERS, webhook_subscriptions
from dbre.capabilities.incident.delivery.wiring import Telling, telling
from dbre.capabilities.observe import EXPORTER, PROBE, Exporter, Prober
from dbre.capabilities.report.documents import REPORT
from dbre.capabilities.report.reading import Reports
from dbre.capabilities.slo import ALERTING, SloEngine, SloMetrics, watched_definitions
from dbre.capabilities.slo.composite_documents import SLO_COMPOSITES, composites_from
from dbre.capabilities.slo.corrections.automatic import AutomaticCorrections
from dbre.capabilities.slo.corrections.documents import SLO_CORRECTIONS
from dbre.capabilities.slo.polling.run import Polling, SourceGround
from dbre.capabilities.slo.recent_statuses import live_statuses
from dbre.capabilities.stack.checker import StackChecker
from dbre.control_plane.backups import PlaneBackups
from dbre.control_plane.chaos import finish_reports, heal_leftovers
from dbre.control_plane.failovers import PlaneFailovers
from dbre.control_plane.incidents import incident_parts, incident_services, slack_receiver
from dbre.control_plane.ingest import PlaneIngest
from dbre.control_plane.operations import PlaneOperations
from dbre.control_plane.parts import run_parts, stop_signals, until_told
from dbre.control_plane.preflight import check_engines, check_secrets, warn_of_definitions, warn_of_store
from dbre.control_plane.readiness import find_trouble, readiness
from dbre.control_plane.stack import stack_checker
from dbre.control_plane.topology import drill_looks, topology_looks
from dbre.control_plane.web_server import address_of, listen, serve
from dbre.core.audit.checkpointer import Checkpointer
from dbre.core.audit.document import AUDIT
from dbre.core.audit.keys import signing_key
from dbre.core.audit.log import AuditLog
from dbre.core.events import EventBuffer, EventDelivery, EventLog, EventMetrics, Subscription
from dbre.core.gates.document import GATES
from dbre.core.identity.document import ACCESS, access_from
from dbre.core.operation.document import OPERATIONS
from dbre.core.progress import report
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.core.store.address import SqliteAddress
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.telemetry import TELEMETRY, Metrics, configure_logging, exporting
from dbre.core.text import counted, printable
from dbre.web.attention import Attention
from dbre.web.document import SERVER
from dbre.web.identity import Gatekeeper, load_or_create_token
from dbre.web.login_audit import LoginAudit
from dbre.web.oidc import LoginProvider
from dbre.web.services import BackupServices, People, Services
from dbre.web.stream_limit import StreamLimit
from dbre.web.tracking import RequestMetrics

if TYPE_CHECKING:
    from dbre.app import Application

__all__ = ["ControlPlane"]

_SECRETS_SECONDS = 2.0  # how long the start waits for passwords that programs fetch; after that, watching begins without them
_STORE_WRITE_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class ControlPlane:
    """Everything that runs until it is told to stop; a part that fails ends the whole, so that the init system restarts it."""

    def __init__(self, application: "Application") -> None:
        self._application = application
        self._config = application.config
        self._fleet = application.fleet
        self._clock = application.clock
        self._document = self._config.get(SERVER)
        self._definitions = watched_definitions(self._config)
        self._receivers = self._config.get(RECEIVERS)
        self._metrics = Metrics(version=__version__)

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT.

        Raises: Unsupported for a missing driver; Conflict if the port or the store is taken; any StoreError of opening.
        """
        telemetry = self._config.get(TELEMETRY)
        configure_logging(self._application.asked_log_level or telemetry.log_level)
        check_engines(self._fleet, self._application.engines)
        with stop_signals() as told, exporting(telemetry, version=__version__):
            await until_told(told, self._work())

    async def _work(self) -> None:
        with contextlib.closing(listen(self._document)) as listener:
            nodes = KeptNodes(self._application.engines, self._fleet, self._clock)
            async with self._application.open_store(exclusive=True) as store, self._secrets(), nodes:
                warn_of_store(store)
                warn_of_definitions(self._definitions, self._fleet, self._config.get(PROBE))
                await self._run_with(store, listener, nodes)

    @contextlib.asynccontextmanager
    async def _secrets(self) -> AsyncIterator[None]:
        """Passwords are fetched before watching begins, or, where a program is slow, beside it."""
        checking = asyncio.ensure_future(check_secrets(self._fleet, self._receivers))
        try:
            await asyncio.wait({checking}, timeout=_SECRETS_SECONDS)
            yield
        finally:
            checking.cancel()

    async def _run_with(self, store: Store, listener: socket.socket, nodes: KeptNodes) -> None:
        log = EventLog(self._clock)
        events = EventBuffer(store, log, self._clock)
        slo = self._slo_engine(store, log)
        exporter = self._exporter()
        prober = Prober(
            fleet=self._fleet,
            engines=self._application.engines,
            clock=self._clock,
            settings=self._config.get(PROBE),
            sink=slo.record,
            events=events.put,
            metrics=exporter.probe_metrics,
        )
        incidents = incident_parts(
            self._config, self._fleet, self._application.engines, store, self._clock, metrics=self._metrics
        )
        receiving = [*webhook_subscriptions(self._receivers, clock=self._clock), *incidents.subscriptions]
        people = self._people(store, lambda: find_trouble(store, slo, prober))
        receiving += [*self._corrections(store), *people.subscriptions]
        event_metrics = EventMetrics(self._metrics, buffer=events, subscriptions=[one.name for one in receiving])
        delivery = EventDelivery(store, receiving, self._clock, metrics=event_metrics)
        slo_metrics = SloMetrics(self._metrics, slo)
        ground = SourceGround(
            fleet=self._fleet, engines=self._application.engines, sink=slo, clock=self._clock, metrics=self._metrics
        )
        polling = Polling(self._config, self._definitions, ground)
        stack = stack_checker(self._config, self._definitions, ground, events=events)
        ingest = PlaneIngest(
            self._config, self._definitions, self._fleet, store=store, clock=self._clock, sink=slo, metrics=self._metrics
        )
        self._observe(store)
        operations = await self._operations(store, slo)
        backups = PlaneBackups(
            self._config, self._definitions, ground, store=store, metrics=self._metrics, desk=operations.desk
        )
        failovers = PlaneFailovers(
            self._config, self._fleet, ground.engines, self._clock, store=store, desk=operations.desk, tell=events.put
        )
        chaos = chaos_ground(
            self._config, self._fleet, ground.engines, self._clock, statuses=live_statuses(slo, self._clock), store=store
        )
        services = await self._services(
            store,
            slo=slo,
            prober=prober,
            exporter=exporter,
            operations=operations,
            people=people,
            stack=stack,
            backups=backups.services(),
            chaos=chaos,
            nodes=nodes,
        )
        services = replace(services, ingest=ingest.app, readiness=ingest.readiness(services.readiness))
        evaluation_interval = self._config.get(ALERTING).evaluation_interval
        parts = {
            "events": events.run,
            "slo": slo.run,
            "exporter": exporter.run,
            "prober": prober.run,
            "polling": polling.run,
            "stack": stack.run,
            "delivery": delivery.run,
            "event-metrics": lambda: event_metrics.run(store, self._clock),
            "slo-metrics": lambda: slo_metrics.run(self._clock, evaluation_interval),
            "lock": lambda: _end_when_lost(store),
            "web": lambda: serve(services, listener),
            **ingest.parts(),
            **incidents.parts,
            **people.parts,
            **backups.parts(),
            **failovers.parts(),
            "chaos-leftovers": lambda: heal_leftovers(chaos),
            "chaos-reports": lambda: finish_reports(chaos, store),
            **operations.parts(),
        }
        identity = {"version": __version__, "pid": os.getpid()}
        events.put("control_plane.started", "control-plane", identity)
        self._say_where(listener, store)
        try:
            await run_parts(parts)
        finally:
            events.put("control_plane.stopped", "control-plane", identity)
            await events.write_waiting()

    def _exporter(self) -> Exporter:
        return Exporter(
            fleet=self._fleet,
            engines=self._application.engines,
            clock=self._clock,
            settings=self._config.get(EXPORTER),
            registries=[self._metrics.registry],
        )

    def _slo_engine(self, store: Store, log: EventLog) -> SloEngine:
        return SloEngine(
            store,
            self._definitions,
            fleet=self._fleet,
            probe_interval=self._config.get(PROBE).interval,
            clock=self._clock,
            events=log,
            alerting=self._config.get(ALERTING),
        )

    def _people(self, store: Store, ask: Callable[[], Awaitable[str | None]]) -> Telling:
        return telling(self._config, store=store, fleet=self._fleet, clock=self._clock, find_trouble=ask)

    def _corrections(self, store: Store) -> Sequence[Subscription]:
        settings = self._config.get(SLO_CORRECTIONS)
        return AutomaticCorrections(store, self._definitions, self._fleet, self._clock, settings=settings).subscriptions

    async def _operations(self, store: Store, slo: SloEngine) -> PlaneOperations:
        settings = self._config.get(OPERATIONS)
        engines = self._application.engines
        ground = Ground(config=self._config, fleet=self._fleet, engines=engines, clock=self._clock, store=store)
        broker = settings.carried_by
        password = await broker.password.resolve() if broker and broker.password else None
        return PlaneOperations(
            assemble(ground, statuses=live_statuses(slo, self._clock)),
            settings,
            schedules=schedules_of_installation(self._config, self._fleet),
            checkpointer=await self._checkpointer(store),
            metrics=self._metrics,
            broker_password=password,
        )

    async def _checkpointer(self, store: Store) -> Checkpointer:
        document = self._config.get(AUDIT)
        key = await signing_key(document, store, directory=self._config.directory, create=True)
        assert key is not None  # noqa: S101 - it was to be made
        interval = document.checkpoint_interval.total_seconds()
        return Checkpointer(store, key, self._clock, interval_seconds=interval, witness=document.witness)

    async def _services(
        self,
        store: Store,
        *,
        slo: SloEngine,
        prober: Prober,
        exporter: Exporter,
        operations: PlaneOperations,
        people: Telling,
        stack: StackChecker,
        backups: BackupServices,
        chaos: ChaosGround,
        nodes: KeptNodes,
    ) -> Services:
        engines = self._application.engines
        sweeps, switchovers = topology_looks(self._config, self._fleet, engines, self._clock, store, nodes)
        return Services(
            clock=self._clock,
            fleet=self._fleet,
            store=store,
            engines=self._application.engines,
            definitions=self._definitions,
            gatekeeper=await self._gatekeeper(store),
            desk=operations.desk,
            operations=operations.services(self._config.get(GATES)),
            audit=operations.audit_services(),
            attention=Attention(store, self._fleet, self._clock),
            streams=StreamLimit(),
            document=self._document,
            endpoints=lambda: prober.states,
            slo_snapshots=slo_snapshots(self._config, self._fleet, self._clock, store),
            slo_status=slo.status,
            readiness=lambda: readiness(store, slo, prober),
            metrics=exporter.render,
            request_metrics=RequestMetrics(self._metrics),
            people=People(
                directory=people.directory,
                alertmanager=people.receiver,
                slack=slack_receiver(self._config, self._fleet, store, self._clock, desk=operations.desk),
            ),
            incidents=incident_services(self._config, self._fleet, store, self._clock),
            stack=lambda: stack.results,
            backups=backups,
            chaos=chaos,
            sweeps=sweeps,
            switchovers=switchovers,
            drills=drill_looks(self._config, self._clock, store),
            composites=composites_from(self._config.get(SLO_COMPOSITES)),
            reports=Reports(store, StoredReportSources(self._config, self._fleet, store), self._config.get(REPORT)),
        )

    def _observe(self, store: Store) -> None:
        seconds = self._metrics.histogram(
            "store_write_seconds",
            "Write transactions of the state store, from asking for the lock to the commit.",
            ["outcome"],
            buckets=_STORE_WRITE_BOUNDS,
        )
        store.write_observer = lambda outcome, elapsed: seconds.labels(outcome).observe(elapsed)

    async def _gatekeeper(self, store: Store) -> Gatekeeper:
        document = self._config.get(ACCESS)
        access = access_from(document)
        return Gatekeeper(
            await self._token(store),
            self._clock,
            access=access,
            audit=LoginAudit(recorder=AuditLog(self._clock), store=store, clock=self._clock),
            provider=LoginProvider(document.oidc, access, self._clock) if document.oidc else None,
        )

    async def _token(self, store: Store) -> Secret | None:
        if self._document.token is not None:
            return await self._document.token.resolve()
        if self._has_identities():
            return None
        return await asyncio.to_thread(load_or_create_token, self._token_file(store))

    def _has_identities(self) -> bool:
        return not access_from(self._config.get(ACCESS)).is_embedded

    def _token_file(self, store: Store) -> Path:
        directory = store.address.path.parent if isinstance(store.address, SqliteAddress) else self._config.directory
        return directory / "dbre.token"

    def _say_where(self, listener: socket.socket, store: Store) -> None:
        count = len(self._fleet.clusters)
        report(f"control plane on {address_of(listener)} with {counted(count, 'cluster')}; state in {store.address}")
        origin = self._document.token or self._token_file(store)
        how = "your token (dbre identity list)" if self._has_identities() else f"the token from {printable(str(origin))}"
        report(f"log in with {how}; stop with Ctrl-C or SIGTERM")


async def _end_when_lost(store: Store) -> None:
    await store.control_plane_lost()
    raise ControlPlaneLockLost(
        f"the lock on {store.address} is lost: another control plane may have taken over",
        hint="start this one again; it takes the lock or says who has it",
    )
