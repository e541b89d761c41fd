"""Which failovers of a cluster were begun in a span of time, by whomever."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from dbre.capabilities.ha.failover.surveying import KIND
from dbre.core.operation.tables import operation
from dbre.core.store import Store

__all__ = ["failovers_begun"]


async def failovers_begun(store: Store, cluster: str, *, since: datetime, until: datetime) -> Sequence[tuple[UUID, datetime]]:
    """Their numbers and moments, the first one first."""
    row = operation.c
    wanted = select(row.id, row.created_at).where(
        row.kind == KIND, row.target_key == f"cluster/{cluster}", row.created_at >= since, row.created_at < until
    )
    async with store.read() as connection:
        found = (await connection.execute(wanted.order_by(row.created_at))).all()
    return [(number, at) for number, at in found]
