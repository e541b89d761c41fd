"""Corrections in the state store: made and revoked with an entry in the audit log, never deleted."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.correction import Correction
from dbre.capabilities.slo.tables import slo_corrections

__all__ = ["add_correction", "load_corrections", "read_corrections", "restore_correction", "revoke_correction"]


async def add_correction(connection: AsyncConnection, correction: Correction) -> bool:
    """Store a correction unless one of its id is there; whether it was new."""
    known = await connection.execute(select(slo_corrections.c.id).where(slo_corrections.c.id == correction.id))
    if known.first() is not None:
        return False
    row = asdict(correction)
    row["group_key"] = row.pop("group")
    await connection.execute(slo_corrections.insert().values(**row))
    return True


async def revoke_correction(connection: AsyncConnection, correction_id: str, *, by: str, now: datetime) -> bool:
    """Let what a correction took out count again; whether it did until now."""
    held = slo_corrections.c.revoked_at.is_(None)
    statement = update(slo_corrections).where(slo_corrections.c.id == correction_id, held)
    return (await connection.execute(statement.values(revoked_by=by, revoked_at=now))).rowcount > 0


async def restore_correction(connection: AsyncConnection, correction_id: str) -> None:
    """Take the revocation back."""
    statement = update(slo_corrections).where(slo_corrections.c.id == correction_id)
    await connection.execute(statement.values(revoked_by=None, revoked_at=None))


async def load_corrections(connection: AsyncConnection, *, since_slot: int = 0) -> tuple[Correction, ...]:
    """Those that hold and reach beyond a slot."""
    columns = slo_corrections.c
    return await _read(connection, columns.revoked_at.is_(None), columns.end_slot > since_slot)


async def read_corrections(
    connection: AsyncConnection, *, slo: str | None = None, cluster: str | None = None, correction_id: str | None = None
) -> tuple[Correction, ...]:
    """All of them, revoked ones too, the newest time first."""
    wanted = {"slo": slo, "cluster": cluster, "id": correction_id}
    return await _read(connection, *(slo_corrections.c[name] == value for name, value in wanted.items() if value))


async def _read(connection: AsyncConnection, *conditions: object) -> tuple[Correction, ...]:
    order = slo_corrections.c.start_slot.desc(), slo_corrections.c.id
    rows: Sequence[object] = (await connection.execute(select(slo_corrections).where(*conditions).order_by(*order))).all()  # type: ignore[arg-type]  # comparisons of columns are conditions
    return tuple(_correction(row) for row in rows)


def _correction(row: object) -> Correction:
    values = dict(row._mapping)  # type: ignore[attr-defined]  # noqa: SLF001 - the public way to a row's columns by name
    values["group"] = values.pop("group_key")
    return Correction(**values)
