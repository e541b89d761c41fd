"""Operations as rows, for tests of what looks at rows only."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.operation import tables
from dbre.core.operation.dispatch import Due
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, announce

START = datetime(2026, 1, 1, tzinfo=UTC)


class FixedLeases:
    """A clock of leases that a test moves."""

    epoch = "store"

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    async def now(self, _: AsyncConnection) -> float:
        return self.seconds


class Basket:
    """A carrier that keeps what it is given."""

    def __init__(self, *, room: int = 100, serves_every_zone: bool = False) -> None:
        self.room = room
        self.serves_every_zone = serves_every_zone
        self.got: list[Due] = []
        self.refuses = False

    async def dispatch(self, operation_id: UUID, *, zone: str | None, priority: int) -> None:
        self.got.append(Due(operation_id=operation_id, zone=zone, priority=priority))

    async def carry(self, due: Sequence[Due]) -> Sequence[Due]:
        if self.refuses:
            return due
        self.got += due
        return ()

    def take(self) -> list[UUID]:
        ids = [one.operation_id for one in self.got]
        self.got.clear()
        return ids


def number(value: int) -> UUID:
    return UUID(int=value)


def row(value: int, **changes: Any) -> dict[str, Any]:
    given = {
        "id": number(value),
        "kind": "test.nothing",
        "definition_version": 1,
        "target_key": f"cluster/c{value}",
        "plan": "{}",
        "plan_hash": "0" * 64,
        "state": OperationState.QUEUED.value,
        "owner": None,
        "lease_epoch": None,
        "lease_until": None,
        "attempt": 0,
        "zone": None,
        "priority": 4,
        "parent_id": None,
        "requested_by": "alice",
        "created_at": START,
        "not_before": None,
        "dispatched_at": None,
        "hold": None,
        "tuning": {},
    }
    return given | changes


async def put(store: Store, *rows: dict[str, Any], topic: str | None = None) -> None:
    async with store.begin() as connection:
        await connection.execute(insert(tables.operation), list(rows))
        if topic is not None:
            announce(connection, topic)


async def column(store: Store, value: int, name: str) -> Any:
    async with store.read() as connection:
        return (
            await connection.execute(select(tables.operation.c[name]).where(tables.operation.c.id == number(value)))
        ).scalar()
