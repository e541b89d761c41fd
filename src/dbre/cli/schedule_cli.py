"""``dbre schedule``: operations that begin by the calendar."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.view import Column, Row, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from datetime import datetime

    from dbre.core.operation.schedule.model import Schedule, ScheduleState

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Operations that begin by the calendar.")

_COLUMNS = (
    Column(key="name", title="SCHEDULE"),
    Column(key="cron", title="CRON"),
    Column(key="time_zone", title="TIME ZONE"),
    Column(key="kind", title="OPERATION"),
    Column(key="state", title="STATE"),
    Column(key="next_at", title="NEXT"),
    Column(key="last_slot", title="LAST SLOT"),
    Column(key="last_operation_id", title="LAST OPERATION", wide=True),
    Column(key="last_skipped", title="LAST SKIPPED", wide=True),
)
_RUN_COLUMNS = (
    Column(key="slot", title="SLOT"),
    Column(key="local", title="LOCAL TIME"),
    Column(key="begins_at", title="BEGINS"),
)
_CHANGE_COLUMNS = (
    Column(key="name", title="SCHEDULE"),
    Column(key="status", title="STATUS"),
    Column(key="operation_id", title="OPERATION"),
)
Name = Annotated[str, typer.Argument(help="Name of the schedule.")]


@app.command("list")
async def list_(ctx: typer.Context) -> View:
    """Show the schedules of the configuration, and how far each has come."""
    from dbre.core.operation.schedule.store import new_state
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    async with here.open_remote() as remote:
        if remote is not None:
            items = [_remote_row(one) for one in await remote.items("/schedules")]
            return View(kind="ScheduleList", items=items, columns=_COLUMNS, empty="no schedule is configured")
    states, now = await _states(ctx), here.clock.now()
    items = [_row(one, states.get(one.name) or new_state(one.name), now) for one in _schedules(ctx)]
    return View(kind="ScheduleList", items=items, columns=_COLUMNS, empty="no schedule is configured")


@app.command()
async def show(ctx: typer.Context, name: Name, count: Annotated[int, typer.Option("--next", min=1, max=100)] = 5) -> View:
    """Show when a schedule comes next, and what became of its last slot."""
    from dbre.core.operation.schedule.store import new_state
    from dbre.core.progress import report
    from dbre.ports.runtime import runtime

    states = await _states(ctx)
    schedule = _find(ctx, name)
    state = states.get(name) or new_state(name)
    if state.is_suspended:
        report(f"{name} is suspended by {state.suspended_by}: dbre schedule resume {name}")
    if state.last_skipped is not None:
        report(f"last skipped: {_skipped(state)}")
    slot, items = runtime(ctx).clock.now(), []
    for _ in range(count):
        slot = schedule.cron.after(slot)
        local = f"{slot.astimezone(schedule.cron.zone):%a %Y-%m-%d %H:%M %Z}"
        items.append({"slot": slot, "local": local, "begins_at": schedule.begins_at(slot)})
    return View(kind="ScheduleSlotList", items=items, columns=_RUN_COLUMNS)


@app.command()
async def suspend(ctx: typer.Context, name: Name) -> View:
    """Run no slot of a schedule until it is resumed."""
    return await _switch(ctx, name, is_suspended=True)


@app.command()
async def resume(ctx: typer.Context, name: Name) -> View:
    """Let a schedule run again, from its next slot; what came meanwhile is not run."""
    return await _switch(ctx, name, is_suspended=False)


@app.command("run-now")
async def run_now(ctx: typer.Context, name: Name) -> View:
    """Submit the operation of a schedule once more, now, in your own name; its slots go on as before."""
    from dbre.core.operation.desk import Submission
    from dbre.ports.runtime import runtime

    async with runtime(ctx).open_remote() as remote:
        if remote is not None:
            return _change_view(await remote.ask("POST", f"/api/v1/schedules/{_quoted(name)}/run"), _CHANGE_COLUMNS)
    schedule = _find(ctx, name)
    async with runtime(ctx).open_desk() as desk:
        preview = await desk.preview(schedule.kind, schedule.input)
        asked = Submission(
            reason=f"schedule {name}, run now", confirm=schedule.confirm, zone=schedule.zone, priority=schedule.priority
        )
        operation = await desk.submit(preview.planned, asked)
    item = {"name": name, "status": "submitted", "operation_id": str(operation.id)}
    return View(kind="ScheduleChange", items=[item], columns=_CHANGE_COLUMNS, single=True)


async def _switch(ctx: typer.Context, name: str, *, is_suspended: bool) -> View:
    from dbre.core.audit.log import AuditLog
    from dbre.core.operation.schedule.switching import switch_schedule
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    async with here.open_remote() as remote:
        if remote is not None:
            act = "suspend" if is_suspended else "resume"
            return _change_view(await remote.ask("POST", f"/api/v1/schedules/{_quoted(name)}/{act}"), _CHANGE_COLUMNS[:2])
    _find(ctx, name)
    principal, verb = await here.principal(), "suspended" if is_suspended else "resumed"
    async with here.open_store() as store:
        audit = AuditLog(here.clock)
        is_changed = await switch_schedule(store, audit, here.clock, principal, name, is_suspended=is_suspended)
    status = verb if is_changed else f"already_{verb}"
    item = {"name": name, "status": status, "operation_id": None}
    return View(kind="ScheduleChange", items=[item], columns=_CHANGE_COLUMNS[:2], single=True)


def _quoted(name: str) -> str:
    from urllib.parse import quote

    return quote(name, safe="")


def _change_view(answer: dict[str, Any], columns: tuple[Column, ...]) -> View:
    item: Row = {key: answer.get(key) for key in ("name", "status", "operation_id")}
    return View(kind="ScheduleChange", items=[item], columns=columns, single=True)


def _remote_row(item: dict[str, Any]) -> Row:
    """An item of the API as this machine would show the same schedule."""
    from dbre.core.moments import moment_from

    skipped = item.get("last_skipped")
    runs = item.get("next_runs") or [None]
    return {
        "name": item.get("name"),
        "cron": item.get("cron"),
        "time_zone": item.get("time_zone"),
        "kind": item.get("operation"),
        "state": item.get("state"),
        "next_at": moment_from(runs[0]),
        "last_slot": moment_from(item.get("last_slot")),
        "last_operation_id": item.get("last_operation_id"),
        "last_skipped": f"{skipped['slot']}: {skipped['reason']}" if skipped else None,
    }


def _schedules(ctx: typer.Context) -> "tuple[Schedule, ...]":
    from dbre.assembly import schedules_of_installation
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    return schedules_of_installation(here.config, here.fleet)


def _find(ctx: typer.Context, name: str) -> "Schedule":
    from dbre.core.errors import UsageError
    from dbre.core.text import closest, quoted

    known = {one.name: one for one in _schedules(ctx)}
    if name not in known:
        near = closest(name, list(known))
        hint = f"did you mean {near}?" if near else f"known: {', '.join(known) or 'none'}"
        raise UsageError(f"no schedule is named {quoted(name, limit=100)}", hint=hint)
    return known[name]


async def _states(ctx: typer.Context) -> Any:
    from dbre.core.operation.schedule.store import read_states
    from dbre.core.store.errors import StoreMissing
    from dbre.ports.runtime import runtime

    try:
        async with runtime(ctx).open_store() as store, store.read() as connection:
            return await read_states(connection)
    except StoreMissing:  # nothing has run yet: the calendar is known without it
        return {}


def _row(schedule: "Schedule", state: "ScheduleState", now: "datetime") -> Row:
    runs = schedule.is_enabled and not state.is_suspended
    return {
        "name": schedule.name,
        "cron": schedule.cron.expression,
        "time_zone": schedule.cron.zone.key,
        "kind": schedule.kind,
        "state": "enabled" if runs else "suspended" if schedule.is_enabled else "disabled",
        "next_at": schedule.begins_at(schedule.cron.after(now)) if runs else None,
        "last_slot": state.last_slot,
        "last_operation_id": str(state.last_operation_id) if state.last_operation_id else None,
        "last_skipped": _skipped(state),
    }


def _skipped(state: "ScheduleState") -> str | None:
    if state.last_skipped is None:
        return None
    one = state.last_skipped
    return f"{one.slot:%Y-%m-%d %H:%MZ}" + (f" and {one.count - 1} before" if one.count > 1 else "") + f": {one.reason}"
