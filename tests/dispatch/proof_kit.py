"""The proof's outside: what is submitted, the worker processes and their deaths, and what became of everything."""

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from proof_worker import EFFECTS, Touch
from sqlalchemy import func, select

from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.operation import tables
from dbre.core.operation.context import PlanContext
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.states import FINAL, OperationState
from dbre.core.store import Store

WORKER = Path(__file__).with_name("proof_worker.py")


@dataclass(kw_only=True)
class Crew:
    """Some worker processes; those that die are replaced."""

    told: Mapping[str, Any]
    log: Path
    size: int = 4
    members: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    killed: int = 0

    def fill(self) -> None:
        failed = [one.returncode for one in self.members if one.poll() not in (None, -signal.SIGKILL)]
        assert not failed, f"workers ended by themselves with {failed}\n{self.log.read_text()[-3000:]}"
        self.members = [one for one in self.members if one.poll() is None]
        while len(self.members) < self.size:
            with self.log.open("ab") as output:
                one = subprocess.Popen([sys.executable, WORKER], stdin=subprocess.PIPE, stdout=output, stderr=output)
            assert one.stdin is not None
            one.stdin.write(json.dumps(self.told).encode())
            one.stdin.close()
            self.members.append(one)

    def kill_one_of(self, busy: set[int], chance: random.Random) -> bool:
        """Kill a member that has operations in its hands; whether there was one."""
        found = [one for one in self.members if one.pid in busy and one.poll() is None]
        if found:
            chance.choice(found).kill()
            self.killed += 1
        return bool(found)

    def end(self, number: signal.Signals = signal.SIGKILL) -> list[int]:
        for one in self.members:
            one.send_signal(number)
        return [one.wait(timeout=60) for one in self.members]


async def submit(store: Store, count: int, *, targets: int, zone: str | None = None) -> list[UUID]:
    """Store operations in the state queued, as a desk does."""
    clock, touch = SystemClock(), Touch()
    journal = Journal(AuditLog(clock), EventLog(clock), clock)
    ids = []
    for start in range(0, count, 100):
        async with store.begin() as connection:
            for number in range(start, min(start + 100, count)):
                asked = {"target": f"t{number % targets}", "number": number}
                plan = await touch.plan(PlanContext(clock=clock, requested_by="alice"), Touch.document(**asked))
                planned = PlannedOperation(kind=Touch.kind, definition_version=1, input=asked, plan=plan)
                new = NewOperation(planned=planned, requested_by="alice", zone=zone)
                ids.append(await insert_operation(connection, journal, new, actor="alice", clock=clock))
    return ids


async def states(store: Store) -> Counter[str]:
    counted = select(tables.operation.c.state, func.count().label("number")).group_by(tables.operation.c.state)
    async with store.read() as connection:
        return Counter({row.state: row.number for row in await connection.execute(counted)})


async def busy_workers(store: Store) -> set[int]:
    """The process ids of workers that have operations in their hands."""
    owner = tables.operation.c.owner
    running = tables.operation.c.state == OperationState.RUNNING.value
    wanted = select(tables.worker.c.pid).join(tables.operation, owner == tables.worker.c.id).where(running).distinct()
    async with store.read() as connection:
        return set((await connection.execute(wanted)).scalars())


async def until_final(store: Store, crew: Crew, *, seconds: float, kill_each: int, seed: int = 7) -> float:
    """Keep the crew complete until every operation is final; gives how long it took.

    Each time ``kill_each`` more operations have ended, one of those that work is killed: by the clock, a busy machine would
    see its workers die before they have begun.
    """
    chance, began, next_kill = random.Random(seed), time.monotonic(), kill_each
    while True:
        crew.fill()
        now = await states(store)
        ended = sum(count for state, count in now.items() if OperationState(state) in FINAL)
        if ended == now.total():
            return time.monotonic() - began
        if ended >= next_kill and crew.kill_one_of(await busy_workers(store), chance):
            next_kill = ended + kill_each
        assert time.monotonic() - began < seconds, f"after {seconds} s: {now}\n{crew.log.read_text()[-3000:]}"
        await asyncio.sleep(0.05)


async def prepare_effects(conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute(EFFECTS)


async def effects(conninfo: str) -> tuple[Sequence[tuple[str, str]], Counter[tuple[str, str]]]:
    """Who was at which target, in the order in which it happened; and how often each step had its effect."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        trace = await (await connection.execute("SELECT target, operation FROM public.trace ORDER BY id")).fetchall()
        done = await (await connection.execute("SELECT operation, step FROM public.effect")).fetchall()
    return [(str(target), str(operation)) for target, operation in trace], Counter((str(a), str(b)) for a, b in done)


def overlaps(trace: Sequence[tuple[str, str]]) -> list[str]:
    """Operations that were seen at a target again after another one had been there."""
    present: dict[str, str] = {}
    gone: set[tuple[str, str]] = set()
    found = []
    for target, operation in trace:
        before = present.get(target)
        if before is not None and before != operation:
            gone.add((target, before))
        if (target, operation) in gone:
            found.append(f"{operation} came back to {target} after {before}")
        present[target] = operation
    return found
