"""What the pages and the API read; the composition root fills it in."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from fastapi import Request
from starlette.types import ASGIApp

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.chaos.ground import ChaosGround
from dbre.capabilities.ha.drills.standing import DrillLook
from dbre.capabilities.ha.shared import Shared
from dbre.capabilities.ha.sweeps import Sweeps
from dbre.capabilities.ha.switchover.forecast import NextSwitchover
from dbre.capabilities.incident.chatops.slack_receiver import SlackReceiver
from dbre.capabilities.incident.delivery.alertmanager_receiver import AlertmanagerReceiver
from dbre.capabilities.incident.incidents_document import PostmortemDocument
from dbre.capabilities.incident.oncall.people import Directory
from dbre.capabilities.observe import EndpointState
from dbre.capabilities.report.reading import Reports
from dbre.capabilities.slo import Definition, SloStatus
from dbre.capabilities.slo.composite import Composite
from dbre.capabilities.stack.model import CheckResult
from dbre.core.audit.checkpointer import Checkpointer
from dbre.core.audit.model import AuditRecorder
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.gates.freeze_window import ChangeWindow, FreezeWindow
from dbre.core.identity.model import Principal
from dbre.core.operation.desk import OperationDesk
from dbre.core.operation.due import LeaseTime
from dbre.core.operation.evidence.pack import SloSnapshot
from dbre.core.operation.schedule.model import Schedule
from dbre.core.store import Store
from dbre.ports.engine import EngineRegistry
from dbre.web.attention import Attention
from dbre.web.document import ServerDocument
from dbre.web.identity import Gatekeeper
from dbre.web.incident_costs import RecentCosts
from dbre.web.stream_limit import StreamLimit
from dbre.web.tracking import RequestMetrics

__all__ = [
    "AuditServices",
    "BackupServices",
    "IncidentServices",
    "OperationServices",
    "People",
    "Readiness",
    "Services",
    "services",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """One part of the control plane, and whether it does its work now."""

    part: str
    is_ready: bool
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationServices:
    """What stands in the way of operations, what begins them, and who runs them."""

    kinds: Sequence[str]  # of operations that this installation has
    gates: Gates
    freeze_windows: Sequence[FreezeWindow]
    change_windows: Sequence[ChangeWindow]
    schedules: Sequence[Schedule]
    leases: LeaseTime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditServices:
    """The audit log, and who signs it."""

    recorder: AuditRecorder
    checkpointer: Checkpointer
    verifying: asyncio.Lock = field(default_factory=asyncio.Lock)  # reading the whole log twice at once helps nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Who is told, and by whom we are told."""

    directory: Directory
    alertmanager: AlertmanagerReceiver | None = None  # takes webhooks; None: none may come
    slack: SlackReceiver | None = None  # answers a Slack app; None: none is configured


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentServices:
    """What incidents cost, and what is asked for after them."""

    costs: RecentCosts
    postmortem: PostmortemDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupServices:
    """What the control plane knows of backups."""

    ground: BackupGround
    exposure_seconds: Callable[[str], float | None]  # of a cluster: what would be lost now; None: nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Handed to ``create_app``; kept in the application's state."""

    clock: Clock
    fleet: Fleet
    store: Store
    engines: EngineRegistry
    definitions: Sequence[Definition]
    gatekeeper: Gatekeeper
    desk: Callable[[Principal], OperationDesk]  # operations, for one user
    operations: OperationServices
    audit: AuditServices
    attention: Attention
    streams: StreamLimit
    document: ServerDocument
    endpoints: Callable[[], Sequence[EndpointState]]
    slo_snapshots: SloSnapshot
    slo_status: Callable[[], Awaitable[Sequence[SloStatus]]]
    readiness: Callable[[], Awaitable[Sequence[Readiness]]]
    metrics: Callable[[str], tuple[bytes, str]]  # Accept header in; body and content type out
    request_metrics: RequestMetrics
    people: People
    incidents: IncidentServices
    reports: Reports
    backups: BackupServices
    sweeps: Sweeps
    switchovers: Shared[NextSwitchover]
    drills: Shared[DrillLook]
    chaos: ChaosGround
    stack: Callable[[], Sequence[CheckResult]]  # the latest check of each service
    composites: Sequence[Composite] = ()
    ingest: ASGIApp | None = None  # takes in events of real traffic; None: no SLO counts any


def services(request: Request) -> Services:
    """The services of the application that serves ``request``."""
    return cast(Services, request.app.state.services)
