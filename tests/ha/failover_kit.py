"""A cluster of real servers that can fail over: its inventory with control, its observers, and the operation as it is run."""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from ha_live import Engines, until

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.detection.observer import Observer
from dbre.capabilities.ha.detection.observing import observe
from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Weighing
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.failover.operation import FailOver
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.control import Control, ControlKind
from dbre.core.events import EventLog
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.gates.asking import Gates
from dbre.core.operation.context import PlanContext
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import Plan, PlannedOperation
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.programs.account import choose_account
from dbre.core.store import Store
from dbre.lab.server import LabServer
from dbre.ports.route import Route
from dbre.ports.topology import LogPosition

CLOCK = SystemClock()
OBSERVERS = ("a", "b", "c")
FAILOVER = {"observers": list(OBSERVERS), "confirm": "500ms", "stale": "5s", "max_loss": "64MiB", "auto": True, "drain": "60s"}


def control_of(server: LabServer) -> Control:
    """Processes are found by the data directory; nobody answers an orderly stop but PostgreSQL."""
    if server.engine == "postgresql":
        return Control(kind=ControlKind.PG_CTL, data_directory=server.data_directory)
    nothing = ("/bin/false",)
    return Control(kind=ControlKind.COMMANDS, data_directory=server.data_directory, start=nothing, stop=nothing)


def fleet_with_control(engine: str, servers: Mapping[str, LabServer]) -> Fleet:
    """One cluster ``shop`` whose servers can be stopped from here."""
    one = next(iter(servers.values()))
    cluster = Cluster(
        name="shop",
        environment="test",
        engine=engine,
        instances=tuple(
            Instance(name=name, cluster="shop", address=server.address, control=control_of(server))
            for name, server in servers.items()
        ),
        endpoints=(),
        databases=(),
        user=one.superuser,
        password=one.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


@dataclass(kw_only=True)
class Shop:
    """The cluster, and what decides over it."""

    fleet: Fleet
    store: Store
    failover: dict[str, Any] = field(default_factory=lambda: dict(FAILOVER))
    patroni: PatroniDocument | None = None
    kind: type[FailOver] = FailOver
    routes: Sequence[Route] = ()

    @property
    def cluster(self) -> Cluster:
        return self.fleet.clusters[0]

    @property
    def ground(self) -> FailoverGround:
        settings = HaDocument.model_validate(
            {"clusters": [{"cluster": "shop", "failover": self.failover, "patroni": self.patroni}]}
        )
        return FailoverGround(
            fleet=self.fleet,
            engines=Engines(),
            clock=CLOCK,
            settings=settings,
            store=self.store,
            routes=lambda _: self.routes,
            account=lambda: choose_account({}),
        )

    @asynccontextmanager
    async def observed(
        self, names: Sequence[str] = OBSERVERS, *, paths: Mapping[str, Mapping[str, Address]] | None = None
    ) -> AsyncIterator[None]:
        """Observers at work; ``paths``: where an observer finds instances, whose way there is its own."""
        tasks = []
        for name in names:
            fleet = _seen_from(self.fleet, (paths or {}).get(name, {}))
            observer = Observer(Engines(), fleet, fleet.clusters[0], CLOCK, name=name, patience_seconds=2.0)
            tasks.append(asyncio.create_task(observe(observer, self.store, CLOCK, every_seconds=0.2)))
        try:
            yield
        finally:
            for one in tasks:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def weighed(self) -> Weighing:
        return await Listener(self.store, "shop", CLOCK).settled(self.ground.failover_of("shop").rules)

    async def until_healthy(self, *, observers: int = 3) -> Weighing:
        """Every observer has heard the primary, and knows how far it is."""
        return await until(
            self.weighed,
            lambda one: one.judgement.is_healthy and sum(contact.is_alive for contact in one.contacts.values()) == observers,
        )

    async def until_told(self, fits: Callable[[LogPosition], bool]) -> None:
        """Every observer has heard from the primary that it is so far."""

        def told(found: Weighing) -> bool:
            known = [one.primary_position for one in found.reports.values()]
            return len(known) == len(OBSERVERS) and all(one is not None and fits(one) for one in known)

        await until(self.weighed, told)

    async def until_dead(self) -> Weighing:
        """The observers allow a failover."""
        return await until(self.weighed, lambda one: one.may_fail_over)

    async def plan(self, **asked: Any) -> Plan:
        return (await self._planned(asked)).plan

    async def submit(self, **asked: Any) -> UUID:
        """Plan it and store it; whoever runs it reads the plan as it was stored."""
        journal = Journal(AuditLog(CLOCK), EventLog(CLOCK), CLOCK)
        new = NewOperation(planned=await self._planned(asked), requested_by="alice")
        return await self.store.grouped(
            lambda connection: insert_operation(connection, journal, new, actor="alice", clock=CLOCK)
        )

    async def run(self, operation_id: UUID, *, hooks: Any = None) -> OperationRecord:
        """As the runner does it, with its journal."""
        runner = OperationRunner(
            self.store,
            _Registry(self.kind(self.ground)),
            Journal(AuditLog(CLOCK), EventLog(CLOCK), CLOCK),
            Gates((), CLOCK),
            CLOCK,
            worker=this_worker(),
            fleet=self.fleet,
            settings=OperationsDocument.model_validate({"lease": "5s", "renewal": "1s"}),
            limits=WalkLimits(forward_rounds=1, undo_rounds=1),
            **({"hooks": hooks} if hooks is not None else {}),
        )
        end = time.monotonic() + 60
        while (record := await runner.run(operation_id)) is None:  # who was killed holds it a moment longer
            assert time.monotonic() < end
            async with self.store.read() as connection:
                record = await load(connection, operation_id)
            if record.ended_at is not None:  # it was killed after its last word
                return record
            await asyncio.sleep(0.1)
        return record

    async def fail_over(self, **asked: Any) -> OperationRecord:
        return await self.run(await self.submit(**asked))

    async def _planned(self, asked: Mapping[str, Any]) -> PlannedOperation:
        operation = self.kind(self.ground)
        given = operation.document.model_validate({"cluster": "shop", **asked})
        plan = await operation.plan(PlanContext(clock=CLOCK, requested_by="somebody"), given)
        assert operation.missing(plan) == ()
        made = PlannedOperation(
            kind=operation.kind, definition_version=operation.version, input=given.model_dump(mode="json"), plan=plan
        )
        return PlannedOperation.from_document(made.document())


async def freeze_recovery(directory: Path, *, seconds: float = 60.0) -> int | None:
    """Freeze the process that recovers the data of a directory as soon as there is one; None: none was seen in time."""
    place, end = str(directory.resolve()), time.monotonic() + seconds
    while time.monotonic() < end:
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if b": startup" in (path / "cmdline").read_bytes() and str((path / "cwd").readlink()) == place:
                    os.kill(int(path.name), signal.SIGSTOP)
                    return int(path.name)
        await asyncio.sleep(0)
    return None


class _Registry:
    def __init__(self, operation: FailOver) -> None:
        self._operation = operation

    def kinds(self) -> list[str]:
        return [self._operation.kind]

    def get(self, kind: str) -> FailOver:
        assert kind == self._operation.kind
        return self._operation


def _seen_from(fleet: Fleet, addresses: Mapping[str, Address]) -> Fleet:
    (cluster,) = fleet.clusters
    instances = tuple(replace(one, address=addresses.get(one.name, one.address)) for one in cluster.instances)
    return Fleet(clusters=(replace(cluster, instances=instances),))


def results(record: OperationRecord) -> dict[str, Mapping[str, Any]]:
    """What each step gave."""
    return {one.name: one.result or {} for one in record.steps if one.phase == "do"}


@contextlib.contextmanager
def nothing_listens() -> Iterator[Address]:
    """An address that refuses."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        yield Address("127.0.0.1", one.getsockname()[1])
