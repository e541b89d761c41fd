"""A scripted operation whose effects are lines of a file, and a runner that walks it."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import select

from dbre.core.audit import tables as audit_tables
from dbre.core.audit.log import AuditLog
from dbre.core.clock import Clock, SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.gates.model import Gate
from dbre.core.operation import tables
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import (
    Handler,
    NotHappened,
    Operation,
    OutcomeUnknown,
    Verification,
    step,
    unknown_kind,
)
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import LockMode, Plan, PlannedOperation, Step
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store


class Diary:
    """Effects in the world: one line each, on the disk before the call returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, line: str) -> None:
        with self.path.open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines() if self.path.exists() else []

    def has(self, line: str) -> bool:
        return line in self.lines


class Nothing(BaseModel):
    """No input."""

    names: list[str] = []
    lock: str = "exclusive"
    target: str = "cluster/orders"


Script = Mapping[str, Callable[[StepContext], Awaitable[Mapping[str, Any] | None]]]


class Scripted(Operation[Nothing]):
    """Steps ``a``, ``b``, ... write their names; ``script`` says what a step does beside that, after its effect."""

    kind, version, document = "test.scripted", 1, Nothing

    def __init__(self, diary: Diary, script: Script | None = None, *, before: Script | None = None) -> None:
        self.diary = diary
        self.script = dict(script or {})
        self.before = dict(before or {})
        self.broken: list[str] = []

    async def plan(self, context: PlanContext, asked: Nothing) -> Plan:  # noqa: ARG002 - the signature of all plans
        return plan(*asked.names, target=asked.target, lock=LockMode(asked.lock))

    async def _effect(self, line: str, context: StepContext) -> Mapping[str, Any]:
        if (first := self.before.get(line)) is not None:
            await first(context)
        self.diary.write(line)
        result = await self.script[line](context) if line in self.script else None
        return {"wrote": line, **(result or {})}

    @step(timeout_seconds=10)
    async def once(self, context: StepContext) -> Mapping[str, Any]:
        return await self._effect(context.step.name, context)

    @once.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        if not self.diary.has(context.step.name):
            raise NotHappened
        return {"wrote": context.step.name}

    @step(timeout_seconds=10, idempotent=True)
    async def again(self, context: StepContext) -> Mapping[str, Any]:
        return await self._effect(context.step.name, context)

    @step(timeout_seconds=10)
    async def blind(self, context: StepContext) -> Mapping[str, Any]:
        return await self._effect(context.step.name, context)

    @step(timeout_seconds=10)
    async def unsure(self, context: StepContext) -> Mapping[str, Any]:
        return await self._effect(context.step.name, context)

    @unsure.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:  # noqa: ARG002 - the signature of a probe
        raise OutcomeUnknown("the target cannot tell")

    @step(timeout_seconds=0.3)
    async def quick(self, context: StepContext) -> Mapping[str, Any]:
        return await self._effect(context.step.name, context)

    @quick.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        if not self.diary.has(context.step.name):
            raise NotHappened
        return {"wrote": context.step.name}

    @step(timeout_seconds=10)
    async def erase(self, context: StepContext) -> Mapping[str, Any]:
        return await self._effect(f"undo {context.step.name}", context)

    @erase.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:
        if not self.diary.has(f"undo {context.step.name}"):
            raise NotHappened
        return {}


class Verified(Scripted):
    """The same with a verification."""

    kind = "test.verified"

    async def verify(self, context: StepContext) -> Sequence[Verification]:
        if "verify" in self.script:
            await self.script["verify"](context)
        return [Verification(subject="diary", holds=name not in self.broken, detail=f"{name} seen") for name in ["x"]]


def plan(*names: str, target: str = "cluster/orders", lock: LockMode = LockMode.EXCLUSIVE, **options: Any) -> Plan:
    """``once:a`` writes once, ``again:a`` is idempotent; a ``!`` at the end: irreversible; a ``-``: nothing to undo."""
    steps = []
    for name in names:
        bare = name.rstrip("!-")
        steps.append(Step(bare, undo=None if name[-1] in "!-" else "erase", irreversible=name.endswith("!")))
    return Plan(target=target, summary="write lines", steps=tuple(steps), lock=lock, **options)


class Registry:
    def __init__(self, *operations: Operation[Any]) -> None:
        self._known = {one.kind: one for one in operations}

    def kinds(self) -> Sequence[str]:
        return sorted(self._known)

    def get(self, kind: str) -> Operation[Any]:
        if kind not in self._known:
            raise unknown_kind(kind, self.kinds())
        return self._known[kind]


@dataclass
class Bench:
    """A store with what an operation needs."""

    store: Store
    diary: Diary
    clock: Clock = field(default_factory=SystemClock)
    gates: tuple[Gate, ...] = ()
    lease: str = "30s"
    renewal: str = "10s"

    def journal(self) -> Journal:
        return Journal(AuditLog(self.clock), EventLog(self.clock), self.clock)

    def runner(self, *operations: Operation[Any], **options: Any) -> OperationRunner:
        given = {
            "worker": this_worker(),
            "fleet": empty_fleet(),
            "settings": OperationsDocument.model_validate({"lease": self.lease, "renewal": self.renewal}),
            "limits": WalkLimits(forward_rounds=2, undo_rounds=2),
        } | options
        return OperationRunner(
            self.store, Registry(*operations), self.journal(), Gates(self.gates, self.clock), self.clock, **given
        )

    async def submit(self, operation: Operation[Any], planned: Plan, **options: Any) -> UUID:
        kind = PlannedOperation(kind=operation.kind, definition_version=operation.version, input={}, plan=planned)
        new = NewOperation(planned=kind, requested_by="alice", **options)
        return await self.store.grouped(
            lambda connection: insert_operation(connection, self.journal(), new, actor="alice", clock=self.clock)
        )

    async def record(self, operation_id: UUID) -> OperationRecord:
        async with self.store.read() as connection:
            return await load(connection, operation_id)

    async def change(self, operation_id: UUID, **values: Any) -> None:
        """What a person's command does to the row."""
        record = await self.record(operation_id)
        await self.store.grouped(lambda connection: self.journal().write(connection, record, values))

    async def audited(self) -> list[str]:
        async with self.store.read() as connection:
            found = await connection.execute(select(audit_tables.entry.c.action).order_by(audit_tables.entry.c.entry_index))
            return list(found.scalars())

    async def locks(self) -> list[str]:
        async with self.store.read() as connection:
            return list((await connection.execute(select(tables.target_lock.c.target_key))).scalars())


def empty_fleet() -> Fleet:
    return Fleet(clusters=())


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is a file, or another process
            await asyncio.sleep(0.01)


def handler_of(operation: Operation[Any], name: str) -> Handler:
    return operation.handlers()[name]
