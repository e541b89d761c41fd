"""Facts that reports are made of, written short."""

from datetime import UTC, datetime, timedelta

from dbre.capabilities.report.span import Span
from dbre.capabilities.report.work import Work
from dbre.core.operation.states import OperationState
from dbre.ports.report_sources import IncidentFact

START = datetime(2026, 11, 2, tzinfo=UTC)
SPAN = Span(since=START, until=START + timedelta(days=7))


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def incident(
    name: str,
    started: float,
    *,
    detected: float | None = None,
    acknowledged: float | None = None,
    mitigated: float | None = None,
    resolved: float | None = None,
    cluster: str = "orders",
    severity: str = "sev2",
    assignee: str = "",
) -> IncidentFact:
    return IncidentFact(
        id=name,
        name=name,
        title=name,
        severity=severity,
        cluster=cluster,
        clusters=(cluster,),
        slo="orders-writes",
        started_at=at(started),
        detected_at=at(started if detected is None else detected),
        acknowledged_at=None if acknowledged is None else at(acknowledged),
        mitigated_at=None if mitigated is None else at(mitigated),
        resolved_at=None if resolved is None else at(resolved),
        cost=None,
        assignee=assignee,
    )


def work(
    name: str,
    started: float,
    ended: float,
    *,
    created: float | None = None,
    kind: str = "settings.apply",
    state: OperationState = OperationState.SUCCEEDED,
    by: str = "ada",
    tags: tuple[str, ...] = (),
    cluster: str | None = "orders",
    is_reading: bool = False,
) -> Work:
    return Work(
        id=name,
        kind=kind,
        cluster=cluster,
        state=state,
        requested_by=by,
        is_automatic=by.startswith("schedule:"),
        is_reading=is_reading,
        tags=frozenset(tags),
        created_at=at(started if created is None else created),
        started_at=at(started),
        ended_at=at(ended),
    )
