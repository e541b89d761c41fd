"""Two control planes on one state store, as for a moment when one takes over: everything that policies want is done once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from taking_kit import Settings, World, make_ground

from dbre.assembly import Kinds
from dbre.capabilities.backup.catalog.sets import mark_proven
from dbre.capabilities.backup.log.keeper import LogKeeper
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.operations import operations
from dbre.capabilities.backup.policy.schedules import schedules_of
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.core.clock import SystemClock
from dbre.core.events import recent
from dbre.core.gates.asking import Gates
from dbre.core.gates.target_lock import TargetLockGate
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.desk import OperationFilter
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.schedule.scheduler import Scheduler, submit_through
from dbre.core.operation.store_desk import DeskParts, StoreDesk
from dbre.core.store import open_store
from dbre.lab.postgres import PostgresServer
from dbre.testing.clock import FakeClock
from migrated_stores import state_database

SCHEDULER = Principal(name="backup", kind=PrincipalKind.SYSTEM, grants=(Grant(role=Role.OPERATOR),))
DAY = 86_400
POLICY = {
    "vaults": ["near"],
    "log": {"mode": "stream"},
    "full_cron": "0 2 * * *",
    "retention": {"window": None, "minimum_sets": 1, "grace": "3d", "largest_share": 1.0, "cron": "0 4 * * *"},
}


class Nobody:
    """Nobody is told: the test runs what is due."""

    async def dispatch(self, operation_id: UUID, **_: object) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Plane:
    """One control plane's part of backups."""

    world: World
    desk: StoreDesk
    scheduler: Scheduler

    async def queued(self) -> list[OperationRecord]:
        return [one for one in await self.desk.list(OperationFilter(limit=50)) if one.state == "queued"]

    async def run(self, operation_id: UUID) -> None:
        await self.world.runner().run(operation_id)


def plane_of(world: World, wall: FakeClock) -> Plane:
    gates = Gates([TargetLockGate(world.store)], world.clock)
    parts = DeskParts(
        store=world.store, registry=Kinds(*operations(world.ground)), journal=world.journal, gates=gates,
        fleet=world.ground.fleet, clock=world.clock, dispatcher=Nobody(),
    )  # fmt: skip
    desk = StoreDesk(parts, SCHEDULER)
    schedules = schedules_of(world.ground.settings, world.ground.fleet)
    return Plane(world=world, desk=desk, scheduler=Scheduler(world.store, schedules, submit_through(lambda _: desk), wall))


@asynccontextmanager
async def two_planes(settings: Settings, postgres: PostgresServer, wall: FakeClock) -> AsyncIterator[list[Plane]]:
    """On two machines: only the state store and the vault are the same."""
    first = replace(settings, policy=POLICY)
    vault = {"path": str(settings.directory / "near"), "identity": f"file:{settings.directory / 'identity.age'}"}
    (settings.directory / "other").mkdir(mode=0o711)
    second = replace(first, directory=settings.directory / "other", places={"near": vault, "far": vault})
    async with state_database(postgres) as url, AsyncExitStack() as stack:
        made = []
        for one in (first, second):
            store = await stack.enter_async_context(open_store(url, password=postgres.password, clock=SystemClock()))
            clock = SystemClock()
            world = World(settings=one, store=store, ground=make_ground(one, store, clock), clock=clock)
            made.append(plane_of(world, wall))
        yield made


async def day_passes(planes: list[Plane], wall: FakeClock) -> list[OperationRecord]:
    """Both look every hour and both try to run all that is due; gives what ended on that day."""
    before = {one.id for one in await planes[0].desk.list(OperationFilter(limit=50))}
    for _ in range(24):
        await wall.advance(DAY / 24, turns=1)
        await asyncio.gather(*(one.scheduler.look() for one in planes))
    due = await planes[0].queued()
    for one in sorted(due, key=lambda one: one.id):
        await asyncio.gather(*(plane.run(one.id) for plane in planes))
    return [one for one in await planes[0].desk.list(OperationFilter(limit=50)) if one.id not in before]


@asynccontextmanager
async def keeping(planes: list[Plane]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(LogKeeper(one.world.ground).run()) for one in planes]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def spools(planes: list[Plane]) -> list[bool]:
    return [any(path.is_file() for path in (one.world.ground.directory / "spool").rglob("*")) for one in planes]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_one_receives_one_copies_and_one_expires(world_settings: Settings, postgres15: PostgresServer) -> None:
    wall = FakeClock(datetime(2026, 6, 1, 12, tzinfo=UTC))
    async with two_planes(world_settings, postgres15, wall) as planes, keeping(planes):
        store = planes[0].world.store
        for one in planes:
            await one.scheduler.look()
        deadline = asyncio.get_running_loop().time() + 90
        while sum(await spools(planes)) != 1 or not await is_told(planes[0]):
            assert asyncio.get_running_loop().time() < deadline, "one receives, and the other says that it does not"
            await asyncio.sleep(0.1)
        for day in (1, 2):
            done = await day_passes(planes, wall)
            assert sorted((one.planned.kind, str(one.state), one.attempt) for one in done) == [
                ("backup.expire", "succeeded", 1),
                ("backup.take", "succeeded", 1),
            ]
            sets = (await planes[0].world.catalog()).sets
            assert len(sets) == day
            async with store.begin() as connection:
                await mark_proven(connection, sets[-1].id, SystemClock().now())
        submitted = [await one.world.submit("backup.expire", cluster="orders") for one in planes]
        await asyncio.gather(*(plane.run(one) for plane in planes for one in submitted))
        for one in submitted:
            await planes[1].run(one)
        assert [one.state for one in (await planes[1].world.catalog()).sets] == [SetState.TOMBSTONED, SetState.SEALED]
        async with open_set_vault(planes[1].world.ground, "near") as vault:
            assert await vault.verify(deep=True) == []
        assert sum(await spools(planes)) == 1


async def is_told(plane: Plane) -> bool:
    async with plane.world.store.read() as connection:
        return any(one.kind == "backup.log_received_by_another" for one in await recent(connection, limit=50))
