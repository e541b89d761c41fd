"""An incident as it is stored, and what its events say."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from dbre.capabilities.incident.states import ENDED, OPEN, IncidentState

__all__ = [
    "Change",
    "Incident",
    "IncidentAlert",
    "Severity",
    "TimelineEntry",
    "TimelineKind",
    "event_data",
    "new_incident",
    "reopened",
    "rfc3339",
    "subject_of",
]


class Severity(StrEnum):
    """How bad it is, 1 the worst."""

    SEV1 = "sev1"
    SEV2 = "sev2"
    SEV3 = "sev3"
    SEV4 = "sev4"


class Change(StrEnum):
    """What an ``incident.updated`` event is about."""

    STATE = "state"
    SEVERITY = "severity"
    ALERT = "alert"  # another alert joined, or one of several is over
    NOTE = "note"
    PLAYBOOK = "playbook"  # diagnosis was attached


class TimelineKind(StrEnum):
    """What a line of a timeline tells of."""

    ALERT = "alert"
    PROBE = "probe"
    ROLE = "role"
    OPERATION = "operation"
    DEPLOY = "deploy"
    NOTIFICATION = "notification"
    STATE = "state"
    NOTE = "note"
    PLAYBOOK = "playbook"
    TELEMETRY = "telemetry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One incident. Moments are UTC; None: it has not come to that, or is not known."""

    id: UUID
    number: int
    title: str
    state: IncidentState
    severity: Severity
    urgency: str  # page or ticket: how loudly people are told
    cluster: str  # empty: of no cluster of the inventory
    slo: str  # of the alert that opened it; empty: a person did
    group: str
    opened_by: str
    assignee: str  # who acknowledged it last; empty: nobody
    is_severity_set: bool  # by a person: alerts change it no more
    started_at: datetime  # t_start: when users began to suffer, as measured
    detected_at: datetime  # t_detect
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    closed_at: datetime | None
    changed_at: datetime
    revision: int  # counts changes; who writes names the one that it read
    merged_into: UUID | None = None
    reopened_count: int = 0
    has_data_loss: bool = False
    root_cause: str = ""

    @property
    def name(self) -> str:
        """How people call it.

        A number, because it is spoken over a telephone at night.
        """
        return f"INC-{self.number}"

    @property
    def is_open(self) -> bool:
        """Whether it still goes on."""
        return self.state in OPEN

    @property
    def has_ended(self) -> bool:
        """Whether it is over, and was neither merged away nor is still going on."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAlert:
    """An alert, and the incident that it belongs to; None: to none."""

    alert_id: str
    incident_id: UUID | None
    slo: str
    cluster: str
    group: str
    rule: str
    severity: str  # page, ticket
    fired_at: datetime
    resolved_at: datetime | None
    burn_rate: float | None = None

    @property
    def instance(self) -> str:
        """The SLO instance that burns: ``slo@cluster`` or ``slo@cluster/group``."""
        return f"{self.slo}@{self.cluster}" + (f"/{self.group}" if self.group else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """One line of a timeline: ``at`` is when it happened, ``recorded_at`` when it was heard of."""

    incident_id: UUID
    key: str  # of what it tells: an event is written into a timeline once, however often it is delivered
    at: datetime
    recorded_at: datetime
    kind: TimelineKind
    actor: str  # empty: nobody did it
    text: str
    details: Mapping[str, Any]


def new_incident(
    incident_id: UUID,
    number: int,
    *,
    title: str,
    severity: Severity,
    cluster: str,
    by: str,
    started_at: datetime,
    detected_at: datetime,
    now: datetime,
) -> Incident:
    """An incident as it begins: declared, loud, in nobody's hands."""
    return Incident(
        id=incident_id,
        number=number,
        title=title,
        state=IncidentState.DECLARED,
        severity=severity,
        urgency="page",
        cluster=cluster,
        slo="",
        group="",
        opened_by=by,
        assignee="",
        is_severity_set=False,
        started_at=started_at,
        detected_at=detected_at,
        acknowledged_at=None,
        mitigated_at=None,
        resolved_at=None,
        closed_at=None,
        changed_at=now,
        revision=1,
    )


def reopened(incident: Incident, state: IncidentState) -> Incident:
    """An ended incident that goes on; when it was first acknowledged stays known, and nobody has it in hand."""
    return replace(
        incident,
        state=state,
        assignee="",
        mitigated_at=None,
        resolved_at=None,
        closed_at=None,
        reopened_count=incident.reopened_count + 1,
    )


def subject_of(incident_id: UUID) -> str:
    """How the audit log and events name an incident."""
    return f"incident/{incident_id}"


def event_data(incident: Incident, *, by: str, text: str = "", change: Change | None = None) -> dict[str, Any]:
    """The data of every ``incident.*`` event: the whole incident, who changed it, and what changed in words.

    Kinds: ``opened``, ``reopened``, ``updated`` (``change`` says what), ``acknowledged``, ``resolved`` (also a false
    positive), ``merged``, ``closed``. The same keys in each; moments are RFC 3339 or null.
    """
    return {
        "incident_id": str(incident.id),
        "number": incident.number,
        "name": incident.name,
        "title": incident.title,
        "state": incident.state.value,
        "severity": incident.severity.value,
        "urgency": incident.urgency,
        "cluster": incident.cluster,
        "slo": incident.slo,
        "group": incident.group,
        "assignee": incident.assignee,
        "started_at": _text(incident.started_at),
        "detected_at": _text(incident.detected_at),
        "acknowledged_at": _text(incident.acknowledged_at),
        "mitigated_at": _text(incident.mitigated_at),
        "resolved_at": _text(incident.resolved_at),
        "merged_into": None if incident.merged_into is None else str(incident.merged_into),
        "revision": incident.revision,
        "by": by,
        "change": None if change is None else change.value,
        "text": text,
    }


def rfc3339(moment: datetime) -> str:
    """A moment as events write it.

    >>> rfc3339(datetime(2026, 11, 21, 4, tzinfo=UTC))
    '2026-11-21T04:00:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)
