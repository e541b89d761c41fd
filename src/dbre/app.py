"""The composition root: the only module that knows which engines, sections and capabilities exist."""

import gc
import importlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dbre.cli import root
from dbre.core.clock import Clock, SystemClock
from dbre.core.errors import Unsupported, UsageError
from dbre.core.text import closest

if TYPE_CHECKING:  # imported at run time only by the commands that need them
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.capabilities.chaos.ground import ChaosGround
    from dbre.capabilities.ha.clients.ground import ClientGround
    from dbre.capabilities.incident.impact import ImpactSource
    from dbre.capabilities.upgrade.ground import UpgradeGround
    from dbre.core.config import Config, Section
    from dbre.core.fleet import Fleet
    from dbre.core.gates.asking import Gates
    from dbre.core.identity.model import Principal
    from dbre.core.operation.definition import OperationRegistry
    from dbre.core.operation.desk import OperationDesk
    from dbre.core.operation.embedded import EmbeddedDesk
    from dbre.core.operation.http_desk import HttpDesk
    from dbre.core.secrets import Secret
    from dbre.core.store import Store
    from dbre.core.telemetry import LogLevel
    from dbre.ports.engine import Engine, EngineRegistry
    from dbre.ports.report_sources import ReportSources

__all__ = ["Application", "Engines", "main"]

_PATIENCE_SECONDS = 10.0  # of a command that asks the gates


@dataclass(frozen=True, slots=True)
class _EngineEntry:
    module: str
    name: str  # of the engine class
    extra: str | None  # the extra that installs its driver; None: part of the base install
    default_port: int  # known without the driver, so that any command can read any inventory


_ENGINES = {
    "mysql": _EngineEntry("dbre.engines.mysql", "MySqlEngine", "mysql", 3306),
    "postgresql": _EngineEntry("dbre.engines.postgres", "PostgresEngine", None, 5432),
    "redis": _EngineEntry("dbre.engines.redis", "RedisEngine", "redis", 6379),
}

_COLLECTED_AFTER = 50_000
"""New objects until Python looks for garbage: with its own 700 a sixth of every start, which is imports, is such looks."""


def main() -> int:
    """Run the command line of this process; what ``dbre`` and ``python -m dbre`` call."""
    gc.set_threshold(_COLLECTED_AFTER)
    return root.main(Application)


def sections() -> "Sequence[Section[Any]]":
    """Every section that ``dbre.yaml`` may have, in the order in which documentation lists them."""
    from dbre.capabilities.backup.documents import BACKUP, VAULTS
    from dbre.capabilities.backup.drilling.gate_documents import PROVEN_RESTORE_POLICIES
    from dbre.capabilities.chaos.config_document import CHAOS
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.gates.config_document import REDUNDANCY_POLICIES, REPLICA_LAG_POLICIES
    from dbre.capabilities.incident import RECEIVERS
    from dbre.capabilities.incident.channels.documents import CHANNELS
    from dbre.capabilities.incident.incidents_document import INCIDENTS
    from dbre.capabilities.incident.oncall.documents import CONTACTS, ONCALL
    from dbre.capabilities.observe import EXPORTER, PROBE
    from dbre.capabilities.report.documents import REPORT
    from dbre.capabilities.slo import ALERTING, ERROR_BUDGET_POLICIES, SLOS
    from dbre.capabilities.slo.composite_documents import SLO_COMPOSITES
    from dbre.capabilities.slo.corrections.documents import SLO_CORRECTIONS
    from dbre.capabilities.slo.ingest.documents import INGEST
    from dbre.capabilities.slo.ingest.streams.documents import STREAMS
    from dbre.capabilities.slo.polling.documents import PROMETHEUS
    from dbre.capabilities.stack.documents import STACK
    from dbre.capabilities.upgrade.config_document import UPGRADE
    from dbre.core.audit.document import AUDIT
    from dbre.core.fleet_document import FLEET
    from dbre.core.gates.document import GATES
    from dbre.core.identity.document import ACCESS
    from dbre.core.operation.client_document import CLIENT
    from dbre.core.operation.document import OPERATIONS
    from dbre.core.operation.schedule.document import SCHEDULES
    from dbre.core.store.document import STATE
    from dbre.core.telemetry import TELEMETRY
    from dbre.web.document import SERVER

    return (
        FLEET,
        PROBE,
        EXPORTER,
        SLOS,
        SLO_COMPOSITES,
        SLO_CORRECTIONS,
        INGEST,
        STREAMS,
        PROMETHEUS,
        STACK,
        ALERTING,
        ERROR_BUDGET_POLICIES,
        GATES,
        OPERATIONS,
        SCHEDULES,
        CLIENT,
        RECEIVERS,
        CHANNELS,
        CONTACTS,
        ONCALL,
        REPORT,
        INCIDENTS,
        VAULTS,
        BACKUP,
        PROVEN_RESTORE_POLICIES,
        HA,
        REPLICA_LAG_POLICIES,
        REDUNDANCY_POLICIES,
        UPGRADE,
        CHAOS,
        STATE,
        AUDIT,
        ACCESS,
        SERVER,
        TELEMETRY,
    )


class Engines:
    """The engines of this installation; a driver is imported when its engine is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Engine] = {}

    def names(self) -> Sequence[str]:
        """Names in alphabetical order, installed or not."""
        return sorted(_ENGINES)

    def get(self, name: str) -> "Engine":
        """The engine of that name. Raises: UsageError if unknown, Unsupported if its driver is not installed."""
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> "Engine":
        entry = _ENGINES.get(name)
        if entry is None:
            near = closest(name, list(_ENGINES))
            hint = f"did you mean {near}?" if near else f"known: {', '.join(self.names())}"
            raise UsageError(f"{name!r} is not an engine", hint=hint)
        try:
            module = importlib.import_module(entry.module)
        except ModuleNotFoundError as error:
            if entry.extra is None or (error.name or "").startswith("dbre"):
                raise
            raise Unsupported(
                f"engine {name} needs the Python package {error.name}, which is not installed",
                hint=f"pip install 'dbre[{entry.extra}]'",
            ) from error
        return cast("Engine", getattr(module, entry.name)())


class Application:
    """What commands find in their context (``ports.runtime.Runtime``); every part is built at its first use."""

    def __init__(self, options: root.GlobalOptions) -> None:
        self._options = options
        self.clock: Clock = SystemClock()
        self.engines: EngineRegistry = Engines()
        self.sections = sections
        self._serves = False  # whether this process is a control plane or a worker itself

    @property
    def asked_log_level(self) -> "LogLevel | None":
        """What ``-v`` or ``-vv`` ask for; None where neither was given."""
        from dbre.core.telemetry import LogLevel

        return (None, LogLevel.INFO, LogLevel.DEBUG)[min(self._options.verbosity, 2)]

    @cached_property
    def config(self) -> "Config":
        """The validated configuration. Raises: ConfigInvalid with every problem at once."""
        from dbre.core.config import load
        from dbre.core.config.locate import find_files
        from dbre.core.telemetry import LogLevel, configure_logging

        configure_logging(self.asked_log_level or LogLevel.WARNING)
        try:
            files = find_files(self._options.config_files, environment=os.environ, directory=Path.cwd())
        except FileNotFoundError as error:
            raise UsageError("the working directory does not exist any more", hint="change to one that does") from error
        return load(files, sections=sections(), environment=os.environ, flags=dict(self._options.overrides))

    @property
    def fleet(self) -> "Fleet":
        """The inventory from the configuration. Raises: UsageError where commands talk to a control plane elsewhere."""
        self._require_here("the inventory")
        return self._fleet

    @cached_property
    def _fleet(self) -> "Fleet":
        from dbre.core.fleet_document import build_fleet

        return build_fleet(self.config, default_ports={name: entry.default_port for name, entry in _ENGINES.items()})

    @cached_property
    def operations(self) -> "OperationRegistry":
        """The kinds of operation that this installation knows; for looking at, not for running."""
        from dbre.assembly import backup_ground, chaos_ground, failover_ground, kinds_of, route_ground, upgrade_ground
        from dbre.assembly_drills import drill_ground
        from dbre.capabilities.ha.disaster.building import disaster_ground
        from dbre.capabilities.ha.rejoin.building import rejoin_ground
        from dbre.capabilities.ha.switchover.building import switchover_ground

        backups = backup_ground(self.config, self._fleet, self.engines, self.clock, None)
        chaos = chaos_ground(self.config, self._fleet, self.engines, self.clock, statuses=None)
        failovers = failover_ground(self.config, self._fleet, self.engines, self.clock, None)
        return kinds_of(
            self._fleet,
            self.engines,
            self.clock,
            statuses=None,
            backups=backups,
            chaos=chaos,
            failovers=failovers,
            switchovers=switchover_ground(self.config, self._fleet, self.engines, self.clock, None),
            routes=route_ground(self.config, self._fleet, self.engines),
            rejoins=rejoin_ground(self.config, self._fleet, self.engines, self.clock, None),
            drills=drill_ground(self.config, chaos),
            disasters=disaster_ground(self.config, self._fleet, self.engines, self.clock, None),
            upgrades=upgrade_ground(self.config, self._fleet, self.engines, self.clock),
        )

    async def principal(self) -> "Principal":
        """Who runs this command. Raises: Denied where identities are configured and the token is missing or wrong."""
        async with self.open_remote() as remote:
            if remote is not None:
                return await remote.principal()
        from dbre.core.identity.document import ACCESS, access_from
        from dbre.core.identity.local import cli_principal

        return cli_principal(access_from(self.config.get(ACCESS)), await self._token(), now=self.clock.now())

    async def _token(self) -> "Secret | None":
        from dbre.core.identity.local import cli_token
        from dbre.core.operation.client_document import CLIENT

        reference = self.config.get(CLIENT).token
        given = cli_token(os.environ)
        return given if given is not None or reference is None else await reference.resolve()

    def gates(self, store: "Store") -> "Gates":
        """The gates of this installation, reading from ``store``; a person waits for the first reading of a long history."""
        from dbre.assembly import gates_of, statuses_of

        statuses = statuses_of(self.config, self.fleet, self.clock, store)
        return gates_of(
            self.config,
            self.fleet,
            self.clock,
            store,
            engines=self.engines,
            statuses=statuses,
            answer_seconds=_PATIENCE_SECONDS,
        )

    def impact(self, store: "Store") -> "ImpactSource":
        """What incidents did to users, measured from the stored slots."""
        from dbre.assembly import StoredImpact

        return StoredImpact(self.config, self.fleet, store)

    def chaos(self, store: "Store") -> "ChaosGround":
        """What experiments stand on, with what the state store knows of budgets, incidents and backups."""
        from dbre.assembly import chaos_ground, statuses_of

        statuses = statuses_of(self.config, self.fleet, self.clock, store)
        return chaos_ground(self.config, self.fleet, self.engines, self.clock, statuses=statuses, store=store)

    def report_sources(self, store: "Store") -> "ReportSources":
        """What reports are made of, reading from ``store``."""
        from dbre.assembly import StoredReportSources

        return StoredReportSources(self.config, self.fleet, store)

    def backups(self, store: "Store | None") -> "BackupGround":
        """What backups stand on; without ``store`` only vaults can be read."""
        from dbre.assembly import backup_ground

        return backup_ground(self.config, self.fleet, self.engines, self.clock, store)

    @property
    def clients(self) -> "ClientGround":
        """What probe clients stand on, and the checkers that judge them."""
        from dbre.assembly_clients import client_ground

        return client_ground(self.fleet, self.engines)

    @property
    def upgrades(self) -> "UpgradeGround":
        """What rolling restarts and upgrades stand on."""
        from dbre.assembly import upgrade_ground

        return upgrade_ground(self.config, self.fleet, self.engines, self.clock)

    def _server(self) -> tuple[str, str] | None:
        """The control plane that commands talk to, and what names it; None: this machine's own state store."""
        from dbre.core.operation.client_document import CLIENT

        if self._serves:
            return None
        if named := os.environ.get("DBRE_SERVER"):
            return named, "DBRE_SERVER"
        configured = self.config.get(CLIENT).url
        return (configured, "client.url") if configured else None

    def _require_here(self, what: str) -> None:
        """What lies on this machine is not what a control plane elsewhere goes by: better no answer than a false one."""
        from dbre.cli.place import command_path, is_about_this_machine

        server = self._server()
        if server is None or is_about_this_machine():
            return
        way = "unset DBRE_SERVER" if server[1] == "DBRE_SERVER" else "take client.url out of the configuration"
        raise UsageError(
            f"{command_path()} reads {what} of this machine, and {server[1]} names a control plane",
            hint=f"run it there, or {way}",
        )

    @asynccontextmanager
    async def open_remote(self) -> "AsyncIterator[HttpDesk | None]":
        """The control plane that ``DBRE_SERVER`` or ``client.url`` name; None: commands read the state store themselves."""
        server = self._server()
        if server is None:
            yield None
            return
        from dbre.core.operation.http_desk import open_http_desk

        async with open_http_desk(server[0], await self._token()) as remote:
            yield remote

    @asynccontextmanager
    async def open_desk(self) -> "AsyncIterator[OperationDesk]":
        """Operations, for the user of this command: through a control plane elsewhere, or in the state store."""
        async with self.open_remote() as remote:
            if remote is not None:
                yield remote
                return
        async with self._open_or_create_store() as store:
            desk = await self._embedded_desk(store)
            try:
                yield desk
            finally:
                if desk.has_run:
                    await self._sign(store)

    async def _embedded_desk(self, store: "Store") -> "EmbeddedDesk":
        from dbre.assembly import Ground, assemble
        from dbre.core.operation.embedded import EmbeddedDesk, StoredForOthers

        ground = Ground(config=self.config, fleet=self.fleet, engines=self.engines, clock=self.clock, store=store)
        parts = assemble(ground)
        return EmbeddedDesk(
            parts.desk_parts(StoredForOthers()), await self.principal(), runner=parts.runner, leases=parts.leases
        )

    async def _sign(self, store: "Store") -> None:
        """Sign the audit log as it is now. The operation has ended already: what is in the way is only told."""
        from dbre.core.audit.checkpointer import Checkpointer
        from dbre.core.audit.document import AUDIT
        from dbre.core.audit.keys import signing_key
        from dbre.core.errors import DbreError
        from dbre.core.progress import report

        document = self.config.get(AUDIT)
        try:
            key = await signing_key(document, store, directory=self.config.directory, create=True)
            if key is not None:
                await Checkpointer(store, key, self.clock, witness=document.witness).checkpoint_now()
        except DbreError as error:
            report(f"warning: the audit log was not signed: {error.message}; see dbre audit verify")

    @asynccontextmanager
    async def _open_or_create_store(self) -> "AsyncIterator[Store]":
        from dbre.core.operation.embedded import open_or_create_store
        from dbre.core.progress import report
        from dbre.core.secrets import prepare_secrets
        from dbre.core.store import STATE

        state = self.config.get(STATE)
        password = state.password.secret() if state.password else None
        await prepare_secrets([password])
        directory = self.config.directory_of("state.url")
        async with open_or_create_store(
            state.url, clock=self.clock, tell=report, password=password, directory=directory
        ) as store:
            yield store

    @asynccontextmanager
    async def open_store(self, *, exclusive: bool = False) -> "AsyncIterator[Store]":
        """The state store; ``exclusive`` is for the control plane, which also migrates it."""
        from dbre.core.secrets import prepare_secrets
        from dbre.core.store import STATE, open_store

        if not exclusive:
            self._require_here("the state store")
        state = self.config.get(STATE)
        directory = self.config.directory_of("state.url")
        password = state.password.secret() if state.password else None  # read anew where it changes while the store is open
        await prepare_secrets([password])
        async with open_store(
            state.url, clock=self.clock, exclusive=exclusive, migrate=exclusive, password=password, directory=directory
        ) as store:
            yield store

    async def work(self, *, zone: str | None, concurrency: int | None) -> None:
        """Run operations of a zone until told to stop, beside a control plane."""
        from dbre.assembly import Ground, assemble, statuses_of
        from dbre.capabilities.slo.readiness import Readiness
        from dbre.control_plane.parts import stop_signals
        from dbre.core.operation.document import OPERATIONS
        from dbre.core.operation.worker import run_worker, worker_parts

        self._serves = True
        settings = self.config.get(OPERATIONS)
        async with self.open_store() as store:
            ground = Ground(config=self.config, fleet=self.fleet, engines=self.engines, clock=self.clock, store=store)
            statuses = statuses_of(self.config, self.fleet, self.clock, store)
            runner = assemble(ground, statuses=statuses, zone=zone).runner
            chores = {"readiness": Readiness(store, statuses, self.clock, zone=zone).run}
            parts = await worker_parts(store, runner, settings, self.clock, concurrency=concurrency, chores=chores)
            with stop_signals() as told:
                await run_worker(parts, told)

    async def serve(self) -> None:
        """Run the control plane until it is told to stop."""
        from dbre.control_plane import ControlPlane

        self._serves = True
        await ControlPlane(self).run()
