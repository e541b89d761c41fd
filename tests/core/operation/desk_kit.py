"""Desks of several people over one store, for an operation whose plan a test changes."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from engine_kit import Registry
from pydantic import BaseModel

from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Cluster, Fleet, TlsMode
from dbre.core.gates.approval import ApprovalGate, ApprovalPolicy
from dbre.core.gates.asking import Gates
from dbre.core.gates.model import Gate, GateDecision, GateQuestion, GateVerdict
from dbre.core.gates.target_lock import TargetLockGate
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, Tunable, step
from dbre.core.operation.journal import Journal
from dbre.core.operation.plan import Change, Plan, Risk, Step
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.store_desk import DeskParts, StoreDesk
from dbre.core.operation.worker_identity import this_worker
from dbre.core.selector import Selector
from dbre.core.store import Store


class Asked(BaseModel, extra="forbid"):
    cluster: str
    value: int = 64
    risk: Risk = Risk.MILD


class SetValue(Operation[Asked]):
    """Sets one value; the world is a dictionary."""

    kind, version, document = "test.set", 1, Asked
    tunables: Mapping[str, Tunable] = {"chunk_rows": Tunable(default=100, parse=int, summary="rows at once, 1 or more")}

    def __init__(self) -> None:
        self.world: dict[str, int] = {}
        self.times = 1
        self.is_begun = asyncio.Event()
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def plan(self, _: PlanContext, asked: Asked) -> Plan:
        now = self.world.get(asked.cluster, 4)
        return Plan(
            target=f"cluster/{asked.cluster}",
            summary=f"set the value of {asked.cluster}",
            risk=asked.risk,
            steps=tuple(
                Step(f"put{':' * bool(one)}{one or ''}", input={"value": asked.value}, undo="take") for one in range(self.times)
            ),
            changes=(Change(subject=asked.cluster, before=str(now), after=str(asked.value)),),
            observed={"value": now},
        )

    @step(timeout_seconds=5, idempotent=True)
    async def put(self, context: StepContext) -> Mapping[str, Any]:
        self.world[context.plan.target.partition("/")[2]] = context.input["value"]
        self.is_begun.set()
        if self.meanwhile is not None:
            await self.meanwhile()
        return {"value": context.input["value"]}

    @step(timeout_seconds=5, idempotent=True)
    async def take(self, context: StepContext) -> None:
        self.world.pop(context.plan.target.partition("/")[2], None)


class Mood:
    """A gate that says what a test wants."""

    name, summary, asks_always = "mood", "what a test wants", True

    def __init__(self) -> None:
        self.verdict = GateVerdict.ALLOW

    def fails_open(self, _: GateQuestion) -> bool:
        return False

    async def decide(self, _: GateQuestion) -> GateDecision:
        return GateDecision(gate=self.name, verdict=self.verdict, reason="so it was wanted")


class Told:
    """A dispatcher that remembers."""

    def __init__(self) -> None:
        self.ids: list[UUID] = []

    async def dispatch(self, operation_id: UUID, **_: object) -> None:
        self.ids.append(operation_id)


def cluster(name: str, environment: str) -> Cluster:
    labels = {"environment": environment, "cluster": name, "engine": "postgresql"}
    return Cluster(
        name=name,
        environment=environment,
        engine="postgresql",
        instances=(),
        endpoints=(),
        databases=(),
        user=None,
        password=None,
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels=labels,
    )


def person(name: str, *roles: Role, environment: str | None = None) -> Principal:
    selector = Selector.of({"environment": environment}) if environment else Selector()
    return Principal(name=name, kind=PrincipalKind.PERSON, grants=tuple(Grant(role=role, selector=selector) for role in roles))


ALICE = person("alice", Role.OPERATOR)
BOB = person("bob", Role.OPERATOR, Role.APPROVER)
ADMIN = person("root", Role.ADMIN)
VIEWER = person("vera", Role.VIEWER)
TESTER = person("tina", Role.OPERATOR, environment="test")


@dataclass
class Office:
    """Everything that desks share."""

    store: Store
    policies: tuple[ApprovalPolicy, ...] = ()
    operation: SetValue = field(default_factory=SetValue)
    mood: Mood = field(default_factory=Mood)
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.clock = SystemClock()
        self.fleet = Fleet(clusters=(cluster("orders", "prod"), cluster("trial", "test")))
        gates: list[Gate] = [self.mood, ApprovalGate(self.store, self.policies), TargetLockGate(self.store)]
        self.gates = Gates(gates, self.clock)
        self.journal = Journal(AuditLog(self.clock), EventLog(self.clock), self.clock)
        self.registry = Registry(self.operation)

    @property
    def parts(self) -> DeskParts:
        return DeskParts(
            store=self.store,
            registry=self.registry,
            journal=self.journal,
            gates=self.gates,
            fleet=self.fleet,
            clock=self.clock,
            dispatcher=self.told,
        )

    def desk(self, principal: Principal) -> StoreDesk:
        return StoreDesk(self.parts, principal)

    def runner(self) -> OperationRunner:
        return OperationRunner(
            self.store, self.registry, self.journal, self.gates, self.clock, worker=this_worker(), fleet=self.fleet
        )
