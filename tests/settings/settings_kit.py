"""What tests of ``settings.apply`` share: a fleet of real servers, and the steps of a plan walked one after the other."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from dbre.core.clock import Clock, SystemClock
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.operation.context import FencingToken, PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.plan import Plan, PlannedOperation, Step
from dbre.core.secrets import Secret
from dbre.engines.mysql import MySqlEngine
from dbre.engines.postgres import PostgresEngine
from dbre.engines.redis import RedisEngine
from dbre.lab.server import LabServer
from dbre.ports.engine import Engine


class Engines:
    """The engines of a test."""

    def __init__(self) -> None:
        self._engines: dict[str, Engine] = {one.name: one for one in (PostgresEngine(), MySqlEngine(), RedisEngine())}

    def names(self) -> list[str]:
        return sorted(self._engines)

    def get(self, name: str) -> Engine:
        return self._engines[name]


def fleet_of(
    engine: str, servers: Mapping[str, LabServer | Address], *, user: str, password: str, database: str | None = None
) -> Fleet:
    """One cluster ``orders`` of these servers."""
    addresses = {name: one if isinstance(one, Address) else one.address for name, one in servers.items()}
    cluster = Cluster(
        name="orders",
        environment="test",
        engine=engine,
        instances=tuple(Instance(name=name, cluster="orders", address=address) for name, address in addresses.items()),
        endpoints=(),
        databases=(database,) if database else (),
        user=user,
        password=Secret(password),
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


@dataclass(kw_only=True)
class WalkedStep:
    """Implements ``StepContext`` for one step, without a journal."""

    plan: Plan
    step: Step
    clock: Clock = field(default_factory=SystemClock)
    result: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    token: FencingToken = field(default_factory=lambda: FencingToken(uuid4(), 1))
    requested_by: str = "somebody"
    application_name: str = "dbre:settings.apply:test"
    tuned: dict[str, Any] = field(default_factory=dict)
    seen: list[tuple[float, float | None, str]] = field(default_factory=list)
    checkpoints: int = 0

    @property
    def input(self) -> Mapping[str, Any]:
        return self.step.input

    def tuning(self, name: str) -> Any:
        return self.tuned.get(name)

    async def checkpoint(self) -> None:
        self.checkpoints += 1

    async def progress(self, done: float, total: float | None, unit: str) -> None:
        self.seen.append((done, total, unit))

    async def note(self, text: str) -> None: ...

    async def run_child(self, kind: str, asked: Mapping[str, Any], *, turn: int = 0) -> Any:
        raise NotImplementedError


async def planned(operation: Operation[Any], asked: Mapping[str, Any]) -> PlannedOperation:
    """The plan of an input, as it comes back from where it was stored."""
    given = operation.document.model_validate(asked)
    plan = await operation.plan(PlanContext(clock=SystemClock(), requested_by="somebody"), given)
    made = PlannedOperation(
        kind=operation.kind, definition_version=operation.version, input=given.model_dump(mode="json"), plan=plan
    )
    again = PlannedOperation.from_document(made.document())
    assert again.hash == made.hash
    assert operation.missing(again.plan) == ()
    return again


def context_of(plan: Plan, name: str, **given: Any) -> WalkedStep:
    """The context of one step of the plan."""
    (step,) = [one for one in plan.steps if one.name == name]
    return WalkedStep(plan=plan, step=step, **given)


async def do(operation: Operation[Any], plan: Plan, name: str, **given: Any) -> Mapping[str, Any]:
    """Run one step's handler."""
    context = context_of(plan, name, **given)
    return await operation.handlers()[context.step.handler].work(operation, context) or {}


async def probe(operation: Operation[Any], plan: Plan, name: str) -> Mapping[str, Any]:
    """Ask one step's probe."""
    context = context_of(plan, name)
    look = operation.handlers()[context.step.handler].look
    assert look is not None
    return await look(operation, context) or {}


async def undo(operation: Operation[Any], plan: Plan, name: str) -> Mapping[str, Any]:
    """Run one step's undo, as if its result were not known."""
    context = context_of(plan, name)
    assert context.step.undo is not None
    return await operation.handlers()[context.step.undo].work(operation, context) or {}


async def walk(operation: Operation[Any], plan: Plan, **given: Any) -> dict[str, Mapping[str, Any]]:
    """Every step in order; what they gave."""
    return {one.name: await do(operation, plan, one.name, **given) for one in plan.steps}


async def verified(operation: Operation[Any], plan: Plan) -> dict[str, tuple[bool, str]]:
    """What verification sees, by subject."""
    found = await operation.verify(WalkedStep(plan=plan, step=plan.steps[-1]))
    return {one.subject: (one.holds, one.detail) for one in found}


@asynccontextmanager
async def killed(server: LabServer) -> AsyncIterator[None]:
    """The server is dead inside the block."""
    await server.kill()
    try:
        yield
    finally:
        await server.start()


OPERATION_ID = UUID(int=1)
