"""Drills in the state store."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.errors import NoSuchDrill
from dbre.capabilities.backup.catalog.positions import position_of, position_value
from dbre.capabilities.backup.model import Drill, DrillVerdict
from dbre.capabilities.backup.tables import drill
from dbre.ports.backup.model import Phase
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

__all__ = ["find_drill", "get_drill", "insert_drill", "list_drills", "newest_drill"]

_PLAIN = (
    "id",
    "cluster",
    "set_id",
    "system_id",
    "target_kind",
    "target_value",
    "mode",
    "started_at",
    "ended_at",
    "reached_commit_at",
    "recovery_point_seconds",
    "recovery_time_seconds",
    "reason",
    "level",
    "operation_id",
)


async def insert_drill(connection: AsyncConnection, one: Drill) -> None:
    """Write a drill that has ended."""
    await connection.execute(insert(drill).values(_values(one)))


async def get_drill(connection: AsyncConnection, drill_id: UUID) -> Drill | None:
    """The drill of that id; None where there is none."""
    row = (await connection.execute(select(drill).where(drill.c.id == drill_id))).first()
    return None if row is None else _drill(row)


async def find_drill(connection: AsyncConnection, drill_id: UUID) -> Drill:
    """The drill of that id. Raises: NoSuchDrill."""
    found = await get_drill(connection, drill_id)
    if found is None:
        raise NoSuchDrill(f"there is no drill {drill_id}", hint="dbre backup drills")
    return found


async def newest_drill(connection: AsyncConnection, cluster: str, *, verdicts: Collection[DrillVerdict] = ()) -> Drill | None:
    """The drill of a cluster that ended last, with one of some verdicts (empty: any)."""
    found = await list_drills(connection, cluster=cluster, verdicts=verdicts, limit=1)
    return found[0] if found else None


async def list_drills(
    connection: AsyncConnection,
    *,
    cluster: str | None = None,
    set_id: str | None = None,
    verdicts: Collection[DrillVerdict] = (),
    since: datetime | None = None,
    limit: int | None = None,
) -> Sequence[Drill]:
    """Drills, those that ended last first; ``since`` looks at their ends."""
    statement = select(drill).order_by(drill.c.ended_at.desc(), drill.c.id.desc())
    if cluster is not None:
        statement = statement.where(drill.c.cluster == cluster)
    if set_id is not None:
        statement = statement.where(drill.c.set_id == set_id)
    if verdicts:
        statement = statement.where(drill.c.verdict.in_([one.value for one in verdicts]))
    if since is not None:
        statement = statement.where(drill.c.ended_at >= since)
    if limit is not None:
        statement = statement.limit(limit)
    return [_drill(row) for row in await connection.execute(statement)]


def _values(one: Drill) -> dict[str, Any]:
    return {name: getattr(one, name) for name in _PLAIN} | {
        "phases": [asdict(phase) for phase in one.phases],
        "reached": position_value(one.reached),
        "results": [_result_values(result) for result in one.results],
        "verdict": one.verdict.value,
    }


def _result_values(one: RestoredResult) -> dict[str, Any]:
    return {
        "level": one.level,
        "name": one.name,
        "outcome": one.outcome.value,
        "detail": one.detail,
        "seconds": one.seconds,
        "evidence": dict(one.evidence),
    }


def _result(value: Mapping[str, Any]) -> RestoredResult:
    return RestoredResult(**{**value, "outcome": CheckOutcome(value["outcome"])})


def _drill(row: Row[Any]) -> Drill:
    return Drill(
        **{name: getattr(row, name) for name in _PLAIN},
        phases=tuple(Phase(**phase) for phase in row.phases),
        reached=position_of(row.reached),
        results=tuple(_result(one) for one in row.results),
        verdict=DrillVerdict(row.verdict),
    )
