"""``dbre op``: operations listed, shown, followed, approved and steered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.cli.operation_rows import COLUMNS, MOST_LISTED, operation_row, plugin_status, states_named
from dbre.core.operation.act import Act
from dbre.core.view import View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from uuid import UUID

    from dbre.core.operation.desk import OperationDesk
    from dbre.core.operation.model import OperationRecord

__all__ = ["app"]

app = typer.Typer(help="Operations: list, show, follow, approve and steer them.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The operation; its first or last 8 characters or more are enough.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept in the audit log.")]
NeededReason = Annotated[str, typer.Option("--reason", help="Why; kept with the operation.")]


@app.command("list")
async def list_operations(
    ctx: typer.Context,
    state: Annotated[
        list[str] | None, typer.Option("--state", help="Only in this state; open for all that have not ended. May be repeated.")
    ] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind: settings.apply.")] = None,
    target: Annotated[str | None, typer.Option("--target", help="Only on this target, or below it: cluster/orders.")] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those that I asked for.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_LISTED, help="At most this many, the newest.")] = 25,
) -> View:
    """Operations, the newest first.

    With -o nagios: CRITICAL where one needs an operator, WARNING where one waits for more than an hour.
    """
    from dbre.core.operation.desk import OperationFilter

    here = runtime(ctx)
    states = states_named(state or [])
    async with here.open_desk() as desk:
        requester = (await here.principal()).name if mine else None
        wanted = OperationFilter(states=states, kind=kind, target=target, requested_by=requester, limit=limit)
        found = await desk.list(wanted)
        plugin = await plugin_status(desk, here.clock.now()) if ctx.params.get("output") == "nagios" else None
    now = here.clock.now()
    return View(
        kind="OperationList",
        items=[operation_row(one, now) for one in found],
        columns=COLUMNS,
        empty="no operation matches" if states or kind or target or mine else "no operation yet",
        notes=[f"shown: the newest {limit}; --limit {MOST_LISTED} for more"] if len(found) == limit else [],
        plugin=plugin,
    )


@app.command()
async def show(ctx: typer.Context, operation: Id) -> View:
    """The plan beside what became of it, gates, approvals, errors, and what can be done next."""
    from dataclasses import replace

    from dbre.cli.acting import operation_view
    from dbre.core.errors import ExitCode

    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.get(await _named(desk, operation))
    return replace(operation_view(record, now=here.clock.now()), errors=(), exit_code=ExitCode.OK)


@app.command()
async def watch(
    ctx: typer.Context,
    operation: Id,
    run: Annotated[bool, typer.Option("--run", help="Run it in this process where no worker does.")] = False,
    wait: Annotated[str | None, typer.Option("--timeout", metavar="TIME", help="Wait no longer: 10m. Then end with 8.")] = None,
) -> View | None:
    """Follow an operation to its end, and end as it did; Ctrl-C leaves it alone."""
    from dbre.cli.acting import followed_view
    from dbre.cli.following import follow
    from dbre.cli.progress_view import progress_view
    from dbre.core.units import parse_duration

    here = runtime(ctx)
    seconds = parse_duration(wait).total_seconds() if wait is not None else None
    view = progress_view(quiet=bool(ctx.params.get("quiet")), events=ctx.params.get("output") == "jsonl")
    async with here.open_desk() as desk:
        followed = await follow(
            desk, await _named(desk, operation), view=view, clock=here.clock, timeout_seconds=seconds, may_run=run
        )
    acted = followed_view(followed, now=here.clock.now())
    if acted.view is None:
        raise typer.Exit(acted.code or 0)
    return acted.view


@app.command()
def submit(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="File with a plan of --dry-run -o json; - for stdin.")],
) -> Act:
    """Run exactly this plan; 7 where it would be another one now."""
    from dbre.cli.plan_file import read_plan

    planned = read_plan(plan)
    return Act(kind=planned.kind, input=planned.input, planned=planned)


@app.command()
async def retry(ctx: typer.Context, operation: Id) -> Act:
    """Run an operation that ended badly once more, as a new one; 7 where its plan would be another one now."""
    from dbre.core.operation.errors import WrongState
    from dbre.core.operation.states import OperationState

    async with runtime(ctx).open_desk() as desk:
        old = await desk.get(await _named(desk, operation))
    if not old.is_final or old.state is OperationState.SUCCEEDED:
        raise WrongState(
            f"operation {old.id} is {old.state}; only one that ended badly can be tried again",
            hint=f"dbre op show {old.id}",
            context={"state": old.state.value},
        )
    return Act(kind=old.planned.kind, input=old.planned.input, planned=old.planned, reason=f"retry of {old.id}")


@app.command()
async def approve(
    ctx: typer.Context,
    operation: Id,
    plan_hash: Annotated[str | None, typer.Option("--plan-hash", metavar="HASH", help="Only this plan.")] = None,
    comment: Annotated[str | None, typer.Option("--comment", help="Kept with the approval.")] = None,
) -> View:
    """Consent to the stored plan of somebody else's operation."""
    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.approve(await _named(desk, operation), plan_hash=plan_hash, comment=comment)
        return await _changed(here, desk, record, f"approved: plan {record.plan_hash[:12]}")


@app.command()
async def pause(ctx: typer.Context, operation: Id, reason: Reason = None) -> View:
    """Stop at the next boundary, until it is resumed."""
    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.pause(await _named(desk, operation), reason=reason)
        return await _changed(here, desk, record, f"go on: dbre op resume {record.id}")


@app.command()
async def resume(ctx: typer.Context, operation: Id) -> View:
    """Let a paused operation go on."""
    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.resume(await _named(desk, operation))
        return await _changed(here, desk, record)


@app.command()
async def cancel(ctx: typer.Context, operation: Id, reason: Reason = None) -> View:
    """Stop at the next boundary, and undo what was done."""
    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.cancel(await _named(desk, operation), reason=reason)
        return await _changed(here, desk, record)


@app.command()
async def resolve(
    ctx: typer.Context,
    operation: Id,
    resolution: Annotated[str, typer.Argument(metavar="DECISION", help="done, redo, undo or give-up.")],
    reason: NeededReason,
) -> View:
    """Decide for an operation that needs an operator.

    done: the step happened, go on after it. redo: it did not, run it. undo: undo what was done. give-up: leave everything as it
    is. Look at the target first.
    """
    from dbre.core.errors import UsageError
    from dbre.core.operation.model import Resolution
    from dbre.core.text import quoted

    if resolution not in set(Resolution):
        known = ", ".join(one.value for one in Resolution)
        raise UsageError(f"{quoted(resolution, limit=60)} is no decision", hint=f"one of {known}")
    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.resolve(await _named(desk, operation), Resolution(resolution), reason=reason)
        return await _changed(here, desk, record)


@app.command("set")
async def set_values(
    ctx: typer.Context,
    operation: Id,
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="Tunables and their new values.")],
) -> View:
    """Change tunables of an operation while it runs."""
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    given: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not equals or not name or name in given:
            raise UsageError(f"{quoted(text, limit=100)} is not NAME=VALUE with a name of its own", hint="chunk_rows=500")
        given[name] = value
    here = runtime(ctx)
    async with here.open_desk() as desk:
        record = await desk.tune(await _named(desk, operation), given)
        return await _changed(here, desk, record)


@app.command()
async def override(
    ctx: typer.Context,
    operation: Id,
    gate: Annotated[str, typer.Argument(metavar="GATE", help="The gate that holds it.")],
    reason: NeededReason,
    ticket: Annotated[str | None, typer.Option("--ticket", metavar="ID", help="Where it was agreed.")] = None,
) -> View:
    """Bypass a gate that holds an operation; recorded, and needs the permission for it."""
    from dbre.core.operation.desk import OverrideRequest

    here = runtime(ctx)
    async with here.open_desk() as desk:
        request = OverrideRequest(gate=gate, reason=reason, ticket=ticket)
        record = await desk.override(await _named(desk, operation), request)
        return await _changed(here, desk, record)


@app.command()
async def evidence(
    ctx: typer.Context,
    operation: Id,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="New file for the pack.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
) -> View:
    """Write everything that is known of an operation into one file that anybody can check offline."""
    from dbre.cli.evidence_view import evidence_view

    here = runtime(ctx)
    async with here.open_desk() as desk:
        operation_id = await _named(desk, operation)
    return await evidence_view(here, operation_id, out, overwrite=overwrite)


async def _named(desk: "OperationDesk", text: str) -> "UUID":
    from dbre.core.operation.naming import operation_named

    return await operation_named(desk, text)


async def _changed(here: Runtime, desk: "OperationDesk", record: "OperationRecord", *more: str) -> View:
    """The operation after an act on it; says so where nobody lives who would run it."""
    from dbre.core.operation.desk import RunsHere
    from dbre.core.operation.states import CLAIMABLE

    notes = [f"operation {record.id}: {record.state.value.replace('_', ' ')}", *more]
    if record.state in CLAIMABLE and isinstance(desk, RunsHere):
        if await desk.is_held(record.id):
            notes.append(f"the process that runs it is told within seconds; follow it: dbre op watch {record.id}")
        elif not await desk.is_served(record.zone):
            notes.append(f"no worker lives, so nobody runs it: dbre op watch {record.id} --run")
    row = operation_row(record, here.clock.now())
    return View(kind="Operation", items=[row], columns=[one for one in COLUMNS if not one.wide], single=True, notes=notes)
