"""Trials of escrow identities in the state store."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.model import EscrowTrial
from dbre.capabilities.backup.tables import escrow_drill

__all__ = ["insert_escrow", "list_escrows"]


async def insert_escrow(connection: AsyncConnection, one: EscrowTrial) -> None:
    """Write a trial that has ended."""
    values: dict[str, Any] = {name: getattr(one, name) for name in one.__slots__}
    await connection.execute(insert(escrow_drill).values(values | {"set_ids": list(one.set_ids)}))


async def list_escrows(
    connection: AsyncConnection, *, vault: str | None = None, limit: int | None = None
) -> Sequence[EscrowTrial]:
    """Trials, the newest first."""
    statement = select(escrow_drill).order_by(escrow_drill.c.at.desc(), escrow_drill.c.id.desc()).limit(limit)
    if vault is not None:
        statement = statement.where(escrow_drill.c.vault == vault)
    found = [dict(row) for row in (await connection.execute(statement)).mappings()]
    return [EscrowTrial(**{**row, "set_ids": tuple(row["set_ids"])}) for row in found]
