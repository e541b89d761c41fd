"""Drills in the state store: a row for each run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Text, or_, select, type_coerce
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.ha.drills.measures import RunMeasures
from dbre.capabilities.ha.drills.tables import ha_drill
from dbre.core.errors import UsageError
from dbre.core.store import Store
from dbre.core.text import quoted

__all__ = ["NoSuchDrill", "StoredRun", "find_drill", "keep_run", "list_runs"]

_row = ha_drill.c
_MOST = 2000


class NoSuchDrill(UsageError):
    """No drill of that id was run."""

    code = "ha.no_such_drill"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """One run, and which drill it is of."""

    operation_id: UUID
    cluster: str
    began_at: datetime
    run: RunMeasures


async def keep_run(store: Store, operation_id: UUID, cluster: str, run: RunMeasures) -> None:
    """Keep a run; again: it is replaced."""
    row = {
        "operation_id": operation_id,
        "number": run.number,
        "cluster": cluster,
        "kind": run.kind,
        "began_at": datetime.fromisoformat(run.began_at),
        "document": run.document(),
    }

    async def write(connection: AsyncConnection) -> None:
        await store.insert_or_update(ha_drill, [row], keys=["operation_id", "number"], connection=connection)

    await store.grouped(write)


async def list_runs(connection: AsyncConnection, *, cluster: str | None = None, kind: str | None = None) -> list[StoredRun]:
    """Runs, the newest first."""
    conditions: list[ColumnElement[bool]] = []
    if cluster is not None:
        conditions.append(_row.cluster == cluster)
    if kind is not None:
        conditions.append(_row.kind == kind)
    wanted = select(ha_drill).where(*conditions).order_by(_row.began_at.desc(), _row.number.desc()).limit(_MOST)
    return [_stored(row) for row in await connection.execute(wanted)]


async def find_drill(connection: AsyncConnection, text: str) -> Sequence[StoredRun]:
    """The runs of the drill of an id, or of its first or last characters. Raises: NoSuchDrill, also where several fit."""
    part, hint = text.strip().lower(), "dbre ha drill list"
    if len(part) < 4:
        raise NoSuchDrill(f"{quoted(text, limit=60)} is too short for the id of a drill", hint=hint)
    text_id = type_coerce(_row.operation_id, Text)
    fits = or_(text_id.startswith(part, autoescape=True), text_id.endswith(part, autoescape=True))
    found = [_stored(row) for row in await connection.execute(select(ha_drill).where(fits).order_by(_row.number).limit(_MOST))]
    if not found:
        raise NoSuchDrill(f"no drill {quoted(text, limit=60)} was run", hint=hint)
    if len({one.operation_id for one in found}) > 1:
        raise NoSuchDrill(f"several drills begin or end with {quoted(text, limit=60)}", hint="give more of the id: " + hint)
    return found


def _stored(row: Row[tuple[object, ...]]) -> StoredRun:
    return StoredRun(
        operation_id=row.operation_id, cluster=row.cluster, began_at=row.began_at, run=RunMeasures.of(row.document)
    )
