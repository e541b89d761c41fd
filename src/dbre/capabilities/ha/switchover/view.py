"""How ``dbre ha switchover`` shows what it sees, and what it has done."""

from typing import Any

from dbre.capabilities.ha.switchover.assessment import Assessment
from dbre.capabilities.ha.switchover.checks import CheckState, check_row
from dbre.capabilities.ha.switchover.timing import timing_of
from dbre.core.errors import ExitCode
from dbre.core.operation.model import OperationRecord
from dbre.core.text import counted
from dbre.core.units import format_bytes, format_duration
from dbre.core.view import Column, View

__all__ = ["assessment_view", "done_view"]

_MARKS = {CheckState.OK.value: "ok", CheckState.WARN.value: "warn", CheckState.FAIL.value: "FAIL"}


def assessment_view(seen: Assessment) -> View:
    """Every check with value, limit, source and remedy; ends with 3 where one is in the way."""
    rows = [dict(check_row(one)) for one in seen.checks]
    order = {CheckState.FAIL.value: 0, CheckState.WARN.value: 1, CheckState.OK.value: 2}
    rows.sort(key=lambda row: order[str(row["state"])])
    document = {
        "cluster": seen.survey.cluster.name,
        "primary": seen.primary,
        "candidate": seen.candidate.name if seen.candidate is not None else None,
        "may_switch": not seen.failed,
        "by": seen.hand_over.name if seen.hand_over is not None else "dbre",
        "last_seconds": seen.timing.seconds if seen.timing is not None else None,
        "expected_loss_bytes": 0,
        "candidates": [
            {"name": one.name, "is_fit": one.is_fit, "lag_bytes": one.lag_bytes, "reason": one.reason}
            for one in seen.candidates
        ],
        "checks": rows,
    }
    return View(
        kind="SwitchoverCheck",
        items=[document],
        single=True,
        text=_text(seen, rows),
        exit_code=ExitCode.FINDINGS if seen.failed else ExitCode.OK,
    )


def done_view(record: OperationRecord) -> View:
    """What became of it: who is primary, how long nobody could write, and what was verified."""
    observed = record.planned.plan.observed
    timing = timing_of(record)
    row: dict[str, Any] = {
        "primary": observed["candidate"],
        "before": observed["primary"],
        "write_gap_seconds": timing.seconds if timing is not None else None,
        "state": record.state.value,
        "operation": str(record.id),
    }
    columns = [
        Column(key="primary", title="PRIMARY"),
        Column(key="before", title="BEFORE"),
        Column(
            key="write_gap_seconds",
            title="NO WRITES FOR",
            format=lambda value: _span(value) if isinstance(value, float) else "-",
        ),
        Column(key="state", title="STATE"),
        Column(key="operation", title="OPERATION", wide=True),
    ]
    return View(kind="SwitchedPrimary", items=[row], columns=columns, exit_code=record.exit_code)


def _text(seen: Assessment, rows: list[dict[str, Any]]) -> str:
    lines = [_headline(seen), ""]
    for one in seen.candidates:
        behind = "unknown" if one.lag_bytes is None else format_bytes(one.lag_bytes)
        mark = "*" if seen.candidate is not None and one.name == seen.candidate.name else " "
        lines.append(f"  {mark} {one.name}: {behind} behind, {one.reason}")
    if seen.candidates:
        lines.append("")
    for row in rows:
        lines.append(f"{_MARKS[str(row['state'])]:<4}  {row['subject']}: {row['rule'].replace('_', ' ')}: {row['value']}")
        if row["state"] != CheckState.OK.value:
            lines.append(f"      wanted: {row['limit']} (seen by {row['source']})")
            if row["remedy"]:
                lines.append(f"      remedy: {row['remedy']}")
    lines += ["", _forecast(seen)]
    return "\n".join(lines) + "\n"


def _headline(seen: Assessment) -> str:
    cluster = seen.survey.cluster.name
    if seen.failed:
        return f"{cluster}: the primary cannot be changed now: {counted(len(seen.failed), 'check')} in the way"
    to = seen.candidate.name if seen.candidate is not None else "nobody"
    return f"{cluster}: {to} can take over from {seen.primary}"


def _forecast(seen: Assessment) -> str:
    if seen.timing is None:
        took = "not measured on this cluster yet"
    else:
        took = f"about {_span(seen.timing.seconds)}, as on {seen.timing.ended_at:%Y-%m-%d %H:%M} UTC"
    return f"no writes: {took}\nloss: none; nobody is promoted before it has everything that was acknowledged"


def _span(seconds: float) -> str:
    return format_duration(round(seconds, 3))
