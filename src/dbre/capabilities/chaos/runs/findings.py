"""What a run showed that somebody should see to, each with what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass

from dbre.capabilities.chaos.runs.measures import detection_of, outage_seconds, recovery_seconds, slices_of, was_felt
from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.capabilities.chaos.runs.score import run_score
from dbre.core.checks import Severity
from dbre.core.text import counted
from dbre.core.units import format_duration, format_percent

__all__ = ["Lesson", "lessons_of"]

_REMEDIES = {
    "leader-failure": "see what replaces a primary, and after how long: dbre ha failover CLUSTER --check",
    "partition": "let clients give up sooner (tcp_user_timeout) and know every member: dbre ha clients CLUSTER",
    "replica-lag": "send reads that must be fresh to the primary, and alert on seconds of lag: dbre ha lag CLUSTER",
    "pool-exhaustion": "put a pooler in front, or limit the sessions of each login; alert on places in use",
    "disk-pressure": "alert on free space long before, and keep the log on a file system of its own",
    "latency": "limit statements by time, and let clients retry with a pause that grows",
}
_OF_GATES = {  # by how their words begin
    "a fault": "dbre chaos heal",
    "ending": "see what held the injector up: its log lies beside the state files of faults",
    "two primaries": "fence the old primary before another one is promoted, and see that it is: docs/reference/ha.md",
    "clients saw": "let dbre check tell from the history of the clients what was wrong, and which level it breaks",
}
_OF_LOSS = "acknowledge writes only when a second member has them: synchronous replication"
_SOON_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One finding of a run."""

    severity: Severity
    summary: str
    remedy: str


def lessons_of(run: Run) -> list[Lesson]:
    """The worst first."""
    found = [*_of_the_run(run), *_of_the_hypothesis(run), *_of_time(run), *_of_budgets(run)]
    return sorted(found, key=lambda one: -one.severity.weight)


def _of_the_run(run: Run) -> Iterator[Lesson]:
    score = run_score(run)
    for gate in score.gates if score is not None else ():
        remedy = next((words for begin, words in _OF_GATES.items() if gate.startswith(begin)), _OF_LOSS)
        yield Lesson(severity=Severity.CRITICAL, summary=gate, remedy=remedy)
    clients = run.observed.get("clients") or {}
    if run.state.is_evidence and run.document.clients is not None and clients.get("verdict", "unknown") == "unknown":
        why = "; ".join(str(one) for one in clients.get("warnings") or ()) or "their word was not heard"
        summary = f"whether writes were lost is not known, and the score does not say so: {why}"
        yield Lesson(severity=Severity.WARNING, summary=summary, remedy="run it again")
    if run.state is RunState.ABORTED:
        why = str(run.observed.get("reason") or "it was worse than allowed")
        yield Lesson(severity=Severity.ERROR, summary=f"ended early: {why}", remedy=_remedy(run))
    if run.state in (RunState.STOPPED, RunState.INTERRUPTED, RunState.FAILED):
        why = str(run.observed.get("reason") or run.state.value)
        yield Lesson(severity=Severity.WARNING, summary=f"it says nothing of the cluster: {why}", remedy="run it again")


def _of_the_hypothesis(run: Run) -> Iterator[Lesson]:
    for one in run.observed.get("during") or ():
        if not one.get("holds", not one.get("bad")):
            failed = format_duration(float(one.get("longest_seconds") or 0.0))
            share = f"{one['bad']} of {counted(one['bad'] + one['good'], 'time')}"
            summary = f"{one['probe']} failed {share}, up to {failed} long: {one['first_bad']}"
            yield Lesson(severity=Severity.ERROR, summary=summary, remedy=_remedy(run))
    for one in run.observed.get("after") or ():
        if not one.get("holds"):
            yield Lesson(
                severity=Severity.ERROR,
                summary=f"{one['probe']} did not hold again in time: {one['detail']}",
                remedy=f"see what is left: dbre ha status {run.cluster}",
            )


def _of_time(run: Run) -> Iterator[Lesson]:
    goals = run.document.objectives
    for what, seconds in (
        ("service was away for", outage_seconds(run)),
        ("it took until all was well again", recovery_seconds(run)),
    ):
        if seconds is not None and seconds > goals.recovery.total_seconds():
            limit = format_duration(goals.recovery.total_seconds())
            yield Lesson(
                severity=Severity.ERROR,
                summary=f"{what} {format_duration(seconds)}, the objective is {limit}",
                remedy=_remedy(run),
            )
    found, limit_seconds = detection_of(run), goals.detection.total_seconds()
    if was_felt(run) and run.state.is_evidence and (found is None or found.seconds > limit_seconds):
        seen = "nothing noticed it" if found is None else f"{found.by} noticed it after {format_duration(found.seconds)}"
        yield Lesson(
            severity=Severity.WARNING,
            summary=f"{seen}, the objective is {format_duration(limit_seconds)}",
            remedy="define an SLO whose probes come more often, or an alert with a shorter window: docs/reference/slo.md",
        )
    late = run.observed.get("revert_seconds")
    if isinstance(late, int | float) and late > _SOON_SECONDS:
        yield Lesson(
            severity=Severity.WARNING,
            summary=f"ending it took {format_duration(late)}",
            remedy="see what held the injector up: its log lies beside the state files of faults",
        )


def _of_budgets(run: Run) -> Iterator[Lesson]:
    for one in slices_of(run) if run.state.is_evidence else ():
        if one.is_kept is False:
            yield Lesson(
                severity=Severity.ERROR,
                summary=f"nothing is left of the budget of {one.slo}",
                remedy=f"break nothing on {run.cluster} until it has recovered; {_remedy(run)}",
            )
        elif one.during is not None and one.during < one.objective:
            spent = "" if one.spent is None else f", and {format_percent(one.spent, digits=2)} of its budget was spent"
            yield Lesson(
                severity=Severity.INFO,
                summary=f"{one.slo} was at {format_percent(one.during, digits=3)} meanwhile{spent}",
                remedy=_remedy(run),
            )


def _remedy(run: Run) -> str:
    return _REMEDIES.get(run.entry or "", "see what failed first, and mend that").replace("CLUSTER", run.cluster)
