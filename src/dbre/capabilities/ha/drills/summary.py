"""Drills at a glance: what all runs of each say together. Arithmetic only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from dbre.capabilities.ha.drills.measures import Distribution, RunMeasures, distribution, problems_of
from dbre.capabilities.ha.drills.repository import StoredRun
from dbre.core.view import Row

__all__ = ["DrillSummary", "drill_row", "summaries", "summary_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillSummary:
    """One drill: its runs in their order, and what clients saw over all of them."""

    operation_id: UUID
    cluster: str
    kind: str
    by: str
    began_at: datetime
    runs: Sequence[RunMeasures]
    outages: Distribution
    promised_seconds: float | None  # by the settings of then, at most
    failed: int  # runs that measured nothing
    lost: int | None  # None: of no run is it known
    unjudged: int  # other runs of which nobody knows what they lost
    old_acknowledged: int
    problems: Sequence[str]  # of any run, each once


def summaries(runs: Sequence[StoredRun]) -> list[DrillSummary]:
    """Of runs in any order: one of each drill, the newest first."""
    found: dict[UUID, list[StoredRun]] = {}
    for one in runs:
        found.setdefault(one.operation_id, []).append(one)
    return sorted(map(summary_of, found.values()), key=lambda one: one.began_at, reverse=True)


def summary_of(runs: Sequence[StoredRun]) -> DrillSummary:
    """Of the runs of one drill, at least one."""
    ordered = sorted(runs, key=lambda one: one.run.number)
    first, measured = ordered[0], [one.run for one in ordered]
    promised = [one.predicted_most_seconds for one in measured if one.predicted_most_seconds is not None]
    return DrillSummary(
        operation_id=first.operation_id,
        cluster=first.cluster,
        kind=first.run.kind,
        by=first.run.by,
        began_at=first.began_at,
        runs=measured,
        outages=distribution([one.outage_seconds for one in measured if one.outage_seconds is not None]),
        promised_seconds=max(promised, default=None),
        failed=sum(one.failure is not None for one in measured),
        lost=sum(known) if (known := [one.lost for one in measured if one.lost is not None]) else None,
        unjudged=sum(one.lost is None and one.failure is None for one in measured),
        old_acknowledged=sum(one.old_acknowledged or 0 for one in measured),
        problems=tuple(dict.fromkeys(problem for one in measured for problem in problems_of(one))),
    )


def drill_row(one: DrillSummary) -> Row:
    """One drill as a document."""
    return {
        "id": str(one.operation_id),
        "cluster": one.cluster,
        "kind": one.kind,
        "by": one.by,
        "runs": len(one.runs),
        "p50_seconds": one.outages.p50,
        "p95_seconds": one.outages.p95,
        "max_seconds": one.outages.most,
        "promised_seconds": one.promised_seconds,
        "failed": one.failed,
        "lost": one.lost,
        "unjudged": one.unjudged,
        "old_acknowledged": one.old_acknowledged,
        "problems": list(one.problems),
        "began_at": one.began_at.isoformat(),
    }
