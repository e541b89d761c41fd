"""Incidents in the state store: rows read and written, in the caller's transaction."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.errors import IncidentChanged, NoSuchIncident
from dbre.capabilities.incident.model import Incident, IncidentAlert, Severity, TimelineEntry, TimelineKind
from dbre.capabilities.incident.states import IncidentState
from dbre.capabilities.incident.tables import incident, incident_alert, incident_timeline
from dbre.core.store.upsert import upsert
from dbre.core.text import quoted

__all__ = [
    "add_entries",
    "alerts_of",
    "count_entries",
    "count_incidents",
    "find_alert",
    "find_incident",
    "incident_named",
    "insert_incident",
    "keep_alert",
    "list_incidents",
    "next_number",
    "timeline_of",
    "update_incident",
]

_NAME = re.compile(r"(?:inc-)?(\d{1,9})", re.IGNORECASE)
_CHUNK = 500


async def next_number(connection: AsyncConnection) -> int:
    """The number of the next incident; a store has one writer at a time, so nobody else takes it before the commit."""
    return ((await connection.execute(select(func.max(incident.c.number)))).scalar() or 0) + 1


async def insert_incident(connection: AsyncConnection, one: Incident) -> None:
    """Write a new incident."""
    await connection.execute(insert(incident).values(_values(one)))


async def update_incident(connection: AsyncConnection, one: Incident, *, revision: int) -> None:
    """Replace an incident that still has ``revision``. Raises: IncidentChanged where somebody was faster."""
    statement = update(incident).where(incident.c.id == one.id, incident.c.revision == revision).values(_values(one))
    if (await connection.execute(statement)).rowcount != 1:
        raise IncidentChanged(f"{one.name} was changed by somebody else meanwhile", hint=f"dbre incident show {one.name}")


async def find_incident(connection: AsyncConnection, incident_id: UUID) -> Incident:
    """The incident of that id. Raises: NoSuchIncident."""
    row = (await connection.execute(select(incident).where(incident.c.id == incident_id))).first()
    if row is None:
        raise NoSuchIncident(f"there is no incident {incident_id}", hint="dbre incident list")
    return _incident(row)


async def incident_named(connection: AsyncConnection, text: str) -> Incident:
    """The incident that people mean by ``INC-12``, ``12`` or its id. Raises: NoSuchIncident."""
    word = text.strip().removeprefix("incident/")
    if match := _NAME.fullmatch(word):
        condition = incident.c.number == int(match[1])
    else:
        try:
            condition = incident.c.id == UUID(word)
        except ValueError as error:
            raise NoSuchIncident(
                f"{quoted(text, limit=80)} is not the name of an incident", hint="write INC-12 (dbre incident list)"
            ) from error
    row = (await connection.execute(select(incident).where(condition))).first()
    if row is None:
        raise NoSuchIncident(f"there is no incident {quoted(text, limit=80)}", hint="dbre incident list")
    return _incident(row)


async def list_incidents(
    connection: AsyncConnection,
    *,
    states: Collection[IncidentState] = (),
    cluster: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = 100,
) -> Sequence[Incident]:
    """Incidents, the newest first; ``since`` and ``until`` look at when they began."""
    statement = select(incident).order_by(incident.c.number.desc())
    if limit is not None:
        statement = statement.limit(limit)
    if states:
        statement = statement.where(incident.c.state.in_([one.value for one in states]))
    if cluster is not None:
        affected = select(incident_alert.c.incident_id).where(incident_alert.c.cluster == cluster)
        statement = statement.where((incident.c.cluster == cluster) | incident.c.id.in_(affected))
    if since is not None:
        statement = statement.where(incident.c.started_at >= since)
    if until is not None:
        statement = statement.where(incident.c.started_at < until)
    return [_incident(row) for row in await connection.execute(statement)]


async def count_incidents(connection: AsyncConnection) -> Mapping[tuple[IncidentState, Severity], int]:
    """How many incidents there are of each state and severity; those of which there is none are left out."""
    counted = select(incident.c.state, incident.c.severity, func.count()).group_by(incident.c.state, incident.c.severity)
    return {(IncidentState(one[0]), Severity(one[1])): one[2] for one in await connection.execute(counted)}


async def find_alert(connection: AsyncConnection, alert_id: str) -> IncidentAlert | None:
    """An alert that was heard of."""
    row = (await connection.execute(select(incident_alert).where(incident_alert.c.alert_id == alert_id))).first()
    return None if row is None else _alert(row)


async def keep_alert(connection: AsyncConnection, one: IncidentAlert) -> None:
    """Write an alert, anew or with its end."""
    row = {
        "alert_id": one.alert_id,
        "incident_id": one.incident_id,
        "slo": one.slo,
        "cluster": one.cluster,
        "group_key": one.group,
        "rule": one.rule,
        "severity": one.severity,
        "fired_at": one.fired_at,
        "resolved_at": one.resolved_at,
        "burn_rate": one.burn_rate,
    }
    await upsert(connection, incident_alert, [row], keys=["alert_id"])


async def alerts_of(connection: AsyncConnection, incident_ids: Collection[UUID]) -> Sequence[IncidentAlert]:
    """The alerts of some incidents, in the order in which they fired."""
    wanted, found = list(incident_ids), []
    for start in range(0, len(wanted), _CHUNK):
        condition = incident_alert.c.incident_id.in_(wanted[start : start + _CHUNK])
        found += [_alert(row) for row in await connection.execute(select(incident_alert).where(condition))]
    return sorted(found, key=lambda one: (one.fired_at, one.alert_id))


async def add_entries(connection: AsyncConnection, entries: Sequence[TimelineEntry]) -> int:
    """Write lines of timelines that are not there yet; their number."""
    added = 0
    for incident_id in {one.incident_id for one in entries}:
        own = {one.key: one for one in entries if one.incident_id == incident_id}
        known = await connection.execute(
            select(incident_timeline.c.key).where(
                incident_timeline.c.incident_id == incident_id, incident_timeline.c.key.in_(list(own))
            )
        )
        for key in known.scalars():
            del own[key]
        if own:
            await connection.execute(insert(incident_timeline), [_entry_values(one) for one in own.values()])
        added += len(own)
    return added


async def count_entries(connection: AsyncConnection, incident_id: UUID) -> int:
    """How many lines a timeline has."""
    statement = select(func.count()).select_from(incident_timeline).where(incident_timeline.c.incident_id == incident_id)
    return int((await connection.execute(statement)).scalar() or 0)


async def timeline_of(connection: AsyncConnection, incident_id: UUID, *, limit: int | None = None) -> Sequence[TimelineEntry]:
    """The timeline by the moments at which things happened; ``limit`` keeps the newest lines."""
    table = incident_timeline
    statement = (
        select(table)
        .where(table.c.incident_id == incident_id)
        .order_by(table.c.at.desc(), table.c.recorded_at.desc(), table.c.key.desc())
    )
    if limit is not None:
        statement = statement.limit(limit)
    return [_entry(row) for row in await connection.execute(statement)][::-1]


_PLAIN = frozenset(one.name for one in fields(Incident)) - {"state", "severity", "group"}


def _values(one: Incident) -> dict[str, Any]:
    own = {name: getattr(one, name) for name in _PLAIN}
    return own | {"state": one.state.value, "severity": one.severity.value, "group_key": one.group}


def _incident(row: Row[Any]) -> Incident:
    own = {name: getattr(row, name) for name in _PLAIN}
    return Incident(**own, state=IncidentState(row.state), severity=Severity(row.severity), group=row.group_key)


def _alert(row: Row[Any]) -> IncidentAlert:
    return IncidentAlert(
        alert_id=row.alert_id,
        incident_id=row.incident_id,
        slo=row.slo,
        cluster=row.cluster,
        group=row.group_key,
        rule=row.rule,
        severity=row.severity,
        fired_at=row.fired_at,
        resolved_at=row.resolved_at,
        burn_rate=row.burn_rate,
    )


def _entry_values(one: TimelineEntry) -> dict[str, Any]:
    return {
        "incident_id": one.incident_id,
        "key": one.key,
        "at": one.at,
        "recorded_at": one.recorded_at,
        "kind": one.kind.value,
        "actor": one.actor,
        "text": one.text,
        "details": dict(one.details),
    }


def _entry(row: Row[Any]) -> TimelineEntry:
    return TimelineEntry(
        incident_id=row.incident_id,
        key=row.key,
        at=row.at,
        recorded_at=row.recorded_at,
        kind=TimelineKind(row.kind),
        actor=row.actor,
        text=row.text,
        details=row.details,
    )
