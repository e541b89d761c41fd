"""One worker process of the proof: real store, real runner, an operation whose effects are rows of another database."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import psycopg
from pydantic import BaseModel

from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, step
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.journal import Journal
from dbre.core.operation.plan import Plan, Risk, Step
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.worker import WorkerParts, run_worker
from dbre.core.operation.worker_identity import this_worker
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.core.telemetry import configure_logging

EFFECTS = """
CREATE TABLE IF NOT EXISTS public.trace (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, target text, operation text, step text, attempt integer, what text);
CREATE TABLE IF NOT EXISTS public.effect (operation text, step text, attempt integer)
"""


class TouchInput(BaseModel):
    target: str
    number: int


class Touch(Operation[TouchInput]):
    """Touches a target twice; each touch must happen exactly once, and nobody else may come between."""

    kind = "proof.touch"
    document = TouchInput

    def __init__(self, effects: str = "", seconds: float = 0.01) -> None:
        self.effects = effects
        self.seconds = seconds
        self.idle: list[psycopg.AsyncConnection[Any]] = []

    async def plan(self, context: PlanContext, asked: TouchInput) -> Plan:  # noqa: ARG002 - the signature of all plans
        steps = (Step("first"), Step("second"))
        return Plan(target=f"cluster/{asked.target}", summary="touch twice", steps=steps, risk=Risk.MILD)

    @step(timeout_seconds=20)
    async def first(self, context: StepContext) -> Mapping[str, Any]:
        return await self._touch(context)

    @first.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        return await self._look(context)

    @step(timeout_seconds=20)
    async def second(self, context: StepContext) -> Mapping[str, Any]:
        return await self._touch(context)

    @second.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        return await self._look(context)

    async def _touch(self, context: StepContext) -> Mapping[str, Any]:
        facts = (str(context.token.operation_id), context.step.name, context.token.attempt)
        connection = await self._connection()
        trace = "INSERT INTO public.trace (target, operation, step, attempt, what) VALUES (%s, %s, %s, %s, %s)"
        await connection.execute(trace, (context.plan.target, *facts, "enter"))
        await asyncio.sleep(self.seconds)
        await connection.execute("INSERT INTO public.effect VALUES (%s, %s, %s)", facts)
        await connection.execute(trace, (context.plan.target, *facts, "leave"))
        self.idle.append(connection)
        return {"attempt": context.token.attempt}

    async def _look(self, context: StepContext) -> Mapping[str, Any]:
        connection = await self._connection()
        facts = (str(context.token.operation_id), context.step.name)
        query = "SELECT attempt FROM public.effect WHERE operation = %s AND step = %s"
        found = await (await connection.execute(query, facts)).fetchone()
        self.idle.append(connection)
        if found is None:
            raise NotHappened
        return {"attempt": found[0]}

    async def _connection(self) -> psycopg.AsyncConnection[Any]:
        if self.idle:
            return self.idle.pop()
        return await psycopg.AsyncConnection.connect(self.effects, autocommit=True)


class OneKind:
    """A registry of one operation."""

    def __init__(self, operation: Operation[Any]) -> None:
        self._operation = operation

    def kinds(self) -> Sequence[str]:
        return [self._operation.kind]

    def get(self, kind: str) -> Operation[Any]:  # noqa: ARG002 - the signature of registries
        return self._operation


def worker_parts(store: Store, told: Mapping[str, Any]) -> WorkerParts:
    clock = SystemClock()
    settings = OperationsDocument(lease=told["lease"], renewal=told["renewal"], concurrency=told["concurrency"])
    runner = OperationRunner(
        store,
        OneKind(Touch(told["effects"], told["seconds"])),
        Journal(AuditLog(clock), EventLog(clock), clock),
        Gates([], clock),
        clock,
        worker=this_worker(zone=told["zone"]),
        fleet=Fleet(clusters=()),
        settings=settings,
    )
    broker = BrokerDocument(**told["broker"]) if told["broker"] else None
    return WorkerParts(
        store=store,
        runner=runner,
        identity=runner.worker,
        clock=clock,
        leases=runner.leases,
        concurrency=settings.concurrency,
        lease=settings.lease,
        grace=timedelta(seconds=told["grace"]),
        broker=broker,
        broker_password=Secret(told["broker_password"]) if broker else None,
    )


async def main(told: Mapping[str, Any]) -> None:
    configure_logging("warning")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    password = Secret(told["state_password"]) if told["state_password"] else None
    async with open_store(told["state"], clock=SystemClock(), password=password) as store:
        await run_worker(worker_parts(store, told), stop)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.stdin.read())))
