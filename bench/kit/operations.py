"""An operation that does nothing five times, and a worker process that runs it: ``python operations.py STATE_URL``."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import func, select

from dbre.core.audit.log import AuditLog
from dbre.core.clock import Clock, SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.gates.target_lock import TargetLockGate
from dbre.core.operation import tables
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, step
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.local_dispatch import LocalDispatcher
from dbre.core.operation.plan import Plan, PlannedOperation, Step
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.sweeper import Sweeper
from dbre.core.operation.worker_identity import this_worker
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store

STEPS = 5
LEASE_SECONDS = 6.0


class Asked(BaseModel):
    """How long each step sleeps."""

    sleep_seconds: float = 0


class Nothing(Operation[Asked]):
    """Does nothing."""

    kind, version, document = "bench.nothing", 1, Asked

    async def plan(self, context: PlanContext, asked: Asked) -> Plan:  # noqa: ARG002 - the signature of all plans
        return nothing_plan(0, asked.sleep_seconds)

    @step(timeout_seconds=300, idempotent=True)
    async def nothing(self, context: StepContext) -> Mapping[str, Any]:
        await asyncio.sleep(context.input["sleep_seconds"])
        return {}


def nothing_plan(target: int, sleep_seconds: float, count: int = STEPS) -> Plan:
    steps = tuple(Step(f"nothing:{number}", input={"sleep_seconds": sleep_seconds}) for number in range(count))
    return Plan(target=f"host/{target}", summary="do nothing", steps=steps)


class Registry:
    def kinds(self) -> Sequence[str]:
        return (Nothing.kind,)

    def get(self, kind: str) -> Operation[Any]:  # noqa: ARG002 - the signature of registries
        return Nothing()


@dataclass
class Bench:
    """A store with a runner."""

    store: Store
    clock: Clock
    journal: Journal
    runner: OperationRunner

    async def submit(self, target: int, *, sleep_seconds: float = 0, steps: int = STEPS) -> UUID:
        plan = nothing_plan(target, sleep_seconds, steps)
        planned = PlannedOperation(kind=Nothing.kind, definition_version=1, input={}, plan=plan)
        new = NewOperation(planned=planned, requested_by="bench")
        return await self.store.grouped(
            lambda connection: insert_operation(connection, self.journal, new, actor="bench", clock=self.clock)
        )

    async def walk(self, operation_id: UUID) -> None:
        assert await self.runner.drive(operation_id)

    async def until_ended(self) -> None:
        """Until every operation has succeeded."""
        waiting = select(func.count()).select_from(tables.operation).where(tables.operation.c.state != "succeeded")
        async with asyncio.timeout(300):
            while True:
                async with self.store.read() as connection:
                    left = (await connection.execute(waiting)).scalar_one()
                if not left:
                    return
                await asyncio.sleep(0.05)

    async def until_attempt(self, operation_id: UUID, attempt: int) -> None:
        wanted = select(tables.operation.c.attempt).where(tables.operation.c.id == operation_id)
        async with asyncio.timeout(60):
            while True:
                async with self.store.read() as connection:
                    if (await connection.execute(wanted)).scalar_one() >= attempt:
                        return
                await asyncio.sleep(0.02)


@asynccontextmanager
async def open_bench(url: str, *, password: Secret | None = None, migrate: bool = True) -> AsyncIterator[Bench]:
    clock = SystemClock()
    settings = OperationsDocument.model_validate({"lease": f"{LEASE_SECONDS:g}s", "renewal": f"{LEASE_SECONDS / 3:g}s"})
    async with open_store(url, clock=clock, migrate=migrate, password=password) as store:
        journal = Journal(AuditLog(clock), EventLog(clock), clock)
        gates = Gates([TargetLockGate(store)], clock)
        runner = OperationRunner(
            store, Registry(), journal, gates, clock, worker=this_worker(), fleet=Fleet(clusters=()), settings=settings
        )
        yield Bench(store=store, clock=clock, journal=journal, runner=runner)


async def work(url: str) -> None:
    password = os.environ.get("BENCH_PASSWORD")
    async with open_bench(url, password=Secret(password) if password else None, migrate=False) as bench:
        local = LocalDispatcher(bench.runner, concurrency=8)
        sweeper = Sweeper(bench.store, local, bench.clock, bench.runner.leases)
        local.when_room = sweeper.wake
        print("ready", flush=True)
        await sweeper.run()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
