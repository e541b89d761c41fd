"""What plans for the loss of a site did, in the state store: a row for each operation."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.ha.disaster.measures import Action, DisasterRun, problems_of
from dbre.capabilities.ha.disaster.tables import ha_disaster_run
from dbre.core.store import Store

__all__ = ["StoredRun", "keep_run", "list_runs", "newest"]

_row = ha_disaster_run.c


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One run, and which operation it is of."""

    operation_id: UUID
    cluster: str
    began_at: datetime
    run: DisasterRun


async def keep_run(store: Store, operation_id: UUID, cluster: str, run: DisasterRun) -> None:
    """Keep a run; again: it is replaced."""
    row = {
        "operation_id": operation_id,
        "cluster": cluster,
        "action": run.action,
        "is_good": not problems_of(run),
        "began_at": datetime.fromisoformat(run.began_at),
        "document": run.document(),
    }

    async def write(connection: AsyncConnection) -> None:
        await store.insert_or_update(ha_disaster_run, [row], keys=["operation_id"], connection=connection)

    await store.grouped(write)


async def list_runs(connection: AsyncConnection, *, cluster: str | None = None, limit: int = 200) -> list[StoredRun]:
    """Runs, the newest first."""
    conditions: list[ColumnElement[bool]] = [] if cluster is None else [_row.cluster == cluster]
    wanted = select(ha_disaster_run).where(*conditions).order_by(_row.began_at.desc()).limit(limit)
    return [_stored(row) for row in await connection.execute(wanted)]


async def newest(connection: AsyncConnection, cluster: str) -> dict[Action, StoredRun]:
    """The last run of each action."""
    found: dict[Action, StoredRun] = {}
    for action in Action:
        wanted = (
            select(ha_disaster_run)
            .where(_row.cluster == cluster, _row.action == action.value)
            .order_by(_row.began_at.desc())
            .limit(1)
        )
        row = (await connection.execute(wanted)).first()
        if row is not None:
            found[action] = _stored(row)
    return found


def _stored(row: Row[tuple[object, ...]]) -> StoredRun:
    return StoredRun(
        operation_id=row.operation_id, cluster=row.cluster, began_at=row.began_at, run=DisasterRun.of(row.document)
    )
