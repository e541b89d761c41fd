"""How long the parts of restores took, in the state store: what forecasts are made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.tables import restore_phase
from dbre.core.store.upsert import upsert
from dbre.ports.backup.model import Phase

__all__ = ["RestorePhase", "list_phases", "record_phases"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePhase:
    """One part of one restore, as it was measured."""

    operation_id: UUID
    number: int  # by which it is told from the others of its operation
    cluster: str
    engine: str
    vault: str | None  # from which it fetched
    phase: Phase
    is_faithful: bool  # False: fast mode; it says nothing about how long a restore takes
    at: datetime


async def record_phases(connection: AsyncConnection, phases: Sequence[RestorePhase]) -> None:
    """Write phases; those of an operation that was resumed replace what it wrote before under the same numbers."""
    rows = [
        {
            "operation_id": one.operation_id,
            "number": one.number,
            "cluster": one.cluster,
            "engine": one.engine,
            "name": one.phase.name,
            "vault": one.vault,
            "seconds": one.phase.seconds,
            "bytes": one.phase.bytes,
            "is_faithful": one.is_faithful,
            "at": one.at,
        }
        for one in phases
    ]
    await upsert(connection, restore_phase, rows, keys=["operation_id", "number"])


async def list_phases(
    connection: AsyncConnection,
    *,
    cluster: str | None = None,
    engine: str | None = None,
    operation_id: UUID | None = None,
    only_faithful: bool = False,
    since: datetime | None = None,
    limit: int | None = 2_000,
) -> Sequence[RestorePhase]:
    """Phases, the newest first."""
    table = restore_phase
    statement = select(table).order_by(table.c.at.desc(), table.c.operation_id, table.c.number)
    if cluster is not None:
        statement = statement.where(table.c.cluster == cluster)
    if engine is not None:
        statement = statement.where(table.c.engine == engine)
    if operation_id is not None:
        statement = statement.where(table.c.operation_id == operation_id)
    if only_faithful:
        statement = statement.where(table.c.is_faithful.is_(True))
    if since is not None:
        statement = statement.where(table.c.at >= since)
    if limit is not None:
        statement = statement.limit(limit)
    return [
        RestorePhase(
            operation_id=row.operation_id,
            number=row.number,
            cluster=row.cluster,
            engine=row.engine,
            vault=row.vault,
            phase=Phase(name=row.name, seconds=row.seconds, bytes=row.bytes),
            is_faithful=row.is_faithful,
            at=row.at,
        )
        for row in await connection.execute(statement)
    ]
