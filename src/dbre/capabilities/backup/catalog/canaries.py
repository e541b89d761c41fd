"""Canary rows as clusters acknowledged them, in the state store."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.positions import position_of, position_value
from dbre.capabilities.backup.model import WitnessedCanary
from dbre.capabilities.backup.tables import canary_witness

__all__ = ["forget_witnesses", "get_witness", "insert_witness", "list_witnesses", "newest_witness", "prune_witnesses"]


async def insert_witness(connection: AsyncConnection, one: WitnessedCanary) -> None:
    """Write what a cluster acknowledged; a witness is never replaced (the same sequence twice raises a StoreError)."""
    await connection.execute(
        insert(canary_witness).values(
            cluster=one.cluster, sequence=one.sequence, at=one.at, hash=one.hash, position=position_value(one.position)
        )
    )


async def get_witness(connection: AsyncConnection, cluster: str, sequence: int) -> WitnessedCanary | None:
    """The witness of one row; None where nobody saw it acknowledged."""
    table = canary_witness
    statement = select(table).where(table.c.cluster == cluster, table.c.sequence == sequence)
    row = (await connection.execute(statement)).first()
    return None if row is None else _witness(row)


async def newest_witness(connection: AsyncConnection, cluster: str, *, until: datetime | None = None) -> WitnessedCanary | None:
    """The last row that was acknowledged at ``until`` or before."""
    found = await list_witnesses(connection, cluster, until=until, limit=1)
    return found[0] if found else None


async def list_witnesses(
    connection: AsyncConnection,
    cluster: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> Sequence[WitnessedCanary]:
    """Witnesses by sequence; ``until`` is inclusive, ``limit`` keeps the newest."""
    table = canary_witness
    statement = select(table).where(table.c.cluster == cluster).order_by(table.c.sequence.desc())
    if since is not None:
        statement = statement.where(table.c.at >= since)
    if until is not None:
        statement = statement.where(table.c.at <= until)
    if limit is not None:
        statement = statement.limit(limit)
    return [_witness(row) for row in await connection.execute(statement)][::-1]


async def prune_witnesses(connection: AsyncConnection, cluster: str, *, before: datetime) -> int:
    """Forget old witnesses; how many went."""
    statement = delete(canary_witness).where(canary_witness.c.cluster == cluster, canary_witness.c.at < before)
    return (await connection.execute(statement)).rowcount


async def forget_witnesses(connection: AsyncConnection, cluster: str, *, from_sequence: int) -> int:
    """Forget rows of a chain that the cluster itself went back behind (a failover, a restore); how many went."""
    table = canary_witness
    statement = delete(table).where(table.c.cluster == cluster, table.c.sequence >= from_sequence)
    return (await connection.execute(statement)).rowcount


def _witness(row: Row[Any]) -> WitnessedCanary:
    return WitnessedCanary(
        cluster=row.cluster, sequence=row.sequence, at=row.at, hash=row.hash, position=position_of(row.position)
    )
