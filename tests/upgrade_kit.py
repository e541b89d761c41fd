"""What tests of rolling changes share: real servers as a fleet, operations with a change of primary as child, the truth."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from dbre.capabilities.ha.switchover.building import switchover_ground
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.capabilities.ha.switchover.operations.switchover import Switchover
from dbre.capabilities.upgrade.config_document import UpgradeDocument
from dbre.capabilities.upgrade.ground import UpgradeGround
from dbre.capabilities.upgrade.operations import operations
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.control import Control, ControlKind
from dbre.core.events import EventLog
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.gates.asking import Gates
from dbre.core.operation.context import PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store, open_store
from dbre.engines.mysql import MySqlEngine
from dbre.engines.postgres import PostgresEngine
from dbre.engines.redis import RedisEngine
from dbre.lab.server import LabServer

SHORT_LEASE = 5  # of those who are killed: others wait until it is over


class Engines:
    """The registry of an installation that has them all."""

    def __init__(self) -> None:
        self._engines = {one.name: one for one in (PostgresEngine(), MySqlEngine(), RedisEngine())}

    def names(self) -> list[str]:
        return sorted(self._engines)

    def get(self, name: str) -> Any:
        return self._engines[name]


def controls_of(servers: Mapping[str, LabServer]) -> dict[str, Control]:
    """PostgreSQL's own program."""
    return {name: Control(kind=ControlKind.PG_CTL, data_directory=one.data_directory) for name, one in servers.items()}


def fleet_of(servers: Mapping[str, LabServer], controls: Mapping[str, Control] | None = None, **more: Any) -> Fleet:
    """One cluster ``shop``; PostgreSQL's servers are controlled by pg_ctl unless ``controls`` say otherwise."""
    one = next(iter(servers.values()))
    found = controls or controls_of(servers)
    cluster = Cluster(
        name="shop",
        environment="test",
        engine=one.engine,
        instances=tuple(
            Instance(name=name, cluster="shop", address=server.address, control=found[name]) for name, server in servers.items()
        ),
        endpoints=(),
        databases=(),
        user=one.superuser,
        password=one.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(replace(cluster, **more),))


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What both capabilities stand on."""

    upgrades: UpgradeGround
    switchovers: SwitchoverGround

    @classmethod
    def of(cls, fleet: Fleet, *, settings: Mapping[str, Any] | None = None) -> "Ground":
        config: Any = SimpleNamespace(get=lambda section: section.default())
        switchovers = switchover_ground(config, fleet, Engines(), SystemClock(), None)
        document = UpgradeDocument.model_validate({"clusters": [{"cluster": "shop", **(settings or {})}]})
        upgrades = UpgradeGround(
            fleet=fleet,
            engines=Engines(),
            clock=SystemClock(),
            settings=document,
            steward_of=lambda _: None,
            switch_kind="ha.switchover",
        )
        return cls(upgrades=upgrades, switchovers=switchovers)


class Registry:
    """The rolling operations, and the change of primary that is their child."""

    def __init__(self, ground: Ground) -> None:
        found: Sequence[Operation[Any]] = (Switchover(ground.switchovers), *operations(ground.upgrades))
        self._operations = {one.kind: one for one in found}

    def kinds(self) -> list[str]:
        return sorted(self._operations)

    def get(self, kind: str) -> Operation[Any]:
        return self._operations[kind]


@dataclass(frozen=True, kw_only=True)
class Walker:
    """Plans, stores and runs operations over one store."""

    store: Store
    ground: Ground
    lease: int = 30  # seconds: on a busy machine a renewal comes late

    async def submit(self, kind: str, **asked: Any) -> UUID:
        operation, clock = Registry(self.ground).get(kind), SystemClock()
        given = operation.document.model_validate({"cluster": "shop", **asked})
        plan = await operation.plan(PlanContext(clock=clock, requested_by="alice"), given)
        made = PlannedOperation(kind=kind, definition_version=1, input=given.model_dump(mode="json"), plan=plan)
        planned = PlannedOperation.from_document(made.document())
        assert operation.missing(planned.plan) == ()
        journal = Journal(AuditLog(clock), EventLog(clock), clock)
        new = NewOperation(planned=planned, requested_by="alice")
        return await self.store.grouped(lambda connection: insert_operation(connection, journal, new, actor="a", clock=clock))

    async def run(self, operation_id: UUID, *, hooks: Any = None) -> OperationRecord:
        clock = SystemClock()
        runner = OperationRunner(
            self.store,
            Registry(self.ground),
            Journal(AuditLog(clock), EventLog(clock), clock),
            Gates((), clock),
            clock,
            worker=this_worker(),
            fleet=Fleet(clusters=()),
            settings=OperationsDocument.model_validate({"lease": f"{self.lease}s", "renewal": "1s"}),
            limits=WalkLimits(forward_rounds=2, undo_rounds=2),
            **({"hooks": hooks} if hooks is not None else {}),
        )
        end = time.monotonic() + 120
        while (record := await runner.run(operation_id)) is None:  # somebody who was killed holds it a moment longer
            assert time.monotonic() < end
            async with self.store.read() as connection:
                record = await load(connection, operation_id)
            if record.ended_at is not None:
                return record
            await asyncio.sleep(0.1)
        return record

    async def do(self, kind: str, **asked: Any) -> OperationRecord:
        return await self.run(await self.submit(kind, **asked))


class Failpoints:
    """Ends the process at one of the moments before and after commits, whatever it was doing."""

    def __init__(self, number: int) -> None:
        self._left = number

    async def before(self, _: str) -> None:
        self._pass()

    async def after(self, _: str) -> None:
        self._pass()

    def _pass(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(url: str, ground: Ground, operation_id: UUID, number: int) -> bool:
    """Run it in a process that is killed at a failpoint; whether it came to that."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_run(url, ground, operation_id, number))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


async def _run(url: str, ground: Ground, operation_id: UUID, number: int) -> None:
    async with open_store(url, clock=SystemClock()) as store:
        await Walker(store=store, ground=ground, lease=SHORT_LEASE).run(operation_id, hooks=Failpoints(number))


def steps_of(record: OperationRecord, phase: str = "do") -> list[str]:
    return [one.name for one in record.steps if one.phase == phase and one.state == "done"]


def results_of(record: OperationRecord) -> dict[str, Mapping[str, Any]]:
    return {one.name: one.result or {} for one in record.steps if one.phase == "do" and one.state == "done"}
