"""What the last rehearsal of a plan says now. Pure rules."""

from collections.abc import Iterator
from datetime import datetime

from dbre.capabilities.ha.disaster.measures import problems_of
from dbre.capabilities.ha.disaster.plan_document import DisasterPlan
from dbre.capabilities.ha.disaster.repository import StoredRun
from dbre.core.checks import Finding, Severity
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.ports.succession import Obstacle

__all__ = ["plan_findings", "rehearsal_obstacle"]


def plan_findings(cluster: str, plan: DisasterPlan, last: StoredRun | None, *, now: datetime) -> Iterator[Finding]:
    """Never rehearsed, too long ago, or with problems."""
    fix = f"dbre ha dr rehearse {cluster}"
    if last is None:
        text = "the plan for the loss of a site was never rehearsed"
        yield Finding(rule="ha.dr_never_rehearsed", severity=Severity.WARNING, subject=cluster, summary=text, fix=fix)
        return
    age, limit = max((now - last.began_at).total_seconds(), 0.0), plan.rehearse.max_age.total_seconds()
    if age > limit:
        text = (
            f"the plan for the loss of a site was rehearsed {format_duration(round(age))} ago, "
            f"and {format_duration(limit)} is its limit"
        )
        yield Finding(rule="ha.dr_rehearsal_old", severity=Severity.WARNING, subject=cluster, summary=text, fix=fix)
    for problem in problems_of(last.run):
        text = printable(f"the last rehearsal for the loss of a site failed: {problem}", limit=500)
        yield Finding(rule="ha.dr_rehearsal_failed", severity=Severity.ERROR, subject=cluster, summary=text, fix=fix)


def rehearsal_obstacle(cluster: str, plan: DisasterPlan, last: StoredRun | None, *, now: datetime) -> Obstacle:
    """The same as one check."""
    found = list(plan_findings(cluster, plan, last, now=now))
    told = "; ".join(one.summary for one in found)
    good = f"went well on {last.began_at:%Y-%m-%d %H:%M} UTC" if last is not None else ""
    return Obstacle(
        rule="rehearsal",
        subject=cluster,
        value=printable(told or good, limit=600),
        limit=f"all well, at most {format_duration(plan.rehearse.max_age.total_seconds())} ago",
        source="what was kept of earlier operations",
        remedy=f"dbre ha dr rehearse {cluster}",
        is_met=not found,
        is_blocking=True,
    )
