"""What tests of planned changes of primary share: a fleet whose servers can be started and stopped, a runner, the truth."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from ha_live import Engines, fleet_of
from kill_kit import Failpoints, die_in

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.switchover.building import DISTURBING
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.capabilities.ha.switchover.operations.switchover import Switchover
from dbre.capabilities.ha.switchover.other_work import stored_rehearsal, stored_work
from dbre.capabilities.ha.switchover.timing import stored_timing
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.control import Control, ControlKind
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.operation.context import PlanContext
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store
from dbre.lab.postgres import PostgresServer
from dbre.lab.server import LabServer
from dbre.ports.route import Route
from dbre.ports.session import Role


def controlled(engine: str, servers: Mapping[str, LabServer], *, database: str | None = None, **more: Any) -> Fleet:
    """A fleet of these servers; PostgreSQL's can be started and stopped."""
    (cluster,) = fleet_of(engine, servers, database=database).clusters
    if engine == "postgresql":
        controls = {name: Control(kind=ControlKind.PG_CTL, data_directory=one.data_directory) for name, one in servers.items()}
        instances = tuple(replace(one, control=controls[one.name]) for one in cluster.instances)
        cluster = replace(cluster, instances=instances)
    return Fleet(clusters=(replace(cluster, **more),))


def ground_of(
    fleet: Fleet, *, limits: Mapping[str, Any] | None = None, routes: Sequence[Route] = (), store: Store | None = None
) -> SwitchoverGround:
    """With limits as a configuration has them."""
    settings = HaDocument.model_validate({"clusters": [{"cluster": "shop", "switchover": limits or {}}]})

    async def last_timing(cluster: str) -> Any:
        return await stored_timing(store, cluster) if store is not None else None

    async def other_work(cluster: str) -> Any:
        return await stored_work(store, cluster, DISTURBING) if store is not None else None

    async def rehearsal(cluster: str) -> Any:
        return await stored_rehearsal(store, cluster) if store is not None else None

    return SwitchoverGround(
        fleet=fleet,
        engines=Engines(),
        clock=SystemClock(),
        settings=settings,
        routes=lambda _: routes,
        hand_over_of=lambda _: None,
        last_timing=last_timing,
        other_work=other_work,
        rehearsal=rehearsal,
    )


class Registry:
    """One operation."""

    def __init__(self, operation: Switchover) -> None:
        self._operation = operation

    def kinds(self) -> list[str]:
        return [self._operation.kind]

    def get(self, kind: str) -> Switchover:
        assert kind == self._operation.kind
        return self._operation


@dataclass(frozen=True, kw_only=True)
class Walker:
    """Plans, stores and runs operations over one store."""

    store: Store
    ground: SwitchoverGround

    async def submit(self, *, to: str | None = None) -> UUID:
        operation, clock = Switchover(self.ground), SystemClock()
        asked = operation.document.model_validate({"cluster": "shop", "to": to})
        plan = await operation.plan(PlanContext(clock=clock, requested_by="alice"), asked)
        made = PlannedOperation(kind=operation.kind, definition_version=1, input=asked.model_dump(mode="json"), plan=plan)
        planned = PlannedOperation.from_document(made.document())
        assert operation.missing(planned.plan) == ()
        journal = Journal(AuditLog(clock), EventLog(clock), clock)
        new = NewOperation(planned=planned, requested_by="alice")
        return await self.store.grouped(lambda connection: insert_operation(connection, journal, new, actor="a", clock=clock))

    async def run(self, operation_id: UUID, *, hooks: Any = None) -> OperationRecord:
        clock = SystemClock()
        lease = "30s" if hooks is None else "5s"  # short only where it dies, and somebody waits for what it held
        runner = OperationRunner(
            self.store,
            Registry(Switchover(self.ground)),
            Journal(AuditLog(clock), EventLog(clock), clock),
            Gates((), clock),
            clock,
            worker=this_worker(),
            fleet=Fleet(clusters=()),
            settings=OperationsDocument.model_validate({"lease": lease, "renewal": "1s"}),
            limits=WalkLimits(forward_rounds=2, undo_rounds=2),
            **({"hooks": hooks} if hooks is not None else {}),
        )
        end = time.monotonic() + 60
        while (record := await runner.run(operation_id)) is None:  # somebody who was killed holds it a moment longer
            assert time.monotonic() < end
            async with self.store.read() as connection:
                record = await load(connection, operation_id)
            if record.ended_at is not None:  # it was killed after its last word
                return record
            await asyncio.sleep(0.1)
        return record

    async def switch(self, *, to: str | None = None) -> OperationRecord:
        return await self.run(await self.submit(to=to))


def run_and_die(url: str, ground: SwitchoverGround, operation_id: UUID, number: int) -> bool:
    """Run it in a process that is killed at a failpoint; whether it came to that."""

    async def run(store: Store) -> object:
        return await Walker(store=store, ground=ground).run(operation_id, hooks=Failpoints(number))

    return die_in(url, run)


async def write(server: PostgresServer, text: str) -> None:
    async with await server.connect() as connection:
        await connection.execute("CREATE TABLE IF NOT EXISTS ledger (entry text)")
        await connection.execute("INSERT INTO ledger VALUES (%s)", [text])


async def entries(server: PostgresServer) -> list[str]:
    async with await server.connect() as connection:
        rows = await (await connection.execute("SELECT entry FROM ledger ORDER BY entry")).fetchall()
    return [str(one) for (one,) in rows]


async def roles(servers: Mapping[str, PostgresServer]) -> dict[str, Role]:
    return {name: await one.role() for name, one in servers.items()}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    end = time.monotonic() + 60
    while not await condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


def steps_of(record: OperationRecord, phase: str = "do") -> list[str]:
    return [one.name for one in record.steps if one.phase == phase and one.state == "done"]
