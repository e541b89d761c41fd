"""``dbre incident action``: what is to be done, by whom, until when."""

from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from datetime import date

    from dbre.capabilities.incident.actions.model import ActionItem

__all__ = ["app"]

app = typer.Typer(help="What is to be done after an incident, tracked to its end.", no_args_is_help=True)

Item = Annotated[str, typer.Argument(metavar="ACTION", help="INC-12/1.")]


_COLUMNS = (
    Column(key="name", title="ACTION"),
    Column(key="state", title="STATE"),
    Column(key="due", title="DUE"),
    Column(key="is_overdue", title="OVERDUE", format=lambda value: "overdue" if value else "-"),
    Column(key="owner", title="OWNER"),
    Column(key="kind", title="KIND"),
    Column(key="title", title="TITLE"),
    Column(key="reference", title="REFERENCE", wide=True),
    Column(key="ended_note", title="NOTE", wide=True),
)


def _view(parts: Runtime, item: "ActionItem") -> View:
    from dbre.capabilities.incident.rows import action_row

    return View(kind="IncidentAction", items=[action_row(item, now=parts.clock.now())], columns=_COLUMNS)


@app.command("add")
async def add(
    ctx: typer.Context,
    incident: Annotated[str, typer.Argument(metavar="INCIDENT", help="INC-12, 12, or the id.")],
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What is to be done.")],
    *,
    owner: Annotated[str, typer.Option("--owner", help="Who does it.")],
    due: Annotated[str, typer.Option("--due", metavar="DAY", help="2026-12-24, or 14d from now.")],
    kind: Annotated[str, typer.Option("--kind", help="prevent, detect or mitigate.")] = "prevent",
    reference: Annotated[str, typer.Option("--reference", help="A ticket elsewhere.")] = "",
) -> View:
    """Promise something, so that it does not happen again."""
    from dbre.capabilities.incident.actions.desk import NewAction
    from dbre.capabilities.incident.actions.model import ActionKind
    from dbre.capabilities.incident.wiring import action_desk
    from dbre.core.errors import UsageError

    parts = runtime(ctx)
    if kind not in list(ActionKind):
        raise UsageError(f"{kind[:40]!r} is not a kind of action", hint=f"known: {', '.join(ActionKind)}")
    wanted = NewAction(title=title, kind=ActionKind(kind), owner=owner, due=_day(parts, due), reference=reference)
    async with action_desk(parts) as desk:
        return _view(parts, await desk.add(incident, wanted))


def _day(parts: Runtime, text: str) -> "date":
    from datetime import date

    from dbre.core.errors import UsageError
    from dbre.core.units import parse_duration

    today = parts.clock.now().date()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = today + parse_duration(text)
    if day < today:
        raise UsageError(f"--due {day} lies in the past", hint=f"today is {today} (UTC)")
    return day


@app.command("list")
async def list_items(
    ctx: typer.Context,
    incident: Annotated[str | None, typer.Argument(metavar="[INCIDENT]", help="Only those of one incident.")] = None,
    *,
    show_all: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    owner: Annotated[str | None, typer.Option("--owner", help="Only those of one person.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose day is over.")] = False,
) -> View:
    """What is still to be done, by the day until which it is promised."""
    from dbre.capabilities.incident.actions.model import ActionState
    from dbre.capabilities.incident.actions.repository import list_actions
    from dbre.capabilities.incident.repository import incident_named
    from dbre.capabilities.incident.rows import action_row

    parts = runtime(ctx)
    now = parts.clock.now()
    async with parts.open_store() as store, store.read() as connection:
        only = None if incident is None else (await incident_named(connection, incident)).id
        states = () if show_all else (ActionState.OPEN,)
        found = await list_actions(connection, incident_id=only, states=states, owner=owner)
    shown = [one for one in found if one.is_overdue(now.date()) or not overdue]
    rows = [action_row(one, now=now) for one in shown]
    return View(kind="IncidentActionList", items=rows, columns=_COLUMNS, empty="nothing is to be done")


@app.command("done")
async def done(
    ctx: typer.Context, action: Item, *, text: Annotated[str, typer.Option("--text", "-m", help="What was done.")] = ""
) -> View:
    """Say that it is done."""
    from dbre.capabilities.incident.actions.model import ActionState
    from dbre.capabilities.incident.wiring import action_desk

    parts = runtime(ctx)
    async with action_desk(parts) as desk:
        return _view(parts, await desk.end(action, ActionState.DONE, note=text))


@app.command("drop")
async def drop(
    ctx: typer.Context, action: Item, *, text: Annotated[str, typer.Option("--text", "-m", help="Why not.")]
) -> View:
    """Decide against it, with a reason."""
    from dbre.capabilities.incident.actions.model import ActionState
    from dbre.capabilities.incident.wiring import action_desk

    parts = runtime(ctx)
    async with action_desk(parts) as desk:
        return _view(parts, await desk.end(action, ActionState.DROPPED, note=text))
