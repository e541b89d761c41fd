"""Recovery gaps in the state store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.model import RecoveryGap
from dbre.capabilities.backup.tables import recovery_gap

__all__ = ["get_gap", "insert_gap", "list_gaps", "update_gap"]


async def insert_gap(connection: AsyncConnection, one: RecoveryGap) -> None:
    """Write a new gap."""
    await connection.execute(insert(recovery_gap).values(_values(one)))


async def update_gap(connection: AsyncConnection, one: RecoveryGap) -> None:
    """Replace what is known of a gap, such as its end and its remedy."""
    await connection.execute(update(recovery_gap).where(recovery_gap.c.id == one.id).values(_values(one)))


async def get_gap(connection: AsyncConnection, gap_id: UUID) -> RecoveryGap | None:
    """The gap of that id; None where there is none."""
    row = (await connection.execute(select(recovery_gap).where(recovery_gap.c.id == gap_id))).first()
    return None if row is None else _gap(row)


async def list_gaps(
    connection: AsyncConnection, cluster: str | None = None, *, is_open: bool | None = None, since: datetime | None = None
) -> Sequence[RecoveryGap]:
    """Gaps by when they began; ``is_open`` False gives those that ended, ``since`` leaves out those that ended before it."""
    table = recovery_gap
    statement = select(table).order_by(table.c.began_at, table.c.id)
    if cluster is not None:
        statement = statement.where(table.c.cluster == cluster)
    if is_open is not None:
        statement = statement.where(table.c.ended_at.is_(None) if is_open else table.c.ended_at.is_not(None))
    if since is not None:
        statement = statement.where(table.c.ended_at.is_(None) | (table.c.ended_at >= since))
    return [_gap(row) for row in await connection.execute(statement)]


def _values(one: RecoveryGap) -> dict[str, Any]:
    return {
        "id": one.id,
        "cluster": one.cluster,
        "system_id": one.system_id,
        "timeline": one.timeline,
        "start_value": one.start,
        "end_value": one.end,
        "began_at": one.began_at,
        "ended_at": one.ended_at,
        "reason": one.reason,
        "remedy": one.remedy,
    }


def _gap(row: Row[Any]) -> RecoveryGap:
    return RecoveryGap(
        id=row.id,
        cluster=row.cluster,
        system_id=row.system_id,
        timeline=row.timeline,
        start=row.start_value,
        end=row.end_value,
        began_at=row.began_at,
        ended_at=row.ended_at,
        reason=row.reason,
        remedy=row.remedy,
    )
