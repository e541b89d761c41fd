"""The DORA numbers for changes of databases: operations that change something, and deploys that somebody told of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase

from dbre.capabilities.report.span import Span
from dbre.capabilities.report.statistics import Summary, summarize
from dbre.capabilities.report.work import Work
from dbre.core.operation.states import OperationState
from dbre.ports.report_sources import IncidentFact

__all__ = ["Dora", "dora_of", "is_deployment"]

REWORK_TAGS = frozenset({"rollback", "hotfix", "incident-fix"})
"""Tags of a plan that say: this repairs what an earlier change did."""
_DEPLOYED = frozenset(
    {OperationState.SUCCEEDED, OperationState.COMPENSATED, OperationState.NEEDS_OPERATOR, OperationState.CLOSED}
)
_FAILED = _DEPLOYED - {OperationState.SUCCEEDED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dora:
    """Of the changes that ended in a span. None: there were none to count."""

    span: Span
    deployments: int  # changes that reached a database
    refused: int  # those that failed or were cancelled before they changed anything
    failed: int
    reworked: int
    lead_seconds: Summary | None  # plan created -> verified; of operations
    recovery_seconds: Summary | None  # of failed deployments

    @property
    def per_week(self) -> float | None:
        """Deployments a week."""
        return self.deployments / (self.span.seconds / 604_800) if self.span.seconds > 0 else None

    @property
    def failure_ratio(self) -> float | None:
        """Part of the deployments that failed."""
        return self.failed / self.deployments if self.deployments else None

    @property
    def rework_ratio(self) -> float | None:
        """Part of the deployments that repaired earlier ones."""
        return self.reworked / self.deployments if self.deployments else None


def is_deployment(work: Work, kinds: Sequence[str]) -> bool:
    """Whether an operation changes a database: it writes, and a pattern names its kind.

    Patterns are as in a shell; one that begins with ``!`` excludes, and the last that fits decides.
    """
    fits = False
    for pattern in kinds:
        if fnmatchcase(work.kind, pattern.removeprefix("!")):
            fits = not pattern.startswith("!")
    return fits and not work.is_reading


def dora_of(
    work: Sequence[Work], incidents: Sequence[IncidentFact], span: Span, *, kinds: Sequence[str], failing_within: timedelta
) -> Dora:
    """The numbers of a span.

    A deployment failed where it was undone, needs an operator or was given up, or where an incident of its cluster began, or
    a rollback there, from its start until ``failing_within`` after its end.
    """
    changes = [one for one in work if one.ended_at is not None and span.holds(one.ended_at) and is_deployment(one, kinds)]
    deployed = [one for one in changes if one.state in _DEPLOYED and one.started_at is not None]
    failures = [(one, *_failure(one, work, incidents, failing_within)) for one in deployed]
    recoveries = [
        (recovered - began).total_seconds() for _, began, recovered in failures if began is not None and recovered is not None
    ]
    lead = [
        (one.ended_at - one.created_at).total_seconds()
        for one in deployed
        if one.state is OperationState.SUCCEEDED and one.created_at is not None and one.ended_at is not None
    ]
    return Dora(
        span=span,
        deployments=len(deployed),
        refused=len(changes) - len(deployed),
        failed=sum(began is not None for _, began, _ in failures),
        reworked=sum(bool(one.tags & REWORK_TAGS) for one in deployed),
        lead_seconds=summarize(lead),
        recovery_seconds=summarize(max(one, 0.0) for one in recoveries),
    )


def _failure(
    change: Work, work: Sequence[Work], incidents: Sequence[IncidentFact], within: timedelta
) -> tuple[datetime | None, datetime | None]:
    """When a deployment began to fail, and when that was over; None: it did not, or it is not."""
    began, ended = change.started_at, change.ended_at
    if began is None or ended is None:
        return None, None
    if change.state in _FAILED:
        return began, ended if change.state is OperationState.COMPENSATED else None
    if change.cluster is None:
        return None, None
    latest = ended + within
    for incident in incidents:
        if change.cluster in (incident.cluster, *incident.clusters) and began <= incident.started_at <= latest:
            return incident.started_at, incident.resolved_at
    for other in work:
        is_rollback = "rollback" in other.tags and other.cluster == change.cluster and other.id != change.id
        if is_rollback and other.started_at is not None and ended <= other.started_at <= latest:
            return ended, other.ended_at
    return None, None
