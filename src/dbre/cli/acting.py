"""What a command that returns an ``Act`` goes through: plan, show, ask, submit, follow, result."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from dbre.cli.acting_flags import ActingFlags
from dbre.cli.forms import OutputFormat
from dbre.core.errors import DbreError, ExitCode, Refused, UsageError
from dbre.core.progress import report
from dbre.core.text import printable
from dbre.core.units import format_duration, parse_duration
from dbre.core.view import View

if TYPE_CHECKING:
    from dbre.cli.following import Followed
    from dbre.core.clock import Clock
    from dbre.core.operation.act import Act
    from dbre.core.operation.desk import OperationDesk, Preview, Submission
    from dbre.core.operation.model import OperationRecord
    from dbre.ports.runtime import Runtime

__all__ = ["Acted", "act", "failure_of", "followed_view", "moment_of", "operation_view"]

_TERMINATED = 143


@dataclass(frozen=True, slots=True, kw_only=True)
class Acted:
    """What a command that acts ends with: a view, or text that is printed as it is."""

    view: View | None = None
    text: str | None = None
    code: int | None = None  # None: the view's own


async def act(here: "Runtime", asked: "Act", flags: ActingFlags, *, form: OutputFormat, quiet: bool) -> Acted:
    """Do what was asked, as far as the flags say."""
    submission = _submission(asked, flags, here.clock)
    timeout = _timeout(flags)
    async with here.open_desk() as desk:
        record = await _known(desk, asked, submission)
        if record is None or flags.dry_run:
            preview = await _preview(desk, asked, flags)
            if flags.dry_run:
                return _dry(preview, form)
            record = await _submitted(desk, preview, submission, flags, quiet=quiet)
        if flags.no_wait:
            return await _stored(desk, record, flags)
        from dbre.cli.following import follow
        from dbre.cli.progress_view import progress_view

        view = progress_view(quiet=quiet, events=form is OutputFormat.JSONL)
        followed = await follow(desk, record.id, view=view, clock=here.clock, timeout_seconds=timeout)
    return followed_view(followed, now=here.clock.now(), view=asked.view)


async def _known(desk: "OperationDesk", asked: "Act", submission: "Submission") -> "OperationRecord | None":
    """The operation that an earlier try submitted with the same key: its plan would be another one by now."""
    from dbre.core.operation.desk import OperationFilter

    if submission.dedup_key is None or asked.planned is not None:
        return None
    if not await desk.list(OperationFilter(dedup_key=submission.dedup_key, limit=1)):
        return None
    record = await desk.request(asked.kind, asked.input, submission)
    report(f"operation {record.id} was submitted with this key already, {record.created_at:%Y-%m-%d %H:%M:%SZ}")
    return record


async def _preview(desk: "OperationDesk", asked: "Act", flags: ActingFlags) -> "Preview":
    from dbre.core.operation.errors import PlanChanged
    from dbre.core.operation.plan_diff import check_unchanged

    preview = await desk.preview(asked.kind, asked.input)
    if asked.planned is not None:
        check_unchanged(asked.planned, preview.planned)
    if flags.plan_hash is not None and flags.plan_hash != preview.planned.hash:
        raise PlanChanged(
            f"the plan has the hash {preview.planned.hash}, not {printable(flags.plan_hash, limit=64)}",
            hint="look at the new plan: --dry-run",
            context={"plan_hash": flags.plan_hash[:64], "plan_hash_now": preview.planned.hash},
        )
    return preview


async def _submitted(
    desk: "OperationDesk", preview: "Preview", submission: "Submission", flags: ActingFlags, *, quiet: bool
) -> "OperationRecord":
    from dbre.cli.confirming import confirm
    from dbre.cli.operation_text import plan_text
    from dbre.core.operation.gate_check import check_gates
    from dbre.core.operation.plan import Risk

    if preview.planned.plan.risk is not Risk.READ and not quiet:
        sys.stderr.write(plan_text(preview.planned, preview.decisions, preview.approvals_needed) + "\n")
    check_gates(preview.decisions, fail_if_busy=flags.fail_if_busy, overrides=flags.bypass)
    name = confirm(preview.planned, flags)
    return await desk.submit(preview.planned, replace(submission, confirm=name))


async def _stored(desk: "OperationDesk", record: "OperationRecord", flags: ActingFlags) -> Acted:
    from dbre.core.operation.desk import RunsHere

    notes = [f"follow it: dbre op watch {record.id}"]
    if isinstance(desk, RunsHere) and not record.is_final and not await desk.is_served(record.zone):
        notes = [
            f"no worker lives, so nobody runs it yet; start one (dbre server, dbre worker), or: dbre op watch {record.id} --run"
        ]
    code = record.exit_code
    if not record.is_final:
        code = ExitCode.PENDING if flags.fail_pending else ExitCode.OK
    return Acted(view=replace(operation_view(record, now=record.created_at), notes=notes, exit_code=code))


def _dry(preview: "Preview", form: OutputFormat) -> Acted:
    """The plan on stdout; as JSON or YAML it is the document that ``dbre op submit`` takes."""
    from dbre.cli.operation_text import plan_text
    from dbre.cli.render.documents import json_text
    from dbre.core.operation.documents import plan_document

    document = plan_document(preview.planned)
    if form is OutputFormat.JSON:
        return Acted(text=json_text(document, indent=2) + "\n", code=0)
    if form is OutputFormat.JSONL:
        return Acted(text=json_text(document) + "\n", code=0)
    text = plan_text(preview.planned, preview.decisions, preview.approvals_needed)
    return Acted(view=View(kind="Plan", items=[document], single=True, text=text, notes=["nothing was changed or stored"]))


def followed_view(followed: "Followed", *, now: datetime, view: "Callable[[OperationRecord], View] | None" = None) -> Acted:
    """The result of an operation that was waited for, or how to go on with one that was left."""
    from dbre.cli.following import Ending
    from dbre.core.operation.states import OperationState

    record = followed.record
    if followed.ending is not Ending.ENDED:
        return _left(followed, now=now)
    if view is not None and record.state is OperationState.SUCCEEDED:
        return Acted(view=view(record))
    return Acted(view=operation_view(record, now=now))


def _left(followed: "Followed", *, now: datetime) -> Acted:
    from dbre.cli.following import Ending
    from dbre.core.operation.states import OperationState

    record = followed.record
    if followed.ran_here:
        state = f"operation {record.id} was run by this process and stands still now: dbre op watch {record.id} --run goes on"
    else:
        goes = "waits" if record.state is OperationState.QUEUED else "goes on"  # nobody may live who would run it
        state = f"operation {record.id} {goes}: dbre op watch {record.id} follows it"
    notes = [f"{state}; dbre op cancel {record.id} ends it"]
    if followed.ending is Ending.TIMED_OUT:
        return Acted(view=replace(operation_view(record, now=now), notes=notes, exit_code=ExitCode.PENDING))
    sys.stderr.write(notes[0] + "\n")
    return Acted(code=int(ExitCode.INTERRUPTED) if followed.ending is Ending.INTERRUPTED else _TERMINATED)


def operation_view(record: "OperationRecord", *, now: datetime) -> View:
    """One operation as ``dbre op show`` shows it; ends as the operation did."""
    from dbre.cli.operation_text import operation_text
    from dbre.core.operation.documents import operation_document

    failure = failure_of(record)
    return View(
        kind="Operation",
        items=[operation_document(record)],
        single=True,
        text=operation_text(record, now=now),
        errors=[failure] if failure is not None else [],
        exit_code=record.exit_code,
    )


def failure_of(record: "OperationRecord") -> DbreError | None:
    """Why an operation that ended badly did."""
    from dbre.core.operation.remote_errors import error_of

    if record.exit_code in (ExitCode.OK, ExitCode.PENDING):
        return None
    found = dict(record.error or {"code": "operation.ended", "message": record.abort_reason or "no reason is known"})
    return error_of(0, found | {"message": f"operation {record.id} is {record.state}: {found.get('message')}"})


def _submission(asked: "Act", flags: ActingFlags, clock: "Clock") -> "Submission":
    from dbre.core.operation.desk import OverrideRequest, Submission

    if flags.bypass and not (flags.reason or "").strip():
        raise UsageError("--override needs --reason: both are recorded", hint='--reason "why it is right now"')
    if flags.ticket is not None and not flags.bypass:
        raise UsageError("--ticket goes with --override", hint="--override GATE --reason TEXT --ticket ID")
    from dbre.core.gates.asking import LOCK_GATE

    if LOCK_GATE in flags.bypass:
        raise Refused(
            f"gate {LOCK_GATE} cannot be overridden: two operations on one target would undo each other's work",
            hint="wait for the operation that holds the target, or cancel it: dbre gate held",
        )
    reason = flags.reason or asked.reason
    deadline = moment_of(flags.deadline, "--deadline", clock)
    if deadline is not None and deadline <= clock.now():
        raise UsageError(
            f"--deadline {deadline:%Y-%m-%d %H:%M:%SZ} has passed, it is {clock.now():%Y-%m-%d %H:%M:%SZ}",
            hint="write a time from now (2h) or a moment to come",
        )
    return Submission(
        reason=reason,
        confirm=flags.confirm,
        overrides=tuple(OverrideRequest(gate=one, reason=reason or "", ticket=flags.ticket) for one in flags.bypass),
        dedup_key=flags.idempotency_key,
        not_before=moment_of(flags.not_before, "--not-before", clock),
        deadline=deadline,
        zone=flags.zone,
        priority=flags.priority,
        fail_if_busy=flags.fail_if_busy,
    )


def moment_of(text: str | None, flag: str, clock: "Clock") -> datetime | None:
    """A moment, or a time from now. Raises: UsageError for one without time zone."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return clock.now() + min(parse_duration(text), timedelta(days=3650))
    if moment.tzinfo is None:
        raise UsageError(
            f"{flag} {printable(text, limit=60)} has no time zone", hint=f"write {printable(text, limit=60)}Z for UTC"
        )
    return moment


def _timeout(flags: ActingFlags) -> float | None:
    if flags.fail_pending and not flags.no_wait:
        raise UsageError("--fail-pending goes with --no-wait", hint="--timeout ends with 8 by itself")
    if flags.timeout is None:
        return None
    seconds = parse_duration(flags.timeout).total_seconds()
    if seconds <= 0:
        raise UsageError(f"--timeout {format_duration(seconds)} is no time", hint="--timeout 10m, or --no-wait")
    return seconds
