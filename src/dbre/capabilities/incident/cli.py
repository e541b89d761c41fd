"""``dbre incident``: incidents from the first alert to the last action item."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.capabilities.incident.actions.cli import app as action_app
from dbre.capabilities.incident.postmortem.cli import app as postmortem_app
from dbre.core.view import Column, PluginState, PluginStatus, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.incident.model import Incident, Severity
    from dbre.capabilities.incident.states import IncidentState

__all__ = ["app"]

app = typer.Typer(help="Incidents: opened by alerts, worked on, learned from.", no_args_is_help=True)
app.add_typer(action_app, name="action")
app.add_typer(postmortem_app, name="postmortem")

Name = Annotated[str, typer.Argument(metavar="INCIDENT", help="INC-12, 12, or the id.")]
Text = Annotated[str, typer.Option("--text", "-m", help="What is known, for the timeline.")]
At = Annotated[
    str | None, typer.Option("--at", metavar="MOMENT", help="When it happened: 10m (before now), or 2026-11-21T04:00:00Z.")
]
SeverityOption = Annotated[str | None, typer.Option("--severity", help="sev1 (worst) to sev4.")]


def _when(value: object) -> str:
    return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%SZ}" if isinstance(value, str) else "-"


def _lasted(value: object) -> str:
    if not isinstance(value, int | float):
        return "-"
    hours, minutes = divmod(int(value) // 60, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{int(value) % 60:02}s"


def _share(value: object) -> str:
    return f"{value:.1%}" if isinstance(value, float) else "-"


def _words(value: object) -> str:
    return str(value).replace("_", " ") if value is not None else "-"


_COLUMNS = (
    Column(key="name", title="INCIDENT"),
    Column(key="severity", title="SEVERITY"),
    Column(key="state", title="STATE", format=_words),
    Column(key="cluster", title="CLUSTER"),
    Column(key="started_at", title="BEGAN", format=_when),
    Column(key="duration_seconds", title="LASTED", format=_lasted, right=True),
    Column(key="budget_consumed_ratio", title="BUDGET", format=_share, right=True),
    Column(key="assignee", title="IN THE HANDS OF"),
    Column(key="title", title="TITLE"),
    Column(key="detect_seconds", title="UNDETECTED", format=_lasted, right=True, wide=True),
    Column(key="resolved_at", title="RESOLVED", format=_when, wide=True),
)


@app.command("list")
async def list_all(
    ctx: typer.Context,
    *,
    show_all: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    cluster: Annotated[str | None, typer.Option("--cluster", help="Only incidents that touched this cluster.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Begun since: 7d, or a day. Shows ended ones too.")] = None,
) -> View:
    """Incidents that go on, the newest first."""
    from dbre.capabilities.incident.costs import costs_of
    from dbre.capabilities.incident.repository import list_incidents
    from dbre.capabilities.incident.rows import incident_row
    from dbre.capabilities.incident.states import OPEN
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    start, now = moment_of("--since", since, parts.clock), parts.clock.now()
    states = () if show_all or start is not None else OPEN
    async with parts.open_store() as store, store.read() as connection:
        found = await list_incidents(connection, states=states, cluster=cluster, since=start, limit=1_000)
        costs = await costs_of(connection, [one.id for one in found])
    return View(
        kind="IncidentList",
        items=[incident_row(one, now=now, costs=costs.get(one.id, ())) for one in found],
        columns=_COLUMNS,
        empty="no incident goes on" if states else "there was no incident",
        plugin=_plugin(found),
    )


def _plugin(found: "Sequence[Incident]") -> PluginStatus:
    going_on = [one for one in found if one.is_open]
    if not going_on:
        return PluginStatus(state=PluginState.OK, text="no incident goes on")
    is_critical = any(one.severity.value in ("sev1", "sev2") for one in going_on)
    text = "; ".join(f"{one.name} {one.severity.value} {one.title}" for one in going_on[:5])
    return PluginStatus(state=PluginState.CRITICAL if is_critical else PluginState.WARNING, text=text)


@app.command("show")
async def show(
    ctx: typer.Context,
    name: Name,
    *,
    lines: Annotated[int, typer.Option("--lines", min=1, max=10_000, help="Newest lines of the timeline.")] = 200,
) -> View:
    """One incident with its alerts, its measured cost, its timeline and its action items."""
    from dbre.capabilities.incident.actions.repository import list_actions
    from dbre.capabilities.incident.costs import measure
    from dbre.capabilities.incident.page import page_of
    from dbre.capabilities.incident.repository import alerts_of, incident_named, timeline_of
    from dbre.capabilities.incident.rows import action_row, alert_row, cost_row, entry_row, incident_row

    parts = runtime(ctx)
    now = parts.clock.now()
    async with parts.open_store() as store:
        async with store.read() as connection:
            one = await incident_named(connection, name)
            alerts = await alerts_of(connection, [one.id])
            timeline = await timeline_of(connection, one.id, limit=lines)
            actions = await list_actions(connection, incident_id=one.id)
        costs = await measure(store, parts.impact(store), one, now=now)
    item = incident_row(one, now=now, costs=costs) | {
        "alerts": [alert_row(alert) for alert in alerts],
        "costs": [cost_row(cost) for cost in costs],
        "timeline": [entry_row(entry) for entry in timeline],
        "actions": [action_row(action, now=now) for action in actions],
    }
    return View(kind="Incident", items=[item], single=True, columns=_COLUMNS, text=page_of(item))


def _changed(parts: Runtime, one: "Incident") -> View:
    from dbre.capabilities.incident.rows import incident_row

    return View(kind="Incident", items=[incident_row(one, now=parts.clock.now())], columns=_COLUMNS)


def _severity(text: str) -> "Severity":
    from dbre.capabilities.incident.model import Severity
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    try:
        return Severity(text.strip().lower())
    except ValueError as error:
        raise UsageError(f"{quoted(text, limit=40)} is not a severity", hint="write sev1, sev2, sev3 or sev4") from error


@app.command("open")
async def open_one(
    ctx: typer.Context,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="What users notice.")],
    *,
    severity: Annotated[str, typer.Option("--severity", help="sev1 (worst) to sev4.")] = "sev3",
    cluster: Annotated[str, typer.Option("--cluster", help="The cluster of the inventory, if it is one.")] = "",
    text: Text = "",
    started: Annotated[str | None, typer.Option("--started", metavar="MOMENT", help="When it began; default now.")] = None,
    quiet_open: Annotated[bool, typer.Option("--no-page", help="Wake nobody: a ticket.")] = False,
) -> View:
    """Declare an incident that no alert told of."""
    from dbre.capabilities.incident.desk import NewIncident
    from dbre.capabilities.incident.wiring import incident_desk
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    if cluster:
        parts.fleet.cluster(cluster)
    wanted = NewIncident(
        title=title,
        severity=_severity(severity),
        cluster=cluster,
        text=text,
        started_at=moment_of("--started", started, parts.clock),
        is_loud=not quiet_open,
    )
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.open(wanted))


@app.command("ack")
async def acknowledge(ctx: typer.Context, name: Name) -> View:
    """Take an incident in hand: nobody is paged for it any more."""
    from dbre.capabilities.incident.wiring import incident_desk

    parts = runtime(ctx)
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.acknowledge(name))


@app.command("note")
async def note(
    ctx: typer.Context,
    name: Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What was seen or done.")],
    *,
    at: At = None,
) -> View:
    """Write a line into the timeline."""
    from dbre.capabilities.incident.wiring import incident_desk
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.note(name, text, at=moment_of("--at", at, parts.clock)))


async def _move(ctx: typer.Context, name: str, state: "IncidentState", text: str, at: str | None) -> View:
    from dbre.capabilities.incident.wiring import incident_desk
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.move(name, state, text=text, at=moment_of("--at", at, parts.clock)))


@app.command("move")
async def move(
    ctx: typer.Context,
    name: Name,
    state: Annotated[str, typer.Argument(metavar="STATE", help="investigating, identified, monitoring, ...")],
    *,
    text: Text = "",
    at: At = None,
) -> View:
    """Go on to another state."""
    from dbre.capabilities.incident.states import IncidentState
    from dbre.core.errors import UsageError
    from dbre.core.text import closest, quoted

    word = state.strip().lower().replace("-", "_")
    if word not in list(IncidentState):
        near = closest(word, list(IncidentState))
        raise UsageError(
            f"{quoted(state, limit=40)} is not a state", hint=f"did you mean {near}?" if near else ", ".join(IncidentState)
        )
    return await _move(ctx, name, IncidentState(word), text, at)


@app.command("mitigate")
async def mitigate(ctx: typer.Context, name: Name, *, text: Text = "", at: At = None) -> View:
    """Say that users suffer no more, though the cause may still be there."""
    from dbre.capabilities.incident.states import IncidentState

    return await _move(ctx, name, IncidentState.MITIGATED, text, at)


@app.command("resolve")
async def resolve(
    ctx: typer.Context,
    name: Name,
    *,
    text: Text = "",
    at: At = None,
    false_positive: Annotated[bool, typer.Option("--false-positive", help="It was none.")] = False,
) -> View:
    """Say that it is over."""
    from dbre.capabilities.incident.states import IncidentState

    state = IncidentState.FALSE_POSITIVE if false_positive else IncidentState.RESOLVED
    return await _move(ctx, name, state, text, at)


@app.command("reopen")
async def reopen(
    ctx: typer.Context, name: Name, *, text: Annotated[str, typer.Option("--text", "-m", help="Why it goes on.")]
) -> View:
    """Let an incident go on that ended less than 24 hours ago."""
    from dbre.capabilities.incident.wiring import incident_desk

    parts = runtime(ctx)
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.reopen(name, text=text))


@app.command("merge")
async def merge(
    ctx: typer.Context, name: Name, into: Annotated[str, typer.Argument(metavar="INTO", help="The incident that stays.")]
) -> View:
    """Make an incident a part of another one."""
    from dbre.capabilities.incident.wiring import incident_desk

    parts = runtime(ctx)
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.merge(name, into))


@app.command("close")
async def close(
    ctx: typer.Context,
    name: Name,
    *,
    waive: Annotated[
        str, typer.Option("--waive", metavar="REASON", help="Close without the postmortem that is required.")
    ] = "",
) -> View:
    """Put an ended incident away."""
    from dbre.capabilities.incident.wiring import postmortem_desk

    parts = runtime(ctx)
    async with postmortem_desk(parts) as desk:
        return _changed(parts, await desk.close(name, waiver=waive))


@app.command("set")
async def amend(
    ctx: typer.Context,
    name: Name,
    *,
    title: Annotated[str | None, typer.Option("--title", help="What users noticed.")] = None,
    severity: SeverityOption = None,
    started: Annotated[str | None, typer.Option("--started", metavar="MOMENT", help="When it really began.")] = None,
    data_loss: Annotated[bool | None, typer.Option("--data-loss/--no-data-loss", help="Whether data was lost.")] = None,
    root_cause: Annotated[str | None, typer.Option("--root-cause", help="Why it happened.")] = None,
) -> View:
    """Correct what is known of an incident."""
    from dbre.capabilities.incident.desk import Amendment
    from dbre.capabilities.incident.wiring import incident_desk
    from dbre.core.errors import UsageError
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    if title is None and severity is None and started is None and data_loss is None and root_cause is None:
        raise UsageError("nothing is to be set", hint="--severity sev1, --title TEXT, --started MOMENT, ...")
    change = Amendment(
        title=title,
        severity=None if severity is None else _severity(severity),
        started_at=moment_of("--started", started, parts.clock),
        has_data_loss=data_loss,
        root_cause=root_cause,
    )
    async with incident_desk(parts) as desk:
        return _changed(parts, await desk.amend(name, change))


@app.command("deploy")
async def deploy(
    ctx: typer.Context,
    what: Annotated[str, typer.Argument(metavar="WHAT", help="What was deployed: shop, migration 42.")],
    *,
    cluster: Annotated[str, typer.Option("--cluster", help="The cluster that it touches.")],
    version: Annotated[str, typer.Option("--version", help="Its version.")] = "",
    text: Text = "",
) -> View:
    """Tell of a deploy, so that timelines of incidents show it."""
    from dbre.capabilities.incident.deploys import record_deploy

    parts = runtime(ctx)
    principal = await parts.principal()
    async with parts.open_store() as store:
        event = await record_deploy(
            store, parts.fleet, parts.clock, principal, cluster=cluster, what=what, version=version, note=text
        )
    item = {"id": str(event.id), "at": event.at.isoformat().replace("+00:00", "Z"), **event.data}
    columns = [Column(key=key, title=key.upper()) for key in ("cluster", "what", "version", "by")]
    return View(kind="Deploy", items=[item], columns=[Column(key="at", title="AT", format=_when), *columns])
