"""Plans, questions, stored operations and a state store on both databases."""

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert

from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.core.gates.asking import question_for
from dbre.core.gates.model import GateQuestion, Moment
from dbre.core.operation import tables
from dbre.core.operation.plan import LockMode, Plan, PlannedOperation, Risk, Step, canonical
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.testing.clock import FakeClock
from migrated_stores import state_database

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)  # a Saturday


def cluster(name: str, environment: str = "prod") -> Cluster:
    return Cluster(
        name=name,
        environment=environment,
        engine="postgresql",
        instances=(Instance(name=f"{name}-1", cluster=name, address=Address("192.0.2.1", 5432)),),
        endpoints=(),
        databases=("shop",),
        user="dbre",
        password=None,
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels={"cluster": name, "environment": environment, "engine": "postgresql"},
    )


FLEET = Fleet(clusters=(cluster("orders"), cluster("trial", "test")))


def planned(kind: str = "settings.apply", target: str = "cluster/orders", **changes: Any) -> PlannedOperation:
    given: dict[str, Any] = {"summary": "change", "steps": (Step("change"),), "risk": Risk.MODERATE} | changes
    return PlannedOperation(kind=kind, definition_version=1, input={}, plan=Plan(target=target, **given))


def question(plan: PlannedOperation | None = None, *, at: datetime = NOW, fleet: Fleet = FLEET, **more: Any) -> GateQuestion:
    given: dict[str, Any] = {"requested_by": "alice", "moment": Moment.START} | more
    return question_for(plan or planned(), fleet, at=at, **given)


def number(value: int) -> UUID:
    return UUID(int=value)


async def put(store: Store, value: int, plan: PlannedOperation | None = None, *, lock: bool = False, **changes: Any) -> UUID:
    """A stored operation."""
    plan = plan or planned()
    row: dict[str, Any] = {
        "id": number(value),
        "kind": plan.kind,
        "definition_version": 1,
        "target_key": plan.plan.target,
        "plan": canonical(plan.document()).decode(),
        "plan_hash": plan.hash,
        "state": OperationState.QUEUED.value,
        "attempt": 0,
        "priority": 4,
        "requested_by": "alice",
        "created_at": NOW,
        "tuning": {},
    } | changes
    async with store.begin() as connection:
        await connection.execute(insert(tables.operation), [row])
        if lock:
            held = {"target_key": plan.plan.target, "operation_id": row["id"], "mode": plan.plan.lock.value, "at": NOW}
            await connection.execute(insert(tables.target_lock), [held])
    return row["id"]


async def approve(store: Store, value: int, *names: str, plan_hash: str | None = None) -> None:
    rows = [
        {"operation_id": number(value), "approver": name, "plan_hash": plan_hash or planned().hash, "at": NOW, "comment": None}
        for name in names
    ]
    async with store.begin() as connection:
        await connection.execute(insert(tables.approval), rows)


@pytest.fixture(params=["sqlite", "postgresql"])
def state_server(request: pytest.FixtureRequest) -> PostgresServer | None:
    return request.getfixturevalue("postgres15") if request.param == "postgresql" else None


@pytest.fixture
async def store(state_server: PostgresServer | None, migrated_file: Path, tmp_path: Path) -> AsyncIterator[Store]:
    clock = FakeClock(NOW)
    if state_server is None:
        path = shutil.copy(migrated_file, tmp_path / "dbre.db")
        async with open_store(f"sqlite:///{path}", clock=clock) as opened:
            yield opened
        return
    password = state_server.password
    async with state_database(state_server) as url, open_store(url, password=password, clock=clock) as opened:
        yield opened


SHARED = LockMode.SHARED
