"""``dbre oncall``: who is on call, overrides, gaps, calendars, escalations."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import ExitCode
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.incident.oncall.people import Directory
    from dbre.capabilities.incident.oncall.shifts import Override, Schedule

__all__ = ["app"]

app = typer.Typer(help="Who is on call, and who is told when nobody answers.", no_args_is_help=True)
overrides = typer.Typer(help="Somebody is on call instead of somebody else.", no_args_is_help=True)
app.add_typer(overrides, name="override")

ScheduleName = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Name of the schedule.")]
SomeSchedule = Annotated[str | None, typer.Argument(metavar="[SCHEDULE]", help="Only this schedule.")]
Days = Annotated[int, typer.Option("--days", min=1, max=366, help="How far to look ahead.")]
_LONGEST_SHIFT = timedelta(days=366)
_SHIFT_COLUMNS = (
    Column(key="schedule", title="SCHEDULE"),
    Column(key="person", title="PERSON"),
    Column(key="begins_at", title="FROM"),
    Column(key="ends_at", title="UNTIL"),
    Column(key="local", title="LOCAL TIME"),
    Column(key="source", title="BY"),
)
_OVERRIDE_COLUMNS = (
    Column(key="id", title="ID"),
    Column(key="schedule", title="SCHEDULE"),
    Column(key="person", title="PERSON"),
    Column(key="replaces", title="INSTEAD OF"),
    Column(key="begins_at", title="FROM"),
    Column(key="ends_at", title="UNTIL"),
    Column(key="reason", title="REASON"),
    Column(key="created_by", title="BY", wide=True),
    Column(key="source", title="SOURCE", wide=True),
)


@app.command()
async def now(
    ctx: typer.Context,
    schedule: SomeSchedule = None,
    *,
    at: Annotated[str | None, typer.Option("--at", help="At another moment: 2026-12-24T20:00:00+01:00.")] = None,
) -> View:
    """Who is on call now; exit code 3 where nobody is."""
    from dbre.capabilities.incident.oncall.shifts import on_call_at

    here = runtime(ctx)
    moment = _moment("--at", at) if at else here.clock.now()
    directory = _directory(here)
    chosen = [directory.schedule(schedule)] if schedule else list(directory.schedules.values())
    held = await _overrides(here, moment)
    items: list[Row] = []
    for one in chosen:
        shift = on_call_at(one, moment, overrides=[each for each in held if each.schedule == one.name])
        items.append(_shift_row(one, None, None) if shift is None else _shift_row(one, shift.person, shift))
    is_nobody = any(one["person"] is None for one in items)
    return View(
        kind="OnCallList",
        items=items,
        columns=_SHIFT_COLUMNS,
        empty="no schedule is configured: oncall: schedules: in dbre.yaml",
        exit_code=ExitCode.FINDINGS if is_nobody else ExitCode.OK,
    )


@app.command("schedule")
async def show_schedule(
    ctx: typer.Context,
    schedule: ScheduleName,
    *,
    days: Days = 14,
    since: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Beginning; default now.")] = None,
) -> View:
    """Who is on call in the next days, overrides included."""
    from dbre.capabilities.incident.oncall.shifts import shifts

    here = runtime(ctx)
    begin = _moment("--from", since) if since else here.clock.now()
    found = _directory(here).schedule(schedule)
    held = await _overrides(here, begin, schedule)
    items = [_shift_row(found, one.person, one) for one in shifts(found, begin, begin + timedelta(days=days), overrides=held)]
    return View(kind="ShiftList", items=items, columns=_SHIFT_COLUMNS, empty=f"nobody is on call for the next {days} days")


@app.command("gaps")
async def show_gaps(ctx: typer.Context, schedule: SomeSchedule = None, *, days: Days = 90) -> View:
    """When nobody is on call, and names that no contact bears; exit code 3 where there is one."""
    from dbre.capabilities.incident.oncall.shifts import gaps

    here = runtime(ctx)
    directory = _directory(here)
    begin = here.clock.now()
    chosen = [directory.schedule(schedule)] if schedule else list(directory.schedules.values())
    held = await _overrides(here, begin)
    items: list[Row] = []
    for one in chosen:
        own = [each for each in held if each.schedule == one.name]
        for gap in gaps(one, begin, begin + timedelta(days=days), overrides=own):
            item = _shift_row(one, None, gap)
            items.append(
                {**item, "problem": "nobody_on_call", "detail": f"nobody is on call at {gap.begins_at:%Y-%m-%dT%H:%MZ}"}
            )
    items += [
        {"schedule": None, "begins_at": None, "ends_at": None, "local": None, "problem": "unknown_contact", "detail": str(one)}
        for one in directory.unknown()
    ]
    columns = [Column(key="schedule", title="SCHEDULE"), *_SHIFT_COLUMNS[2:5], Column(key="detail", title="PROBLEM")]
    code = ExitCode.FINDINGS if items else ExitCode.OK
    return View(kind="OnCallGapList", items=items, columns=columns, empty=f"no gap in {days} days", exit_code=code)


@app.command("export")
async def export(ctx: typer.Context, schedule: ScheduleName, *, days: Days = 90) -> View:
    """Print the shifts as an iCalendar file."""
    from dbre.capabilities.incident.oncall.calendar_file import calendar_text
    from dbre.capabilities.incident.oncall.shifts import shifts

    here = runtime(ctx)
    begin = here.clock.now()
    found = _directory(here).schedule(schedule)
    held = await _overrides(here, begin, schedule)
    # From long before, so that the shift that goes on now begins when it began, and keeps its UID from day to day.
    since = begin - _LONGEST_SHIFT
    around = shifts(found, since, begin + timedelta(days=days), overrides=held)
    chosen = [one for one in around if one.ends_at > begin]
    text = calendar_text(schedule, chosen, now=begin)
    items = [_shift_row(found, one.person, one) for one in chosen]
    return View(kind="ShiftList", items=items, columns=_SHIFT_COLUMNS, text=text.replace("\r\n", "\n").rstrip("\n"))


@app.command("import")
async def import_(
    ctx: typer.Context, schedule: ScheduleName, file: Annotated[Path, typer.Argument(help="An iCalendar file.")]
) -> View:
    """Make an override of every event of a calendar; what was imported before is not doubled."""
    from dbre.capabilities.incident.oncall.calendar_file import read_calendar
    from dbre.capabilities.incident.oncall.override_repository import NewOverride, add_overrides
    from dbre.core.errors import UsageError

    here = runtime(ctx)
    directory = _directory(here)
    found = directory.schedule(schedule)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    people = {one.name.lower(): one.name for one in directory.contacts.values()}
    people |= {one.email.lower(): one.name for one in directory.contacts.values() if one.email}
    asked = [
        NewOverride(
            schedule=schedule,
            contact=one.person,
            replaces=None,
            starts_at=one.begins_at,
            ends_at=one.ends_at,
            reason=f"imported from {file.name}",
            source=f"ical:{one.uid}",
        )
        for one in read_calendar(data, people=people, zone=found.zone)
    ]
    by = await _actor(here)
    async with here.open_store() as store:
        added = await add_overrides(store, asked, by=by, clock=here.clock)
    note = f"{len(asked) - len(added)} were there already" if len(added) < len(asked) else ""
    items = [_override_row(one) for one in added]
    return View(kind="OverrideList", items=items, columns=_OVERRIDE_COLUMNS, empty="nothing new", notes=[note] if note else [])


@app.command("escalations")
async def show_escalations(ctx: typer.Context) -> View:
    """Incidents that are escalated, and who is told next."""
    from dbre.capabilities.incident.oncall.escalation_repository import running_escalations

    async with runtime(ctx).open_store() as store, store.read() as connection:
        found = await running_escalations(connection)
    items: list[Row] = [
        {
            "incident": one.document.get("name"),
            "policy": one.policy,
            "state": one.state.value,
            "next_level": one.level + 1,
            "round": one.round + 1,
            "next_at": one.next_at,
            "acknowledged_by": one.acknowledged_by or None,
        }
        for one in found
    ]
    columns = [
        Column(key="incident", title="INCIDENT"),
        Column(key="state", title="STATE"),
        Column(key="policy", title="POLICY"),
        Column(key="next_level", title="NEXT LEVEL", right=True),
        Column(key="round", title="ROUND", right=True),
        Column(key="next_at", title="NEXT AT"),
        Column(key="acknowledged_by", title="ACKNOWLEDGED BY"),
    ]
    return View(kind="EscalationList", items=items, columns=columns, empty="no incident is escalated")


@overrides.command("add")
async def add_override(
    ctx: typer.Context,
    schedule: ScheduleName,
    person: Annotated[str, typer.Argument(metavar="PERSON", help="The contact who is on call instead.")],
    *,
    begin: Annotated[str, typer.Option("--from", metavar="TIME", help="now, or 2026-12-24T08:00:00+01:00")] = "now",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="8h from --from, or a moment")],
    replaces: Annotated[str | None, typer.Option("--instead-of", metavar="PERSON", help="Only where this one is.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="For the audit log.")] = "",
) -> View:
    """Put somebody on call for a time."""
    from dbre.capabilities.incident.oncall.override_repository import NewOverride, add_overrides

    here = runtime(ctx)
    directory = _directory(here)
    starts = here.clock.now() if begin == "now" else _moment("--from", begin)
    asked = NewOverride(
        schedule=directory.schedule(schedule).name,
        contact=directory.contact(person).name,
        replaces=None if replaces is None else directory.contact(replaces).name,
        starts_at=starts,
        ends_at=_end("--until", until, starts),
        reason=reason,
    )
    by = await _actor(here)
    async with here.open_store() as store:
        added = await add_overrides(store, [asked], by=by, clock=here.clock)
    return View(kind="Override", items=[_override_row(one) for one in added], columns=_OVERRIDE_COLUMNS, single=True)


@overrides.command("list")
async def list_overrides(ctx: typer.Context, schedule: SomeSchedule = None) -> View:
    """Overrides that hold now or later."""
    from dbre.capabilities.incident.oncall.override_repository import overrides_of

    here = runtime(ctx)
    if schedule is not None:
        _directory(here).schedule(schedule)
    async with here.open_store() as store, store.read() as connection:
        found = await overrides_of(connection, schedule, ending_after=here.clock.now())
    return View(
        kind="OverrideList", items=[_override_row(one) for one in found], columns=_OVERRIDE_COLUMNS, empty="no overrides"
    )


@overrides.command("revoke")
async def revoke(ctx: typer.Context, override: Annotated[str, typer.Argument(metavar="ID", help="Of the override.")]) -> View:
    """Take an override back; the schedule holds again."""
    from uuid import UUID

    from dbre.capabilities.incident.oncall.override_repository import revoke_override
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    here = runtime(ctx)
    try:
        override_id = UUID(override)
    except ValueError as error:
        raise UsageError(f"{quoted(override, limit=40)} is not an id", hint="dbre oncall override list") from error
    by = await _actor(here)
    async with here.open_store() as store:
        found = await revoke_override(store, override_id, by=by, clock=here.clock)
    return View(kind="Override", items=[_override_row(found)], columns=_OVERRIDE_COLUMNS, single=True)


def _directory(here: Runtime) -> "Directory":
    from dbre.capabilities.incident.delivery.wiring import directory_from

    return directory_from(here.config)


async def _actor(here: Runtime) -> str:
    from dbre.core.identity.model import Permission

    principal = await here.principal()
    principal.require(Permission.OPERATE, what="on-call duty")
    return principal.name


async def _overrides(here: Runtime, since: datetime, schedule: str | None = None) -> "tuple[Override, ...]":
    """Those of the state store; without one there are none yet."""
    from dbre.capabilities.incident.oncall.override_repository import overrides_of
    from dbre.core.store.errors import StoreMissing

    try:
        async with here.open_store() as store, store.read() as connection:
            return await overrides_of(connection, schedule, ending_after=since)
    except StoreMissing:
        return ()


def _moment(option: str, text: str) -> datetime:
    from dbre.core.errors import UsageError

    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{option} {text} is not a moment", hint="write 2026-12-24T08:00:00+01:00") from error
    if moment.tzinfo is None:
        raise UsageError(f"{option} {text} has no time zone", hint=f"write {text}Z for UTC")
    return moment


def _end(option: str, text: str, starts: datetime) -> datetime:
    from dbre.core.units import parse_duration

    return _moment(option, text) if "-" in text else starts + parse_duration(text)


def _shift_row(schedule: "Schedule", person: str | None, span: object) -> Row:
    begins: datetime | None = getattr(span, "begins_at", None)
    ends: datetime | None = getattr(span, "ends_at", None)
    local = None
    if begins is not None and ends is not None:
        local = f"{begins.astimezone(schedule.zone):%a %H:%M} to {ends.astimezone(schedule.zone):%a %Y-%m-%d %H:%M %Z}"
    row = {"schedule": schedule.name, "person": person, "begins_at": begins, "ends_at": ends, "local": local}
    return {**row, "source": getattr(span, "source", None)}


def _override_row(one: "Override") -> Row:
    return {
        "id": str(one.id),
        "schedule": one.schedule,
        "person": one.contact,
        "replaces": one.replaces,
        "begins_at": one.starts_at,
        "ends_at": one.ends_at,
        "reason": one.reason or None,
        "created_by": one.created_by,
        "source": one.source,
    }
