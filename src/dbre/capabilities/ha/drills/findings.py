"""What drills of a cluster say now: too old, never done, or of settings that promise something else by now. Pure rules."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dbre.capabilities.ha.drills.measures import RunMeasures, problems_of
from dbre.capabilities.ha.drills.repository import StoredRun
from dbre.capabilities.ha.patroni.prediction import Predicted
from dbre.core.checks import Finding, Severity
from dbre.core.units import format_duration

__all__ = ["Standing", "drill_findings", "standings"]

_DRIFT_RATIO = 0.25
_DRIFT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The newest drill of one kind, with the worst of its runs, and what the settings promise now."""

    kind: str
    last: StoredRun
    runs: Sequence[RunMeasures]
    worst: RunMeasures  # by its outage
    now: Predicted | None


def standings(runs: Sequence[StoredRun], promises: Mapping[str, Predicted]) -> list[Standing]:
    """Of runs, the newest first; one of each kind and of who changed the primary."""
    found: dict[tuple[str, str], Standing] = {}
    for one in runs:
        key = (one.run.kind, one.run.by)
        if key not in found:
            same = [other.run for other in runs if other.operation_id == one.operation_id]
            worst = max(same, key=_outage)
            now = promises.get(one.run.kind) if one.run.by == "patroni" else None
            found[key] = Standing(kind=one.run.kind, last=one, runs=same, worst=worst, now=now)
    return list(found.values())


def _outage(run: RunMeasures) -> float:
    """Its rank among runs: where nothing was measured, there is nothing to hold promises against."""
    return run.outage_seconds if run.outage_seconds is not None else -1.0


def drill_findings(cluster: str, found: Sequence[Standing], *, now: datetime, max_age: timedelta) -> Iterator[Finding]:
    """What a person should do about them."""
    failovers = [one for one in found if one.kind != "planned"]
    if not failovers:
        yield _finding("ha.drill_never", Severity.WARNING, cluster, "no failover was ever drilled", cluster, "leader-crash")
    for one in found:
        age = now - one.last.began_at
        if age > max_age:
            text = f"the last drill of {one.kind} is {format_duration(age.total_seconds())} old"
            yield _finding("ha.drill_old", Severity.WARNING, cluster, text, cluster, one.kind)
        for problem in dict.fromkeys(problem for run in one.runs for problem in problems_of(run)):
            yield _finding("ha.drill_problem", Severity.ERROR, cluster, f"{one.kind}: {problem}", cluster, one.kind)
        if (drift := _drift(one)) is not None:
            yield _finding("ha.drill_drift", Severity.WARNING, cluster, f"{one.kind}: {drift}", cluster, one.kind)


def _drift(one: Standing) -> str | None:
    """Where the settings promise another outage by now than they did, or than was measured."""
    promised, measured = one.worst.predicted_most_seconds, one.worst.outage_seconds
    if one.now is None or one.now.most_seconds is None or measured is None:
        return None
    most = one.now.most_seconds
    is_other = promised is None or abs(most - promised) > max(_DRIFT_SECONDS, _DRIFT_RATIO * promised)
    if not is_other:
        return None
    return (
        f"your settings now give up to {format_duration(most)}; the last drill says {format_duration(measured)}, "
        f"with other settings"
    )


def _finding(rule: str, severity: Severity, subject: str, text: str, cluster: str, kind: str) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        subject=subject,
        summary=text,
        fix=f"dbre ha drill run {cluster} --kind {kind}",
    )
