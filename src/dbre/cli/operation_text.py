"""Plans and operations as text for people: the plan before it runs, and the plan beside what became of it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from dbre.core.gates.model import GateDecision, GateVerdict
from dbre.core.operation.model import Hold, OperationRecord
from dbre.core.operation.outline import OutlineRow, StepFate, outline
from dbre.core.operation.plan import Plan, PlannedOperation
from dbre.core.operation.states import OperationState
from dbre.core.text import printable
from dbre.core.units import format_bytes, format_duration

__all__ = [
    "gate_lines",
    "hold_text",
    "next_steps",
    "operation_text",
    "outline_line",
    "plan_text",
    "progress_text",
    "waiting_text",
]

_MARKS = {
    StepFate.WAITING: "·",
    StepFate.RUNNING: "→",
    StepFate.DONE: "✓",
    StepFate.FAILED: "✗",
    StepFate.UNKNOWN: "?",
    StepFate.SKIPPED: "-",
    StepFate.UNDOING: "↩",
    StepFate.UNDONE: "↩",
    StepFate.UNDO_FAILED: "✗",
    StepFate.NEVER: "·",
}
_S = OperationState


def plan_text(planned: PlannedOperation, decisions: Sequence[GateDecision] = (), approvals_needed: int = 0) -> str:
    """The whole plan: what changes, step by step, what may feel it, what the gates say."""
    plan = planned.plan
    lines = [
        f"plan of {printable(planned.kind)}: {printable(plan.summary)}",
        f"  target    {printable(plan.target)} ({plan.lock}), risk {plan.risk}" + _estimate(plan),
        f"  hash      {planned.hash}",
        *_listed("steps", [_step_words(plan, index) for index in range(len(plan.steps))] or ["none: nothing is to be done"]),
        *_listed("changes", [f"{one.subject}: {_value(one.before)} -> {_value(one.after)}" for one in plan.changes]),
        *_listed("felt by", plan.blast_radius),
        *_listed("warnings", plan.warnings),
        *_listed("gates", gate_lines(decisions)),
    ]
    if approvals_needed:
        lines.append(f"  approvals {approvals_needed} needed before it runs (dbre op approve)")
    return "\n".join(lines)


def gate_lines(decisions: Sequence[GateDecision]) -> list[str]:
    """One line for each gate that has something to say, the worst first; one line for all where none has."""
    loud = [one for one in decisions if one.verdict is not GateVerdict.ALLOW or one.is_overridden]
    lines = [f"{one.gate} {'is overridden' if one.is_overridden else one.verdict.value + 's'}: {one.reason}" for one in loud]
    quiet = [one.gate for one in decisions if one not in loud]
    return lines + ([f"{', '.join(quiet)} allow{'s' if len(quiet) == 1 else ''}"] if quiet else [])


def operation_text(record: OperationRecord, *, now: datetime) -> str:
    """Everything that a person wants to know of an operation, its plan beside reality."""
    plan = record.planned.plan
    lines = [
        f"operation {record.id}: {record.state}",
        f"  what      {printable(record.planned.kind)}: {printable(plan.summary)}",
        f"  target    {printable(plan.target)} ({plan.lock}), risk {plan.risk}",
        f"  asked by  {printable(record.requested_by)} at {_when(record.created_at)}" + _because(record.reason),
        *_times(record, now=now),
        *_listed("steps", [outline_line(row) for row in outline(record, now=now)]),
        *_listed("verified", _verified(record)),
        *_listed("approved", [f"{one.approver} at {_when(one.at)}" + _because(one.comment) for one in record.approvals]),
        *_listed("overridden", [f"{one.gate} by {one.by}: {one.reason}" + _ticket(one.ticket) for one in record.overrides]),
        *_listed("gates", _gate_history(record)),
        *_listed("decided", [f"{one.resolution} by {one.by}: {one.reason}" for one in record.resolutions]),
        *_listed("tuned", [f"{name}={value}" for name, value in record.tuning.items()]),
    ]
    if record.hold is not None and not record.is_final:
        lines.append(f"  waits     {hold_text(record.hold)}, since {_when(record.hold.since)}")
    if record.cancel_requested_by is not None and not record.is_final:
        lines.append(f"  cancel    asked by {printable(record.cancel_requested_by)}")
    if record.abort_reason is not None:
        lines.append(f"  ended     {printable(record.abort_reason)}")
    if record.error is not None:
        lines += [f"  error     {_message(record.error)}", *_hint(record.error)]
    return "\n".join([*lines, *(f"  next      {one}" for one in next_steps(record))])


def outline_line(row: OutlineRow) -> str:
    """One step: a mark, its name, what became of it."""
    words = [f"{_MARKS[row.fate]} {row.step.name}: {row.fate.replace('_', ' ')}"]
    if row.seconds is not None and row.fate is not StepFate.UNKNOWN:
        estimate = row.step.estimate_seconds
        planned = f" / est {format_duration(estimate)}" if estimate and row.fate is StepFate.RUNNING else ""
        words.append(f" in {_short(row.seconds)}" if row.fate is not StepFate.RUNNING else f" {_short(row.seconds)}{planned}")
    if row.progress is not None and row.fate is StepFate.RUNNING:
        words.append(f", {progress_text(row.progress)}")
    if row.tries > 1:
        words.append(f", {row.tries} tries")
    if row.is_recovered:
        words.append(", found done after a crash")
    if row.error is not None:
        words.append(f": {_message(row.error)}")
    elif row.step.summary:
        words.append(f" ({row.step.summary})")
    return printable("".join(words), limit=500)


def progress_text(progress: Any) -> str:
    """How far a step is: ``1500000 of 4000000 rows (38%)``, ``1.5 of ...`` of any unit, bytes as ``30.0 MiB of 48.2 MiB``."""
    done, total, unit = progress.get("done"), progress.get("total"), progress.get("unit", "")
    if not isinstance(done, int | float):
        return ""
    if isinstance(total, int | float) and total > 0:
        return printable(f"{_amount(done, unit, is_part=True)} of {_amount(total, unit)} ({min(done / total, 1):.0%})")
    return printable(_amount(done, unit))


def _amount(count: float, unit: Any, *, is_part: bool = False) -> str:
    if unit == "bytes":
        return format_bytes(int(count))
    number = f"{count:.0f}" if float(count).is_integer() else f"{count:g}"
    return number if is_part or not unit else f"{number} {unit}"


def hold_text(hold: Hold) -> str:
    """Who holds it and why."""
    return printable(f"held by gate {hold.by}: {hold.reason}" if hold.is_gate else f"paused by {hold.by}: {hold.reason}")


def waiting_text(record: OperationRecord) -> str | None:
    """What it waits for; None: nothing."""
    if record.state is _S.AWAITING_APPROVAL:
        return f"consent of somebody else than {printable(record.requested_by)}"
    if record.state is _S.NEEDS_OPERATOR:
        return "a decision: dbre op resolve"
    return hold_text(record.hold) if record.hold is not None and not record.is_final else None


def next_steps(record: OperationRecord) -> list[str]:
    """What somebody can do now, as commands."""
    name = str(record.id)
    if record.state is _S.NEEDS_OPERATOR:
        return [f"look at the target, then: dbre op resolve {name} done|redo|undo|give-up --reason TEXT"]
    if record.state is _S.AWAITING_APPROVAL:
        return [f"somebody else than {printable(record.requested_by)} approves: dbre op approve {name}"]
    if record.state is _S.PAUSED and record.hold is not None and not record.hold.is_gate:
        return [f"dbre op resume {name}", f"dbre op cancel {name}"]
    if record.hold is not None and record.hold.is_gate and not record.is_final:
        return [f"wait, or: dbre op override {name} {record.hold.by} --reason TEXT", f"dbre op cancel {name}"]
    if record.state in (_S.FAILED, _S.COMPENSATED, _S.CANCELLED):
        return [f"dbre op retry {name}"]
    return [] if record.is_final else [f"dbre op watch {name}", f"dbre op cancel {name}"]


def _step_words(plan: Plan, index: int) -> str:
    step = plan.steps[index]
    facts = ["cannot be undone" if step.irreversible else f"undone by {step.undo}" if step.undo else ""]
    facts.append(f"about {format_duration(step.estimate_seconds)}" if step.estimate_seconds else "")
    shown = ", ".join(one for one in facts if one)
    return f"{index + 1}. {step.name}: {step.summary}" + (f" ({shown})" if shown else "")


def _estimate(plan: Plan) -> str:
    return f", about {format_duration(plan.estimate_seconds)}" if plan.estimate_seconds else ""


def _listed(title: str, items: Sequence[str]) -> Iterator[str]:
    for index, item in enumerate(items):
        yield f"  {title if index == 0 else '':<9} {printable(item, limit=500)}"


def _times(record: OperationRecord, *, now: datetime) -> Iterator[str]:
    if record.started_at is not None:
        seconds = ((record.ended_at or now) - record.started_at).total_seconds()
        verb = "took" if record.ended_at else "for"
        yield f"  started   {_when(record.started_at)}, {verb} {_short(max(seconds, 0))}"
    elif record.not_before is not None and not record.is_final and record.hold is None:
        yield f"  starts    {_when(record.not_before)}"
    if record.deadline is not None:
        yield f"  deadline  {_when(record.deadline)}"
    if record.owner is not None and not record.is_final:
        yield f"  worker    {printable(record.owner)}, attempt {record.attempt}"


def _verified(record: OperationRecord) -> list[str]:
    found = (record.outcome or {}).get("verifications")
    if not isinstance(found, list):
        return []
    return [
        f"{'✓' if one.get('holds') else '✗'} {one.get('subject')}: {one.get('detail')}"
        for one in found
        if isinstance(one, dict)
    ]


def _gate_history(record: OperationRecord) -> list[str]:
    return [
        f"{_when(one.at)} {one.gate} {'overridden' if one.is_overridden else one.verdict}: {one.reason}"
        for one in record.gates
        if one.verdict != GateVerdict.ALLOW.value or one.is_overridden
    ]


def _message(error: Any) -> str:
    return printable(str(error.get("message") or error.get("code") or "unknown"), limit=500)


def _hint(error: Any) -> list[str]:
    hint = error.get("hint")
    return [f"  hint      {printable(str(hint), limit=500)}"] if hint else []


def _because(text: str | None) -> str:
    return f": {printable(text, limit=300)}" if text else ""


def _ticket(ticket: str | None) -> str:
    return f" ({ticket})" if ticket else ""


def _value(value: str | None) -> str:
    return "not set" if value is None else value


def _when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else format_duration(seconds)
