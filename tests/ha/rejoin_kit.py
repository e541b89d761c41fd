"""Forks made on purpose: a primary that goes on alone, and a replica that is promoted without what it did."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from switchover_kit import controlled
from switchover_kit import ground_of as switchover_ground_of

from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.rejoin.operation import Rejoin
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.operation.context import PlanContext
from dbre.core.operation.definition import Operation
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import Plan, PlannedOperation
from dbre.core.operation.reading import load
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.backup.model import Place
from dbre.testing.fixtures import PostgresPair, running

SETTINGS = {"full_page_writes": "on", "wal_sender_timeout": "5s", "wal_receiver_timeout": "5s"}


@asynccontextmanager
async def forkable(
    site: Site, name: str, *, version: int | None = None, old_site: Site | None = None, **settings: str
) -> AsyncIterator[PostgresPair]:
    """A pair of which the old primary can be rewound; it may live somewhere else."""
    binaries = await find_postgres(account=site.account, cache=site.cache, version=version)
    given = {**SETTINGS, **settings}
    async with (
        running(PostgresServer(f"{name}a", old_site or site, binaries=binaries, settings=given)) as primary,
        running(PostgresServer(f"{name}b", site, binaries=binaries, replica_of=primary, settings=given)) as replica,
    ):
        await run(primary, "CREATE TABLE IF NOT EXISTS ledger (entry text)", "INSERT INTO ledger VALUES ('before')")
        await caught_up(primary, replica)
        yield PostgresPair(primary=primary, replica=replica)


async def run(server: PostgresServer, *statements: str) -> list[Any]:
    async with await psycopg.AsyncConnection.connect(server.conninfo(), autocommit=True) as connection:
        for one in statements:
            cursor = await connection.execute(one)
        return await cursor.fetchall() if cursor.description else []


async def caught_up(primary: PostgresServer, replica: PostgresServer) -> None:
    ((position,),) = await run(primary, "SELECT pg_current_wal_lsn()")
    end = time.monotonic() + 60
    while not (await run(replica, f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))[0][0]:
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def diverge(old: PostgresServer, new: PostgresServer, *, rows: int = 1) -> None:
    """``old`` commits what ``new`` never receives, and is killed; ``new`` is promoted."""
    ((sender,),) = await run(old, "SELECT pid FROM pg_stat_replication")
    os.kill(sender, signal.SIGSTOP)
    await run(old, f"INSERT INTO ledger SELECT 'lost ' || n FROM generate_series(1, {rows}) AS n")
    await old.kill()
    for one in old.processes():  # who was started by another than the lab
        with suppress(ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    end = time.monotonic() + 60
    while old.processes():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)
    await run(new, "SELECT pg_promote(true, 60)", "INSERT INTO ledger VALUES ('after')")


async def entries(server: PostgresServer) -> list[str]:
    return sorted(str(one) for (one,) in await run(server, "SELECT entry FROM ledger"))


def ground_of(
    pair: PostgresPair, directory: Path, site: Site, *, limits: Mapping[str, Any] | None = None, **more: Any
) -> RejoinGround:
    """``n1`` is the old primary, ``n2`` the new one."""
    fleet = controlled("postgresql", {"n1": pair.primary, "n2": pair.replica}, **more)
    return RejoinGround(
        servers=switchover_ground_of(fleet, limits=limits),
        directory=directory / "lost",
        find_place=lambda: Place(account=site.account, cache=site.cache),
    )


@dataclass(frozen=True, kw_only=True)
class Rejoiner:
    """Plans, stores and runs the operation over one store."""

    store: Store
    ground: RejoinGround
    kinds: tuple[Operation[Any], ...] = ()  # the first is what is asked for, the others are its children
    lease: str = "5s"  # short where a runner is killed; else a busy machine would lose it

    async def plan(self, instance: str | None = "n1", **asked: Any) -> Plan:
        return (await self._planned(instance, **asked)).plan

    async def submit(self, instance: str | None = "n1", **asked: Any) -> UUID:
        planned, clock = await self._planned(instance, **asked), SystemClock()
        journal = Journal(AuditLog(clock), EventLog(clock), clock)
        new = NewOperation(planned=planned, requested_by="alice")
        return await self.store.grouped(lambda connection: insert_operation(connection, journal, new, actor="a", clock=clock))

    async def run(self, operation_id: UUID, *, hooks: Any = None) -> OperationRecord:
        clock = SystemClock()
        runner = OperationRunner(
            self.store,
            _Registry(self._kinds()),
            Journal(AuditLog(clock), EventLog(clock), clock),
            Gates((), clock),
            clock,
            worker=this_worker(),
            fleet=Fleet(clusters=()),
            settings=OperationsDocument.model_validate({"lease": self.lease, "renewal": "1s"}),
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

    async def rejoin(self, instance: str | None = "n1", **asked: Any) -> OperationRecord:
        return await self.run(await self.submit(instance, **asked))

    def _kinds(self) -> tuple[Operation[Any], ...]:
        return self.kinds or (Rejoin(self.ground),)

    async def _planned(self, instance: str | None, **asked: Any) -> PlannedOperation:
        operation = self._kinds()[0]
        named = {"instance": instance} if instance is not None else {}
        given = operation.document.model_validate({"cluster": "shop", **named, **asked})
        plan = await operation.plan(PlanContext(clock=SystemClock(), requested_by="alice"), given)
        made = PlannedOperation(kind=operation.kind, definition_version=1, input=given.model_dump(mode="json"), plan=plan)
        assert operation.missing(plan) == ()
        return PlannedOperation.from_document(made.document())


class _Registry:
    def __init__(self, kinds: tuple[Operation[Any], ...]) -> None:
        self._kinds = {one.kind: one for one in kinds}

    def kinds(self) -> list[str]:
        return list(self._kinds)

    def get(self, kind: str) -> Operation[Any]:
        return self._kinds[kind]


def results(record: OperationRecord) -> dict[str, Any]:
    return {one.name: one.result or {} for one in record.steps if one.phase == "do"}


async def receives(server: PostgresServer, timeline: int) -> None:
    """Wait until everything that the primary wrote is there, over the receiver, on that timeline."""
    end = time.monotonic() + 60
    while await run(server, "SELECT status, received_tli FROM pg_stat_wal_receiver") != [("streaming", timeline)]:
        assert time.monotonic() < end
        await asyncio.sleep(0.1)
