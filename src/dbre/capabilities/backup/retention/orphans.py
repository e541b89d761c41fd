"""Sets whose operation ended without sealing or abandoning them: nobody will go on with them."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.sets import change_state, list_sets
from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.core.operation import tables
from dbre.core.operation.states import FINAL

__all__ = ["UNFINISHED", "mark_orphans", "orphans_of"]

UNFINISHED = (SetState.RUNNING, SetState.COPIED, SetState.VERIFIED)
"""States of a set that is being made."""


async def orphans_of(connection: AsyncConnection, cluster: str) -> tuple[BackupSet, ...]:
    """Unfinished sets whose operation has ended, or is unknown. One that waits for an operator may still go on."""
    unfinished = await list_sets(connection, cluster=cluster, states=UNFINISHED)
    found: list[BackupSet] = []
    for one in unfinished:
        state = None
        if one.operation_id is not None:
            statement = select(tables.operation.c.state).where(tables.operation.c.id == one.operation_id)
            state = (await connection.execute(statement)).scalar()
        if state is None or state in {final.value for final in FINAL}:
            found.append(one)
    return tuple(found)


async def mark_orphans(connection: AsyncConnection, cluster: str, set_ids: Collection[str]) -> list[str]:
    """Note that sets are orphaned, those that still are."""
    return [
        one.id
        for one in await orphans_of(connection, cluster)
        if one.id in set_ids and await change_state(connection, one.id, SetState.ORPHANED, expected=UNFINISHED)
    ]
