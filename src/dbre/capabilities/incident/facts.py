"""What key figures are made of: the moments and the cost of each incident, as plain facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from dbre.capabilities.incident.costs import clusters_of, costs_of
from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.repository import alerts_of, list_incidents
from dbre.capabilities.incident.states import IncidentState
from dbre.core.store import Store

__all__ = ["IncidentFacts", "incident_facts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFacts:
    """One incident for statistics. Merged ones and false positives are no failures, and not among them."""

    id: UUID
    name: str
    title: str
    severity: Severity
    state: IncidentState
    cluster: str
    clusters: tuple[str, ...]
    slo: str  # of the alert that opened it; empty: a person did
    is_by_alert: bool
    assignee: str  # who acknowledged it last; empty: nobody
    started_at: datetime
    detected_at: datetime
    acknowledged_at: datetime | None
    mitigated_at: datetime | None
    resolved_at: datetime | None
    cost: Fraction | None  # the largest share of one error budget; None: not measured
    bad_events: int


async def incident_facts(
    store: Store, *, since: datetime, until: datetime, cluster: str | None = None
) -> Sequence[IncidentFacts]:
    """The incidents that began in a span of time, the oldest first."""
    left_out = (IncidentState.MERGED, IncidentState.FALSE_POSITIVE)
    async with store.read() as connection:
        incidents = [
            one
            for one in await list_incidents(connection, since=since, until=until, cluster=cluster, limit=None)
            if one.state not in left_out
        ]
        ids = [one.id for one in incidents]
        alerts, costs = await alerts_of(connection, ids), await costs_of(connection, ids)
    return [
        IncidentFacts(
            id=one.id,
            name=one.name,
            title=one.title,
            severity=one.severity,
            state=one.state,
            cluster=one.cluster,
            clusters=tuple(sorted(clusters_of(one, [alert for alert in alerts if alert.incident_id == one.id]))),
            slo=one.slo,
            is_by_alert=bool(one.slo),
            assignee=one.assignee,
            started_at=one.started_at,
            detected_at=one.detected_at,
            acknowledged_at=one.acknowledged_at,
            mitigated_at=one.mitigated_at,
            resolved_at=one.resolved_at,
            cost=max((cost.consumed for cost in costs.get(one.id, []) if cost.consumed is not None), default=None),
            bad_events=sum(cost.bad for cost in costs.get(one.id, [])),
        )
        for one in sorted(incidents, key=lambda one: (one.started_at, one.number))
    ]
