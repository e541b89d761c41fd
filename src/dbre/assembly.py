"""How operations are put together over an open state store: the same for the control plane, a worker and a single command."""

import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbre.core.audit.log import AuditLog
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.errors import UsageError
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.approval import ApprovalGate
from dbre.core.gates.asking import ANSWER_SECONDS, Gates
from dbre.core.gates.document import GATES, approval_policies, change_windows, freeze_windows
from dbre.core.gates.freeze_window import FreezeWindowGate
from dbre.core.gates.model import Gate
from dbre.core.gates.target_lock import TargetLockGate
from dbre.core.identity.document import ACCESS, access_from
from dbre.core.operation.definition import Operation, unknown_kind
from dbre.core.operation.dispatch import Dispatcher
from dbre.core.operation.document import OPERATIONS
from dbre.core.operation.evidence.pack import SloSnapshot
from dbre.core.operation.journal import Journal
from dbre.core.operation.lease import LeaseClock
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.schedule.model import Schedule
from dbre.core.operation.store_desk import DeskParts
from dbre.core.operation.target_labels import cluster_of
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store
from dbre.core.text import closest, quoted
from dbre.ports.engine import EngineRegistry
from dbre.ports.report_sources import IncidentFact, SloFact

if TYPE_CHECKING:
    from dbre.capabilities.backup.documents import PolicyDocument
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.capabilities.chaos.ground import ChaosGround, SloLook
    from dbre.capabilities.ha.disaster.ground import DisasterGround
    from dbre.capabilities.ha.drills.ground import DrillGround
    from dbre.capabilities.ha.failover.ground import FailoverGround
    from dbre.capabilities.ha.rejoin.ground import RejoinGround
    from dbre.capabilities.ha.route.ground import RouteGround
    from dbre.capabilities.ha.switchover.ground import SwitchoverGround
    from dbre.capabilities.incident.impact import Spent
    from dbre.capabilities.settings import SloSource
    from dbre.capabilities.slo.definition import Definition
    from dbre.capabilities.slo.recent_statuses import RecentStatuses
    from dbre.capabilities.upgrade.ground import UpgradeGround

__all__ = [
    "Ground",
    "Kinds",
    "OperationParts",
    "StoredImpact",
    "StoredReportSources",
    "assemble",
    "backup_ground",
    "chaos_ground",
    "failover_ground",
    "gates_of",
    "kinds_of",
    "route_ground",
    "schedules_of_installation",
    "slo_snapshots",
    "statuses_of",
    "upgrade_ground",
]


class Kinds:
    """The operations of this installation (``OperationRegistry``)."""

    def __init__(self, *operations: Operation[Any]) -> None:
        self._operations = {one.kind: one for one in sorted(operations, key=lambda one: one.kind)}

    def kinds(self) -> tuple[str, ...]:
        """Kinds in alphabetical order."""
        return tuple(self._operations)

    def get(self, kind: str) -> Operation[Any]:
        """The operation of that kind. Raises: UsageError with a did-you-mean."""
        if kind not in self._operations:
            raise unknown_kind(kind, self.kinds())
        return self._operations[kind]


def gates_of(
    config: Config,
    fleet: Fleet,
    clock: Clock,
    store: Store | None,
    *,
    engines: EngineRegistry,
    statuses: "RecentStatuses | None",
    answer_seconds: float = ANSWER_SECONDS,
) -> Gates:
    """The gates of this installation; without a store those that need one allow, and what they would say is not known."""
    from dbre.capabilities.backup.drilling.gate import ProvenRestoreGate
    from dbre.capabilities.backup.drilling.gate_documents import PROVEN_RESTORE_POLICIES, proof_policies
    from dbre.capabilities.ha.disaster.building import disaster_approvals
    from dbre.capabilities.ha.gates.building import replica_gates
    from dbre.capabilities.slo.budget_documents import ERROR_BUDGET_POLICIES, budget_policies
    from dbre.capabilities.slo.budget_gate import BudgetGate

    document = config.get(GATES)
    has_identities = not access_from(config.get(ACCESS)).is_embedded
    gates: list[Gate] = [
        FreezeWindowGate(freeze_windows(document), change_windows(document)),
        ApprovalGate(
            store,
            (*approval_policies(document, has_identities=has_identities), *disaster_approvals(config, fleet)),
        ),
        TargetLockGate(store),
        *replica_gates(config, fleet, engines, clock),
    ]
    gates.append(
        ProvenRestoreGate(
            store, proof_policies(config.get(PROVEN_RESTORE_POLICIES)), policy_of=_backup_policy_of(config, fleet)
        )
    )
    if statuses is not None:
        gates.append(BudgetGate(budget_policies(config.get(ERROR_BUDGET_POLICIES)), statuses, store))
    return Gates(gates, clock, answer_seconds=answer_seconds)


def _backup_policy_of(config: Config, fleet: Fleet) -> "Callable[[str], PolicyDocument | None]":
    from dbre.capabilities.backup.documents import BACKUP
    from dbre.capabilities.backup.policy.schedules import policies_by_cluster

    found = {cluster.name: policy for cluster, policy in policies_by_cluster(config.get(BACKUP), fleet)}
    return found.get


def statuses_of(config: Config, fleet: Fleet, clock: Clock, store: Store) -> "RecentStatuses":
    """The SLOs as another process, the control plane, stores them."""
    from dbre.capabilities.slo import ALERTING, watched_definitions
    from dbre.capabilities.slo.recent_statuses import stored_statuses

    lost_after = config.get(ALERTING).telemetry_lost_after
    return stored_statuses(store, watched_definitions(config), fleet, clock, lost_after=lost_after)


def kinds_of(
    fleet: Fleet,
    engines: EngineRegistry,
    clock: Clock,
    *,
    statuses: "RecentStatuses | None",
    store: Store | None = None,
    definitions: "Sequence[Definition]" = (),
    backups: "BackupGround | None" = None,
    chaos: "ChaosGround | None" = None,
    failovers: "FailoverGround | None" = None,
    switchovers: "SwitchoverGround | None" = None,
    routes: "RouteGround | None" = None,
    rejoins: "RejoinGround | None" = None,
    drills: "DrillGround | None" = None,
    disasters: "DisasterGround | None" = None,
    upgrades: "UpgradeGround | None" = None,
) -> Kinds:
    """The operations of this installation. Without ``statuses`` nothing can be watched by an SLO, and so nothing run by one.

    Without ``store`` SLOs cannot be corrected.
    """
    from dbre.capabilities.backup.operations import operations as backup_operations
    from dbre.capabilities.chaos.operations import operations as chaos_operations
    from dbre.capabilities.ha.disaster.operations import operations as disaster_operations
    from dbre.capabilities.ha.drills.operation import Drill
    from dbre.capabilities.ha.failback.ground import failback_ground
    from dbre.capabilities.ha.failback.operation import FailBack
    from dbre.capabilities.ha.failover.operation import FailOver
    from dbre.capabilities.ha.failover.release import ReleaseLease
    from dbre.capabilities.ha.failover.rescue import Rescue
    from dbre.capabilities.ha.rejoin.operation import Rejoin
    from dbre.capabilities.ha.review import ha_checks
    from dbre.capabilities.ha.route.operations import operations as route_operations
    from dbre.capabilities.ha.switchover.operations import operations as switchover_operations
    from dbre.capabilities.review import CheckFleet
    from dbre.capabilities.settings import ApplySettings
    from dbre.capabilities.slo.corrections.operations import CorrectSlo, RevokeCorrection
    from dbre.capabilities.upgrade.operations import operations as upgrade_operations

    slo = _slo_source(statuses) if statuses is not None else None
    reviews = ha_checks(engines, fleet, clock, switchovers.settings, store) if switchovers is not None else ()
    return Kinds(
        CheckFleet(fleet=fleet, engines=engines, clock=clock, more=reviews),
        ApplySettings(fleet=fleet, engines=engines, slo=slo),
        CorrectSlo(definitions=definitions, fleet=fleet, store=store),
        RevokeCorrection(definitions=definitions, fleet=fleet, store=store),
        *(backup_operations(backups) if backups is not None else ()),
        *(chaos_operations(chaos) if chaos is not None else ()),
        *((FailOver(failovers), ReleaseLease(failovers), Rescue(failovers)) if failovers is not None else ()),
        *(switchover_operations(switchovers) if switchovers is not None else ()),
        *(route_operations(routes) if routes is not None else ()),
        *((Rejoin(rejoins), FailBack(failback_ground(rejoins, store))) if rejoins is not None else ()),
        *((Drill(drills),) if drills is not None else ()),
        *(disaster_operations(disasters) if disasters is not None else ()),
        *(upgrade_operations(upgrades) if upgrades is not None else ()),
    )


def backup_ground(config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store | None) -> "BackupGround":
    """What backups stand on. Without ``store`` only vaults can be read."""
    from dbre.capabilities.backup.documents import BACKUP, VAULTS
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.core.audit.document import AUDIT
    from dbre.core.audit.keys import key_directory, signing_key
    from dbre.core.audit.signed_note import SigningKey
    from dbre.core.programs.account import choose_account
    from dbre.core.programs.cache import cache_directory
    from dbre.ports.backup.model import Place

    settings, vaults = config.get(BACKUP), config.get(VAULTS)
    beside = key_directory(store, config.directory) if store is not None else config.directory

    def find_place() -> Place:
        account = choose_account(os.environ)
        return Place(
            account=account,
            cache=cache_directory(account, os.environ),
            bindir=Path(settings.bindir) if settings.bindir is not None else None,
        )

    async def find_signing_key() -> SigningKey | None:
        if store is None:
            return None
        return await signing_key(config.get(AUDIT), store, directory=config.directory, create=True)

    return BackupGround(
        fleet=fleet,
        engines=engines,
        clock=clock,
        store=store,
        settings=settings,
        vaults=vaults,
        directory=Path(settings.directory) if settings.directory is not None else beside / "backup",
        find_place=find_place,
        find_signing_key=find_signing_key,
    )


def route_ground(config: Config, fleet: Fleet, engines: EngineRegistry) -> "RouteGround":
    """What turning the routes of clients stands on."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.route.building import routes_of
    from dbre.capabilities.ha.route.ground import RouteGround

    settings = config.get(HA)
    return RouteGround(fleet=fleet, engines=engines, routes_of=lambda cluster: routes_of(settings, cluster))


def upgrade_ground(config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock) -> "UpgradeGround":
    """What rolling restarts and upgrades stand on: the planned change of primary is ``ha``'s."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.patroni.steward import steward_of
    from dbre.capabilities.upgrade.config_document import UPGRADE
    from dbre.capabilities.upgrade.ground import UpgradeGround

    settings = config.get(HA)
    return UpgradeGround(
        fleet=fleet,
        engines=engines,
        clock=clock,
        settings=config.get(UPGRADE),
        steward_of=lambda cluster: steward_of(settings, fleet, cluster, clock),
        switch_kind="ha.switchover",
        promoter_of=lambda cluster: "Sentinel" if settings.of(cluster.name).sentinel is not None else None,
    )


def failover_ground(
    config: Config, fleet: Fleet, engines: EngineRegistry, clock: Clock, store: Store | None
) -> "FailoverGround":
    """What failovers stand on. Without ``store`` no report of an observer can be read."""
    from dbre.capabilities.ha.failover import building

    return building.failover_ground(config, fleet, engines, clock, store)


def chaos_ground(
    config: Config,
    fleet: Fleet,
    engines: EngineRegistry,
    clock: Clock,
    *,
    statuses: "RecentStatuses | None",
    store: Store | None = None,
) -> "ChaosGround":
    """What experiments stand on. Without ``statuses`` no SLO can be watched; without ``store`` nothing is kept or compared."""
    from dbre.assembly_chaos import ExperimentClients, StoredSurroundings
    from dbre.assembly_clients import client_ground
    from dbre.capabilities.chaos.config_document import CHAOS, state_directory
    from dbre.capabilities.chaos.ground import ChaosGround
    from dbre.capabilities.ha.config_document import HA

    around = None
    if store is not None and statuses is not None:
        sources = StoredReportSources(config, fleet, store)
        around = StoredSurroundings(config, fleet, engines, store, statuses, sources)
    return ChaosGround(
        fleet=fleet,
        engines=engines,
        clock=clock,
        directory=state_directory(config),
        program=(sys.executable, "-P", "-m", "dbre.chaos_injector"),
        slo=_slo_look(statuses) if statuses is not None else None,
        store=store,
        surroundings=around,
        clients=ExperimentClients(client_ground(fleet, engines)),
        rules=config.get(CHAOS).rules,
        suites=config.get(CHAOS).suites,
        kept=frozenset(one.cluster for one in config.get(HA).clusters if one.patroni is not None),
    )


def _slo_look(statuses: "RecentStatuses") -> "SloLook":
    from dbre.capabilities.chaos.ground import Burn

    read = _slo_source(statuses)

    async def look(slo: str, cluster: str) -> Burn:
        found = await read(slo, cluster)
        return Burn(rate=found.burn_rate, is_paging=found.is_paging)

    return look


def schedules_of_installation(config: Config, fleet: Fleet) -> tuple[Schedule, ...]:
    """The schedules of the configuration, and those that follow from backup policies."""
    from dbre.capabilities.backup.documents import BACKUP
    from dbre.capabilities.backup.policy.schedules import schedules_of
    from dbre.core.operation.schedule.document import SCHEDULES, schedules_from

    return (*schedules_from(config.get(SCHEDULES)), *schedules_of(config.get(BACKUP), fleet))


def _slo_source(statuses: "RecentStatuses") -> "SloSource":
    from dbre.capabilities.settings import SloReading
    from dbre.capabilities.slo.alert_rules import Severity
    from dbre.capabilities.slo.telemetry_state import TelemetryState

    async def read(slo: str, cluster: str) -> SloReading:
        found = {one.name: one for one in await statuses.of(cluster)}
        if slo not in found:
            near = closest(slo, list(found))
            raise UsageError(
                f"cluster {cluster} has no SLO {quoted(slo, limit=100)}",
                hint=f"did you mean {near}?" if near else "dbre slo list",
            )
        status = found[slo]
        if status.telemetry not in (TelemetryState.OK, TelemetryState.SOURCE_DOWN):
            return SloReading(burn_rate=None, is_paging=None)  # nobody sees it: neither good nor bad
        rate = status.burn_rates[0].rate if status.burn_rates else None
        is_paging = any(one.severity is Severity.PAGE for one in status.active_alerts)
        return SloReading(burn_rate=float(rate) if rate is not None else None, is_paging=is_paging)

    return read


def slo_snapshots(config: Config, fleet: Fleet, clock: Clock, store: Store) -> SloSnapshot:
    """What evidence packs say of the SLOs of an operation's cluster."""
    from dbre.capabilities.slo import ALERTING, watched_definitions
    from dbre.capabilities.slo.before_and_after import before_and_after

    definitions, lost_after = watched_definitions(config), config.get(ALERTING).telemetry_lost_after

    async def look(record: OperationRecord) -> Mapping[str, Any] | None:
        cluster = cluster_of(record.planned.plan.target)
        if cluster is None or record.started_at is None:
            return None
        ended = record.ended_at or clock.now()
        return await before_and_after(
            store, definitions, fleet, cluster=cluster, began=record.started_at, ended=ended, lost_after=lost_after
        )

    return look


class StoredImpact:
    """What incidents did to users (``ImpactSource``), read from the slots that the control plane stores."""

    def __init__(self, config: Config, fleet: Fleet, store: Store) -> None:
        from dbre.capabilities.slo import watched_definitions

        self._definitions = watched_definitions(config)
        self._fleet = fleet
        self._store = store

    async def began(self, *, slo: str, cluster: str, group: str, fired_at: datetime, window_seconds: int) -> datetime | None:
        """When the bad events began that made an alert fire."""
        from dbre.capabilities.slo.spending import began_to_burn

        return await began_to_burn(
            self._store,
            self._definitions,
            self._fleet,
            slo=slo,
            cluster=cluster,
            group=group,
            fired_at=fired_at,
            window_seconds=window_seconds,
        )

    async def spent(self, *, clusters: Collection[str], since: datetime, until: datetime) -> "Sequence[Spent]":
        """What each SLO instance of some clusters counted."""
        from dbre.capabilities.incident.impact import Spent
        from dbre.capabilities.slo.spending import spent_between

        found = await spent_between(self._store, self._definitions, self._fleet, clusters=clusters, since=since, until=until)
        return [Spent(instance=one.instance, good=one.good, bad=one.bad, consumed=one.consumed) for one in found]


class StoredReportSources:
    """What reports are made of (``ReportSources``), read from the state store."""

    def __init__(self, config: Config, fleet: Fleet, store: Store) -> None:
        from dbre.capabilities.slo import watched_definitions

        self._definitions = watched_definitions(config)
        self._fleet = fleet
        self._store = store

    async def incidents(self, *, since: datetime, until: datetime) -> Sequence[IncidentFact]:
        """The incidents that began in a span of time, the oldest first."""
        from dbre.capabilities.incident.facts import incident_facts

        return [
            IncidentFact(
                id=str(one.id),
                name=one.name,
                title=one.title,
                severity=one.severity.value,
                cluster=one.cluster,
                clusters=one.clusters,
                slo=one.slo,
                started_at=one.started_at,
                detected_at=one.detected_at,
                acknowledged_at=one.acknowledged_at,
                mitigated_at=one.mitigated_at,
                resolved_at=one.resolved_at,
                cost=one.cost,
                assignee=one.assignee,
            )
            for one in await incident_facts(self._store, since=since, until=until)
        ]

    async def compliance(self, *, since: datetime, until: datetime) -> Sequence[SloFact]:
        """Every SLO instance over a span of time."""
        from dbre.capabilities.slo.compliance import compliance_between

        found = await compliance_between(self._store, self._definitions, self._fleet, since=since, until=until)
        return [
            SloFact(
                id=one.id,
                cluster=one.cluster,
                objective=one.objective,
                good=one.counts.good,
                total=one.counts.total,
                remaining_ratio=one.remaining_ratio,
            )
            for one in found
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationParts:
    """All that runs and steers operations over one store; the same in the control plane, a worker and a single command."""

    store: Store
    audit: AuditLog
    journal: Journal
    registry: Kinds
    gates: Gates
    runner: OperationRunner
    fleet: Fleet
    clock: Clock

    @property
    def leases(self) -> LeaseClock:
        """The clock of the leases."""
        return self.runner.leases

    def desk_parts(self, dispatcher: Dispatcher) -> DeskParts:
        """What desks are made of, with whom they tell of a new operation."""
        return DeskParts(
            store=self.store,
            registry=self.registry,
            journal=self.journal,
            gates=self.gates,
            fleet=self.fleet,
            clock=self.clock,
            dispatcher=dispatcher,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What operations stand on."""

    config: Config
    fleet: Fleet
    engines: EngineRegistry
    clock: Clock
    store: Store


def assemble(ground: Ground, *, statuses: "RecentStatuses | None" = None, zone: str | None = None) -> OperationParts:
    """Put it together. ``statuses`` are the live SLOs of a control plane; by default they are read from the store."""
    from dbre.assembly_drills import drill_ground
    from dbre.capabilities.ha.disaster.building import disaster_ground
    from dbre.capabilities.ha.rejoin.building import rejoin_ground
    from dbre.capabilities.ha.switchover.building import switchover_ground
    from dbre.capabilities.slo import SLOS, definitions_from

    clock, store = ground.clock, ground.store
    known = statuses if statuses is not None else statuses_of(ground.config, ground.fleet, clock, store)
    audit = AuditLog(clock)
    journal = Journal(audit, EventLog(clock), clock)
    definitions = definitions_from(ground.config.get(SLOS))
    backups = backup_ground(ground.config, ground.fleet, ground.engines, clock, store)
    chaos = chaos_ground(ground.config, ground.fleet, ground.engines, clock, statuses=known, store=store)
    registry = kinds_of(
        ground.fleet,
        ground.engines,
        clock,
        statuses=known,
        store=store,
        definitions=definitions,
        backups=backups,
        chaos=chaos,
        switchovers=switchover_ground(ground.config, ground.fleet, ground.engines, clock, store),
        failovers=failover_ground(ground.config, ground.fleet, ground.engines, clock, store),
        routes=route_ground(ground.config, ground.fleet, ground.engines),
        rejoins=rejoin_ground(ground.config, ground.fleet, ground.engines, clock, store),
        drills=drill_ground(ground.config, chaos),
        disasters=disaster_ground(ground.config, ground.fleet, ground.engines, clock, store),
        upgrades=upgrade_ground(ground.config, ground.fleet, ground.engines, clock),
    )
    gates = gates_of(ground.config, ground.fleet, clock, store, engines=ground.engines, statuses=known)
    runner = OperationRunner(
        store,
        registry,
        journal,
        gates,
        clock,
        worker=this_worker(zone=zone),
        fleet=ground.fleet,
        settings=ground.config.get(OPERATIONS),
    )
    return OperationParts(
        store=store,
        audit=audit,
        journal=journal,
        registry=registry,
        gates=gates,
        runner=runner,
        fleet=ground.fleet,
        clock=clock,
    )
