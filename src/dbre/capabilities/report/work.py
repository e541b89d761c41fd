"""Operations as reports see them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.report.span import Span
from dbre.core.operation import tables
from dbre.core.operation.reading import select_operations
from dbre.core.operation.states import OperationState
from dbre.core.operation.target_labels import cluster_of

__all__ = ["Work", "read_work"]

_AUTOMATIC = "schedule:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One operation that nobody made a part of another one, or a deploy that somebody told of."""

    id: str
    kind: str
    cluster: str | None
    state: OperationState
    requested_by: str
    is_automatic: bool  # begun by a schedule
    is_reading: bool  # changes nothing
    tags: frozenset[str]
    created_at: datetime | None  # None: nobody knows when it was planned
    started_at: datetime | None
    ended_at: datetime | None


async def read_work(connection: AsyncConnection, span: Span) -> Sequence[Work]:
    """The operations that were started or ended in a span, the oldest first."""
    row = tables.operation.c
    statement = select_operations().where(
        row.parent_id.is_(None),
        or_(
            row.ended_at.between(span.since, span.until),
            row.started_at.between(span.since, span.until),
        ),
    )
    found = []
    for one in await connection.execute(statement.order_by(row.created_at, row.id)):
        plan = json.loads(one.plan)
        found.append(
            Work(
                id=str(one.id),
                kind=one.kind,
                cluster=cluster_of(one.target_key),
                state=OperationState(one.state),
                requested_by=one.requested_by,
                is_automatic=one.requested_by.startswith(_AUTOMATIC),
                is_reading=plan.get("risk") == "read",
                tags=frozenset(plan.get("tags", ())),
                created_at=one.created_at,
                started_at=one.started_at,
                ended_at=one.ended_at,
            )
        )
    return found
