"""Who can run operations at the moment: each worker writes itself down, and says every ten seconds that it lives."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.operation import tables
from dbre.core.operation.due import LeaseTime
from dbre.core.operation.states import CLAIMABLE, OperationState
from dbre.core.operation.worker_identity import WorkerIdentity
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["WorkerRegistration", "WorkerStatus", "ZoneStatus", "live_zones", "workers", "zones"]

HEARTBEAT_SECONDS = 10.0
"""How often a worker says that it lives."""
ALIVE_SECONDS = 30.0
"""How long it counts as alive after that."""
FORGOTTEN_AFTER = timedelta(days=1)
"""How long a worker that is gone is still listed."""
_STORE_WAIT_SECONDS = 5.0
_row = tables.worker.c
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """One worker of the last day."""

    id: str
    host: str
    pid: int
    zone: str | None
    version: str
    started_at: datetime
    heartbeat_at: datetime
    is_alive: bool
    running_count: int  # operations that it has now


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneStatus:
    """What waits for workers of one zone."""

    zone: str | None
    live_workers: int
    queued_count: int
    running_count: int


class WorkerRegistration:
    """The row of this process."""

    def __init__(self, store: Store, identity: WorkerIdentity, clock: Clock, leases: LeaseTime) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._leases = leases

    async def register(self) -> None:
        """Write it, and forget workers that have been gone for a day."""
        identity, now = self._identity, self._clock.now()

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(delete(tables.worker).where(_row.heartbeat_at < now - FORGOTTEN_AFTER))
            row = {"id": identity.id, "host": identity.host, "pid": identity.pid, "zone": identity.zone}
            row |= {"version": identity.version, "started_at": now, "heartbeat_at": now, "lease_epoch": self._leases.epoch}
            row |= {"lease_until": await self._leases.now(connection) + ALIVE_SECONDS}
            await self._store.insert_or_update(tables.worker, [row], keys=["id"], connection=connection)

        await self._store.grouped(write)

    async def heartbeat(self) -> None:
        """Say that it lives; a row that somebody deleted is written again."""

        async def write(connection: AsyncConnection) -> int:
            values = {"heartbeat_at": self._clock.now(), "lease_until": await self._leases.now(connection) + ALIVE_SECONDS}
            mine = update(tables.worker).where(_row.id == self._identity.id).values(values)
            return (await connection.execute(mine)).rowcount

        if not await self._store.grouped(write):
            await self.register()

    async def leave(self) -> None:
        """Delete the row: this worker ends in order, and nobody need wait for it."""

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(delete(tables.worker).where(_row.id == self._identity.id))

        await self._store.grouped(write)

    async def run(self) -> None:
        """Register, and say that it lives until cancelled. Raises: ControlPlaneLockLost; other trouble is waited out."""
        is_registered = False
        while True:
            try:
                await (self.heartbeat() if is_registered else self.register())
                is_registered = True
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("worker_heartbeat_failed", worker=self._identity.id, code=error.code, error=error.message)
                await self._clock.sleep(_STORE_WAIT_SECONDS)
                continue
            await self._clock.sleep(HEARTBEAT_SECONDS)


async def workers(connection: AsyncConnection, leases: LeaseTime) -> Sequence[WorkerStatus]:
    """The workers of the last day by zone and id."""
    now = await leases.now(connection)
    has = tables.operation.c
    running = (
        select(func.count())
        .where(has.owner == _row.id, has.state.in_([one.value for one in CLAIMABLE - {OperationState.QUEUED}]))
        .scalar_subquery()
    )
    rows = await connection.execute(select(tables.worker, running.label("running")).order_by(_row.zone, _row.id))
    return [
        WorkerStatus(
            id=row.id,
            host=row.host,
            pid=row.pid,
            zone=row.zone,
            version=row.version,
            started_at=row.started_at,
            heartbeat_at=row.heartbeat_at,
            is_alive=row.lease_epoch == leases.epoch and row.lease_until >= now,
            running_count=row.running,
        )
        for row in rows
    ]


async def live_zones(connection: AsyncConnection, leases: LeaseTime) -> tuple[str | None, ...]:
    """The zones that have a worker now."""
    alive = and_(_row.lease_epoch == leases.epoch, _row.lease_until >= await leases.now(connection))
    return tuple((await connection.execute(select(_row.zone).where(alive).distinct())).scalars())


async def zones(connection: AsyncConnection, leases: LeaseTime) -> Sequence[ZoneStatus]:
    """Every zone that has a live worker or an operation that waits or runs; the zone without name first."""
    has = tables.operation.c
    states = [one.value for one in CLAIMABLE]
    counted = (
        select(has.zone, has.state, func.count().label("number")).where(has.state.in_(states)).group_by(has.zone, has.state)
    )
    found: dict[str | None, dict[str, int]] = {}
    for row in await connection.execute(counted):
        kind = "queued" if row.state == OperationState.QUEUED.value else "running"
        counts = found.setdefault(row.zone, {})
        counts[kind] = counts.get(kind, 0) + row.number
    alive = [one.zone for one in await workers(connection, leases) if one.is_alive]
    every = sorted({*found, *alive}, key=lambda zone: (zone is not None, zone or ""))
    return [
        ZoneStatus(
            zone=zone,
            live_workers=alive.count(zone),
            queued_count=found.get(zone, {}).get("queued", 0),
            running_count=found.get(zone, {}).get("running", 0),
        )
        for zone in every
    ]
