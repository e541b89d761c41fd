"""What experiments are told of the rest of an installation: put together of what the other capabilities know."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbre.capabilities.chaos.surroundings import Around, BackupWord, Burn, HealthWord, IncidentWord
from dbre.core.checks import Severity
from dbre.core.config import Config
from dbre.core.errors import DbreError
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.engine import EngineRegistry
from dbre.ports.report_sources import ReportSources

if TYPE_CHECKING:
    from dbre.capabilities.backup.documents import PolicyDocument
    from dbre.capabilities.chaos.scope_documents import ClientsOrder
    from dbre.capabilities.ha.clients.fleet import ProbeFleet
    from dbre.capabilities.ha.clients.ground import ClientGround
    from dbre.capabilities.slo.model import SloStatus
    from dbre.capabilities.slo.recent_statuses import RecentStatuses

__all__ = ["ExperimentClients", "StoredSurroundings"]

_MOST_ALERTS = 1000  # the newest
_SLOT_LIMIT_BYTES = 2**40  # how far slots may hold logs back is for status and alerts, not for experiments


class StoredSurroundings:
    """Implements ``Surroundings`` over the state store, the SLOs of this process, and a sweep of the cluster."""

    def __init__(
        self,
        config: Config,
        fleet: Fleet,
        engines: EngineRegistry,
        store: Store,
        statuses: "RecentStatuses",
        sources: ReportSources,
    ) -> None:
        self._config, self._fleet, self._engines = config, fleet, engines
        self._store, self._statuses, self._sources = store, statuses, sources

    async def burns(self, cluster: str) -> Mapping[str, Burn]:
        """Every SLO of the cluster now; of one with groups, all together."""
        return {one.name: _burn(one) for one in await self._statuses.of(cluster) if not one.group}

    async def incidents(self, cluster: str) -> Sequence[IncidentWord]:
        """Those that are not over."""
        from dbre.capabilities.incident.repository import list_incidents
        from dbre.capabilities.incident.states import OPEN

        async with self._store.read() as connection:
            found = await list_incidents(connection, cluster=cluster, limit=None)
        return [
            IncidentWord(
                name=one.name, title=printable(one.title, limit=200), severity=one.severity.value, started_at=one.started_at
            )
            for one in found
            if one.state in OPEN
        ]

    async def backups(self, cluster: str) -> BackupWord:
        """How old the newest sealed set and the newest proof are."""
        from dbre.capabilities.backup.model import DrillVerdict
        from dbre.capabilities.backup.overview import look

        policy = self._policy_of(cluster)
        found = await look(self._store, self._fleet.cluster(cluster), policy)
        last = found.last_drill
        return BackupWord(
            has_policy=policy is not None,
            newest_at=found.newest.started_at if found.newest is not None else None,
            proven_at=found.last_proof.ended_at if found.last_proof is not None else None,
            failed=last.reason if last is not None and last.verdict is DrillVerdict.FAIL else None,
        )

    async def health(self, cluster: str) -> HealthWord:
        """One sweep from all instances of the cluster; findings that are errors are troubles."""
        from dbre.capabilities.ha.looking import read_status

        found = await read_status(
            self._engines, self._fleet, self._fleet.cluster(cluster), seed=None, slot_limit_bytes=_SLOT_LIMIT_BYTES
        )
        edges = found.topology.edges
        return HealthWord(
            primaries=tuple(one.name for one in found.topology.primaries),
            replicating=tuple(sorted({one.downstream for one in edges if one.told.is_receiving})),
            troubles=tuple(
                printable(one.summary, limit=200) for one in found.findings if one.severity.weight >= Severity.ERROR.weight
            ),
        )

    async def around(self, cluster: str, *, since: datetime, until: datetime) -> Around:
        """SLOs over a span, and the incidents that began in it."""
        signs = [*await self._alerts(cluster, since, until), *await self._failovers(cluster, since, until)]
        slos = [one for one in await self._sources.compliance(since=since, until=until) if one.cluster == cluster]
        incidents = [one for one in await self._sources.incidents(since=since, until=until) if cluster in one.clusters]
        return Around(
            signs=signs,
            slos=[
                {
                    "slo": one.id,
                    "objective_ratio": float(one.objective),
                    "good": one.good,
                    "total": one.total,
                    "ratio": None if one.ratio is None else float(one.ratio),
                    "remaining_ratio": None if one.remaining_ratio is None else float(one.remaining_ratio),
                }
                for one in slos
            ],
            incidents=[
                {
                    "name": one.name,
                    "title": printable(one.title, limit=200),
                    "severity": one.severity,
                    "started_at": one.started_at.isoformat(),
                    "detected_at": one.detected_at.isoformat(),
                }
                for one in incidents
            ],
        )

    async def bereft(self, cluster: str) -> Sequence[str]:
        """By the newest report of each observer; one that reaches nobody says nothing."""
        from dbre.capabilities.ha.detection.reports import read_reports

        return [
            one.observer
            for one in await read_reports(self._store, cluster)
            if one.primary is not None and not one.contact.is_alive and not one.is_isolated
        ]

    async def _alerts(self, cluster: str, since: datetime, until: datetime) -> list[dict[str, str]]:
        from dbre.capabilities.slo.alert_repository import read_alerts

        async with self._store.read() as connection:
            found = await read_alerts(connection, cluster=cluster, limit=_MOST_ALERTS)
        return [
            {"by": f"alert {one.slo} ({one.severity})", "at": one.fired_at.isoformat()}
            for one in found
            if since <= one.fired_at < until
        ]

    async def _failovers(self, cluster: str, since: datetime, until: datetime) -> list[dict[str, str]]:
        from dbre.capabilities.ha.failover.begun import failovers_begun

        found = await failovers_begun(self._store, cluster, since=since, until=until)
        return [{"by": f"failover {number}", "at": at.isoformat()} for number, at in found]

    def _policy_of(self, cluster: str) -> "PolicyDocument | None":
        from dbre.capabilities.backup.documents import BACKUP
        from dbre.capabilities.backup.policy.schedules import policies_by_cluster

        found = policies_by_cluster(self._config.get(BACKUP), self._fleet)
        return next((policy for one, policy in found if one.name == cluster), None)


def _burn(status: "SloStatus") -> Burn:
    from dbre.capabilities.slo.alert_rules import Severity as AlertSeverity
    from dbre.capabilities.slo.telemetry_state import TelemetryState

    if status.telemetry not in (TelemetryState.OK, TelemetryState.SOURCE_DOWN):
        return Burn(rate=None, is_paging=None)  # nobody sees it: neither good nor bad
    rate = status.burn_rates[0].rate if status.burn_rates else None
    return Burn(
        rate=float(rate) if rate is not None else None,
        is_paging=any(one.severity is AlertSeverity.PAGE for one in status.active_alerts),
        remaining=float(status.budget.remaining_ratio) if status.counts.total else None,
    )


class ExperimentClients:
    """Implements ``ClientsLook`` with probe clients as processes of their own."""

    def __init__(self, ground: "ClientGround") -> None:
        self._ground = ground

    @asynccontextmanager
    async def __call__(self, cluster: str, order: "ClientsOrder", history: Path) -> "AsyncIterator[_AtWork]":
        """Clients that work until the block ends."""
        from dbre.capabilities.ha.clients.fleet import probe_fleet
        from dbre.capabilities.ha.clients.spec import ProbeSpec
        from dbre.ports.client_work import ClientWorkload

        spec = ProbeSpec(
            workload=ClientWorkload(order.workload), is_open_loop=order.mode == "open", rate=order.rate, seconds=None
        )
        async with probe_fleet(self._ground, self._ground.fleet.cluster(cluster), spec, history=history) as fleet:
            yield _AtWork(fleet)


class _AtWork:
    """Implements ``Clients``."""

    def __init__(self, fleet: "ProbeFleet") -> None:
        self._fleet = fleet
        self._marked: tuple[float, datetime] | None = None  # by the clock of the history, and by that of people

    @property
    def silent_seconds(self) -> float | None:
        return self._fleet.pulse.silent_seconds

    def mark(self) -> None:
        at = self._fleet.mark()
        self._marked = self._marked or (at, datetime.now(UTC))

    async def truth(self) -> dict[str, Any]:
        """What they saw, as JSON; the rows that they wrote are deleted."""
        truth = await self._fleet.finish()
        warnings = list(truth.warnings)
        try:
            await self._fleet.remove()
        except DbreError as error:
            warnings.append(error.message)
        kept, outage = truth.balance, truth.timing.outage
        of_loss = ("lost", "overlap")  # counted by themselves
        return {
            "workload": truth.workload.value,
            "acts": truth.acts,
            "acknowledged": truth.acknowledged,
            "failed": truth.failed,
            "unknown": truth.unknown,
            "outage_seconds": outage.seconds if outage is not None else None,
            "first_ack_seconds": truth.timing.first_ack_seconds,
            "p99_seconds": truth.timing.p99_seconds,
            "lost": len(kept.lost) if kept is not None else None,
            "phantom": len(kept.phantom) if kept is not None else None,
            "duplicate": len(kept.duplicate) if kept is not None else None,
            "stale": len(kept.stale) if kept is not None else None,
            "resurrected": len(kept.resurrected) if kept is not None else None,
            "overlap": truth.overlap,
            "anomalies": sum(one.count for one in truth.verdict.anomalies if one.is_violation and one.name not in of_loss),
            "first_bad_at": self._first_bad(),
            "verdict": truth.verdict.verdict,
            "history": str(self._fleet.history),
            "warnings": [printable(one, limit=300) for one in warnings],
        }

    def _first_bad(self) -> str | None:
        """When a client was first told that something went wrong, since something was done."""
        from dbre.capabilities.ha.clients.records import acts_of

        if self._marked is None:
            return None
        mark, at = self._marked
        ended = (act.ended_at for act in acts_of(self._fleet.history) if act.is_bad and act.ended_at is not None)
        first = min((one for one in ended if one >= mark), default=None)
        return (at + timedelta(seconds=first - mark)).isoformat() if first is not None else None
