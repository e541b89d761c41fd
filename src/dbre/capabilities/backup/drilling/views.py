"""Drills and proofs as tables and JSON."""

from collections.abc import Sequence
from datetime import datetime

from dbre.capabilities.backup.catalog.positions import position_value
from dbre.capabilities.backup.drilling.proof import Proof
from dbre.capabilities.backup.model import Drill, DrillVerdict
from dbre.core.errors import ExitCode
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.core.view import Column, PluginState, PluginStatus, Row, View

__all__ = ["drill_row", "drill_view", "drills_view", "proofs_view"]

_PLUGIN = {
    DrillVerdict.PASS: PluginState.OK,
    DrillVerdict.FAIL: PluginState.CRITICAL,
    DrillVerdict.INCONCLUSIVE: PluginState.WARNING,
}


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")


def _duration(value: object) -> str:
    return format_duration(value) if isinstance(value, int | float) else "-"


def _moment(value: object) -> str:
    return str(value)[:19].replace("T", " ") + "Z" if value else "-"


def drill_row(one: Drill) -> Row:
    """A drill as JSON."""
    return {
        "id": str(one.id),
        "cluster": one.cluster,
        "verdict": one.verdict.value,
        "level": one.level,
        "reason": one.reason,
        "target_kind": one.target_kind,
        "target_value": one.target_value,
        "mode": one.mode,
        "set_id": one.set_id,
        "system_id": one.system_id,
        "started_at": _utc(one.started_at),
        "ended_at": _utc(one.ended_at),
        "reached": position_value(one.reached),
        "reached_commit_at": _utc(one.reached_commit_at),
        "recovery_point_seconds": one.recovery_point_seconds,
        "recovery_time_seconds": one.recovery_time_seconds,
        "phases": [{"name": phase.name, "seconds": phase.seconds, "bytes": phase.bytes} for phase in one.phases],
        "results": [
            {
                "level": result.level,
                "name": result.name,
                "outcome": result.outcome.value,
                "detail": result.detail,
                "seconds": result.seconds,
            }
            for result in one.results
        ],
        "operation_id": str(one.operation_id) if one.operation_id else None,
    }


def drills_view(drills: Sequence[Drill]) -> View:
    """Drills, those that ended last first."""
    return View(
        kind="DrillList",
        items=[drill_row(one) for one in drills],
        columns=(
            Column(key="ended_at", title="ENDED", format=_moment),
            Column(key="cluster", title="CLUSTER"),
            Column(key="verdict", title="VERDICT"),
            Column(key="level", title="LEVEL"),
            Column(key="target_kind", title="TARGET"),
            Column(key="target_value", title="MOMENT", wide=True),
            Column(key="mode", title="MODE"),
            Column(key="recovery_point_seconds", title="RPO", format=_duration, right=True),
            Column(key="recovery_time_seconds", title="RTO", format=_duration, right=True),
            Column(key="reason", title="REASON", format=lambda value: printable(str(value), limit=160), below=True),
            Column(key="set_id", title="SET", wide=True),
            Column(key="id", title="DRILL", wide=True),
        ),
        empty="there was no drill yet: dbre backup drill CLUSTER",
    )


def drill_view(one: Drill) -> View:
    """One drill with every result; ends with 3 unless it passed."""
    rows: list[Row] = [
        {
            "level": result.level,
            "check": result.name,
            "outcome": result.outcome.value,
            "seconds": result.seconds,
            "detail": result.detail,
        }
        for result in one.results
    ]
    notes = [f"{one.verdict.value}: {one.reason}"]
    if one.recovery_time_seconds is not None:
        parts = ", ".join(f"{phase.name} {phase.seconds:.1f} s" for phase in one.phases)
        notes.append(f"recovery time {format_duration(one.recovery_time_seconds)}: {parts}")
    if one.recovery_point_seconds is not None:
        notes.append(f"recovery point: {format_duration(one.recovery_point_seconds)} before the target at most")
    return View(
        kind="DrillResultList",
        items=rows,
        columns=(
            Column(key="level", title="LEVEL"),
            Column(key="check", title="CHECK"),
            Column(key="outcome", title="OUTCOME"),
            Column(key="seconds", title="SECONDS", format=lambda value: f"{value:.2f}", right=True),
            Column(key="detail", title="DETAIL", below=True),
        ),
        title=f"drill {one.id} of {one.cluster}: {one.verdict.value}",
        notes=notes,
        exit_code=ExitCode.OK if one.verdict is DrillVerdict.PASS else ExitCode.FINDINGS,
        plugin=PluginStatus(state=_PLUGIN[one.verdict], text=f"{one.cluster}: {one.verdict.value}: {one.reason}"),
    )


def proofs_view(proofs: Sequence[Proof], *, notes: Sequence[str] = ()) -> View:
    """The checklist of each cluster, line by line; ends with 3 unless all of it holds."""
    rows: list[Row] = [
        {
            "cluster": one.cluster,
            "question": line.question,
            "answer": line.answer.value,
            "detail": line.detail,
            "drill_id": str(one.drill.id) if one.drill else None,
            "operation_id": str(one.drill.operation_id) if one.drill and one.drill.operation_id else None,
        }
        for one in proofs
        for line in one.lines
    ]
    is_proved = all(one.holds for one in proofs)
    open_lines = sum(line.answer.value != "yes" for one in proofs for line in one.lines)
    return View(
        kind="BackupProofList",
        items=rows,
        columns=(
            Column(key="cluster", title="CLUSTER"),
            Column(key="question", title="LINE"),
            Column(key="answer", title="ANSWER"),
            Column(key="detail", title="DETAIL", below=True),
            Column(key="drill_id", title="DRILL", wide=True),
        ),
        notes=notes,
        empty="no backup policy selects a cluster: there is nothing to prove",
        exit_code=ExitCode.OK if is_proved else ExitCode.FINDINGS,
        plugin=PluginStatus(
            state=PluginState.OK if is_proved else PluginState.CRITICAL,
            text="every line holds" if is_proved else f"{open_lines} lines of the checklist do not hold",
        ),
    )
