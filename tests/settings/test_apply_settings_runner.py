"""``settings.apply`` walked by the runner, with its journal: what is left on the servers however it ends."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from settings_kit import Engines, fleet_of, planned

from dbre.capabilities.settings.operations.apply_settings import ApplySettings
from dbre.capabilities.settings.slo_guard import SloReading
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.states import OperationState
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.testing.fixtures import PostgresPair


class Registry:
    """One operation."""

    def __init__(self, operation: ApplySettings) -> None:
        self._operation = operation

    def kinds(self) -> list[str]:
        return [self._operation.kind]

    def get(self, kind: str) -> ApplySettings:
        assert kind == self._operation.kind
        return self._operation


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def operation_on(pair: PostgresPair, readings: Mapping[int, SloReading] | None = None) -> ApplySettings:
    """As the superuser; ``readings`` says from which look on the objective reads so."""
    looks: list[str] = []

    async def slo(name: str, _: str) -> SloReading:
        looks.append(name)
        reached = [reading for number, reading in sorted((readings or {}).items()) if number < len(looks)]
        return reached[-1] if reached else SloReading(burn_rate=0.0, is_paging=False)

    fleet = fleet_of(
        "postgresql",
        {"pg1": pair.primary, "pg2": pair.replica},
        user=pair.primary.superuser,
        password=pair.primary.password.reveal(),
    )
    return ApplySettings(fleet=fleet, engines=Engines(), slo=slo)


async def submit(store: Store, operation: ApplySettings, asked: Mapping[str, Any]) -> UUID:
    clock = SystemClock()
    journal = Journal(AuditLog(clock), EventLog(clock), clock)
    new = NewOperation(planned=await planned(operation, asked), requested_by="alice")
    return await store.grouped(lambda connection: insert_operation(connection, journal, new, actor="alice", clock=clock))


async def run(store: Store, operation: ApplySettings, operation_id: UUID) -> OperationRecord:
    clock = SystemClock()
    runner = OperationRunner(
        store,
        Registry(operation),
        Journal(AuditLog(clock), EventLog(clock), clock),
        Gates((), clock),
        clock,
        worker=this_worker(),
        fleet=Fleet(clusters=()),
        settings=OperationsDocument(),
        limits=WalkLimits(forward_rounds=1, undo_rounds=1),
    )
    record = await runner.run(operation_id)
    assert record is not None
    return record


async def shown(server: PostgresServer, name: str) -> str:
    async with await server.connect() as admin:
        row = await (await admin.execute("SELECT pg_catalog.current_setting(%s)", [name])).fetchone()
    assert row
    return str(row[0])


async def test_it_succeeds_with_what_it_saw(store: Store, postgres_pair: PostgresPair) -> None:
    operation = operation_on(postgres_pair)
    asked = {"cluster": "orders", "set": {"work_mem": "64MB", "max_connections": "110"}}
    record = await run(store, operation, await submit(store, operation, asked))
    assert record.state is OperationState.SUCCEEDED
    assert [one.name for one in record.steps if one.phase == "do"] == ["apply:pg2", "apply:pg1"]
    assert record.outcome is not None
    details = {one["subject"]: one["detail"] for one in record.outcome["verifications"]}
    assert details["pg1: work_mem"] == "is 64MB, from configuration file"
    assert details["pg2: max_connections"] == "110 is stored and waits for a restart; 100 until then"

    again = await run(store, operation, await submit(store, operation, asked))
    assert (again.state, [one.name for one in again.steps if one.phase == "do"]) == (OperationState.SUCCEEDED, [])


async def test_a_burning_objective_takes_everything_back(store: Store, postgres_pair: PostgresPair) -> None:
    operation = operation_on(postgres_pair, {3: SloReading(burn_rate=50.0, is_paging=True)})
    asked = {"cluster": "orders", "set": {"work_mem": "64MB"}, "revert_on": {"slo": "writes", "watch": "10m"}}
    record = await run(store, operation, await submit(store, operation, asked))
    assert record.state is OperationState.COMPENSATED
    assert record.error is not None
    assert record.error["code"] == "settings.slo_burning"
    assert "writes pages: its error budget burns 50.0 times too fast" in record.error["message"]
    for server in (postgres_pair.primary, postgres_pair.replica):
        assert await shown(server, "work_mem") == "4MB"
    assert "work_mem" not in (postgres_pair.primary.data_directory / "postgresql.auto.conf").read_text()


async def test_a_change_by_hand_between_plan_and_run_ends_it_before_anything_is_done(
    store: Store, postgres_pair: PostgresPair
) -> None:
    operation = operation_on(postgres_pair)
    operation_id = await submit(store, operation, {"cluster": "orders", "set": {"work_mem": "64MB"}})
    async with await postgres_pair.primary.connect() as admin:
        await admin.execute("ALTER SYSTEM SET work_mem = '7MB'")
        await admin.execute("SELECT pg_catalog.pg_reload_conf()")
        await admin.execute("SELECT pg_catalog.pg_sleep(0.2)")
    record = await run(store, operation, operation_id)
    assert record.state is OperationState.COMPENSATED  # the replica was first, and is as it was
    assert record.error is not None
    assert record.error["code"] == "operation.plan_changed"
    assert (await shown(postgres_pair.primary, "work_mem"), await shown(postgres_pair.replica, "work_mem")) == ("7MB", "4MB")


async def test_a_server_that_stays_dead_needs_an_operator_who_is_told_which(
    store: Store, postgres_pair: PostgresPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    for handler in (ApplySettings.apply, ApplySettings.restore):
        monkeypatch.setattr(handler, "attempts", 2)  # five of them take two minutes, to outlive a restart
    operation = operation_on(postgres_pair)
    operation_id = await submit(store, operation, {"cluster": "orders", "set": {"work_mem": "64MB"}})
    await postgres_pair.primary.kill()
    record = await run(store, operation, operation_id)
    assert record.state is OperationState.NEEDS_OPERATOR
    assert record.error is not None
    assert str(postgres_pair.primary.address) in record.error["message"]
    assert await shown(postgres_pair.replica, "work_mem") == "64MB"  # undone after the primary, whose undo failed
