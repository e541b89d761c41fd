"""Where timelines left their parents, in the state store."""

from collections.abc import Collection, Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.model import TimelineSwitch
from dbre.capabilities.backup.tables import timeline_switch
from dbre.ports.backup.errors import LogConflict

__all__ = ["get_switch", "insert_switch", "list_switches"]


async def insert_switch(connection: AsyncConnection, one: TimelineSwitch) -> bool:
    """Write a switch; False where it is known. Raises: LogConflict where the timeline is known to have begun elsewhere."""
    known = await get_switch(connection, one.system_id, one.timeline)
    if known is None:
        values = {"system_id": one.system_id, "timeline": one.timeline, "parent": one.parent, "at": one.at}
        await connection.execute(insert(timeline_switch).values(values))
        return True
    if known == one:
        return False
    raise LogConflict(
        f"timeline {one.timeline} of system {one.system_id} is known to leave timeline {known.parent} at {known.at:#x},"
        f" and now it leaves {one.parent} at {one.at:#x}",
        hint="two servers were promoted to the same timeline: find the one that must not live",
        context={"system_id": one.system_id, "timeline": one.timeline},
    )


async def get_switch(connection: AsyncConnection, system_id: str, timeline: int) -> TimelineSwitch | None:
    """Where a timeline began; None where that is unknown, as it is of the first."""
    table = timeline_switch
    statement = select(table).where(table.c.system_id == system_id, table.c.timeline == timeline)
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    return TimelineSwitch(system_id=row.system_id, timeline=row.timeline, parent=row.parent, at=row.at)


async def list_switches(connection: AsyncConnection, system_ids: Collection[str]) -> Sequence[TimelineSwitch]:
    """The switches of some systems, by system and timeline."""
    table = timeline_switch
    statement = (
        select(table).where(table.c.system_id.in_(sorted(set(system_ids)))).order_by(table.c.system_id, table.c.timeline)
    )
    return [
        TimelineSwitch(system_id=row.system_id, timeline=row.timeline, parent=row.parent, at=row.at)
        for row in await connection.execute(statement)
    ]
