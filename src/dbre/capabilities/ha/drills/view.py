"""Drills for people and scripts."""

from collections.abc import Sequence
from typing import Any

from dbre.capabilities.ha.drills.measures import Distribution, RunMeasures, distribution, problems_of
from dbre.core.errors import ExitCode
from dbre.core.operation.model import OperationRecord
from dbre.core.text import counted, printable
from dbre.core.units import format_duration
from dbre.core.view import Column, Row, View

__all__ = ["RUN_COLUMNS", "done_view", "drill_view", "run_row", "seconds"]


def seconds(value: object) -> str:
    """A span, or that it is not known."""
    return format_duration(float(value)) if isinstance(value, int | float) else "-"


RUN_COLUMNS = (
    Column(key="number", title="RUN", right=True),
    Column(key="old_primary", title="FROM"),
    Column(key="new_primary", title="TO"),
    Column(key="outage_seconds", title="OUTAGE", right=True, format=seconds),
    Column(key="predicted_most_seconds", title="PROMISED", right=True, format=seconds),
    Column(key="noticed_seconds", title="NOTICED", right=True, format=seconds),
    Column(key="promoted_seconds", title="PROMOTED", right=True, format=seconds),
    Column(key="redundancy_seconds", title="WHOLE", right=True, format=seconds),
    Column(key="lost", title="LOST", right=True),
    Column(key="old_acknowledged", title="OLD ACKS", right=True),
    Column(key="problems", title="WHAT IS WRONG", below=True, format=lambda value: str(value) if value else ""),
)


def run_row(run: RunMeasures) -> Row:
    """One run."""
    return {**run.document(), "problems": "; ".join(problems_of(run))}


def drill_view(runs: Sequence[RunMeasures], *, operation: str, code: ExitCode = ExitCode.OK) -> View:
    """All runs of one drill, and what they say together; ends with 3 where one showed what should not be."""
    outages = distribution([one.outage_seconds for one in runs if one.outage_seconds is not None])
    is_bad = any(problems_of(one) for one in runs)
    return View(
        kind="Drill",
        items=[run_row(one) for one in runs],
        columns=list(RUN_COLUMNS),
        notes=[*_together(runs, outages), f"operation {operation}"],
        exit_code=ExitCode.FINDINGS if code is ExitCode.OK and is_bad else code,
        empty="no run came to its end",
    )


def done_view(record: OperationRecord) -> View:
    """What became of a drill."""
    found: dict[int, dict[str, Any]] = {}
    for one in record.steps:
        is_measured = one.result is not None and not one.result.get("is_interrupted")
        if one.name.startswith("run:") and one.phase == "do" and is_measured:
            found[int(one.name.partition(":")[2])] = dict(one.result or {})
    return drill_view(
        [RunMeasures.of(found[number]) for number in sorted(found)], operation=str(record.id), code=record.exit_code
    )


def _together(runs: Sequence[RunMeasures], outages: Distribution) -> list[str]:
    failed = [one for one in runs if one.failure is not None]
    told = []
    if failed:
        numbers = ", ".join(str(one.number) for one in failed)
        told.append(f"{len(failed)} of {counted(len(runs), 'run')} failed: {numbers}")
    runs = [one for one in runs if one.failure is None]
    if not outages.count:
        return told
    p50, p95, most = (seconds(one) for one in (outages.p50, outages.p95, outages.most))
    within = "too few runs for an interval"
    if outages.interval is not None:
        within = f"the median lies between {seconds(outages.interval[0])} and {seconds(outages.interval[1])} (95 %)"
    old = sum(one.old_acknowledged or 0 for one in runs)
    lost = sum(one.lost or 0 for one in runs)
    unknown = sum(one.lost is None for one in runs)
    what = f"{printable(runs[0].kind)} by {runs[0].by}, {counted(outages.count, 'run')}"
    return [
        *told,
        f"{what}: outage p50 {p50}, p95 {p95}, max {most}; {within}",
        f"{lost} of {counted(sum(one.acknowledged for one in runs), 'acknowledged write')} lost"
        + (f", not known of {counted(unknown, 'run')}" if unknown else "")
        + f"; {old} acknowledged by an old primary after a promotion",
    ]
