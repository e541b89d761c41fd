"""``ha.switch_route`` walked by the runner: where one route fails, all lead where they did and clients go on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from route_clients import PostgresAlone, Writer, route_of

from dbre.capabilities.ha.route.documents import SwitchRouteInput
from dbre.capabilities.ha.route.ground import RouteGround
from dbre.capabilities.ha.route.switch_route import SwitchRoute
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.events import EventLog
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.gates.asking import Gates
from dbre.core.operation.context import PlanContext
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.states import OperationState
from dbre.core.operation.walk import WalkLimits
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store, open_store
from dbre.lab.haproxy import BACKEND, HaproxyServer, find_haproxy
from dbre.lab.pgbouncer import PgBouncerServer
from dbre.lab.site import Site
from dbre.ports.route import Route
from dbre.testing.fixtures import PostgresPair, installed, running
from dbre.tools.haproxy.route import HaproxyRoute
from dbre.tools.haproxy.runtime_api import RuntimeApi


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def ground_of(pair: PostgresPair, *routes: Route) -> RouteGround:
    addresses = {"pg1": pair.primary.address, "pg2": pair.replica.address}
    cluster = Cluster(
        name="orders", environment="test", engine="postgresql",
        instances=tuple(Instance(name=name, cluster="orders", address=one) for name, one in addresses.items()),
        endpoints=(), databases=("postgres",), user=pair.primary.superuser, password=pair.primary.password,
        tls=TlsMode.DISABLE, tls_ca_file=None,
    )  # fmt: skip
    return RouteGround(fleet=Fleet(clusters=(cluster,)), engines=PostgresAlone(), routes_of=lambda _: routes)


class Registry:
    """One operation."""

    def __init__(self, operation: SwitchRoute) -> None:
        self._operation = operation

    def kinds(self) -> list[str]:
        return [self._operation.kind]

    def get(self, kind: str) -> SwitchRoute:
        assert kind == self._operation.kind
        return self._operation


async def submit(store: Store, operation: SwitchRoute, **asked: Any) -> UUID:
    clock = SystemClock()
    given = SwitchRouteInput.model_validate({"cluster": "orders", "to": "pg2", "even_if_replica": True, **asked})
    plan = await operation.plan(PlanContext(clock=clock, requested_by="alice"), given)
    made = PlannedOperation(kind=operation.kind, definition_version=1, input=given.model_dump(mode="json"), plan=plan)
    journal = Journal(AuditLog(clock), EventLog(clock), clock)
    new = NewOperation(planned=PlannedOperation.from_document(made.document()), requested_by="alice")
    return await store.grouped(lambda connection: insert_operation(connection, journal, new, actor="alice", clock=clock))


async def run(store: Store, operation: SwitchRoute, operation_id: UUID) -> Any:
    clock = SystemClock()
    runner = OperationRunner(
        store, Registry(operation), Journal(AuditLog(clock), EventLog(clock), clock), Gates((), clock), clock,
        worker=this_worker(), fleet=Fleet(clusters=()), settings=OperationsDocument(),
        limits=WalkLimits(forward_rounds=1, undo_rounds=1),
    )  # fmt: skip
    return await runner.run(operation_id)


async def test_where_one_route_fails_all_are_back_and_clients_go_on(
    store: Store, lab_site: Site, pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    program = installed(lambda: find_haproxy(account=lab_site.account))
    servers = {"pg1": postgres_pair.primary.address, "pg2": postgres_pair.replica.address}
    pool = route_of(pooler)
    async with running(HaproxyServer("fragile", lab_site, program=program, servers=servers)) as proxy:
        operation = SwitchRoute(ground_of(postgres_pair, pool, HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND)))
        before = await pool.current()
        operation_id = await submit(store, operation)
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        record = await run(store, operation, operation_id)
        await writer.until(5)
    assert record.state is OperationState.NEEDS_OPERATOR  # nobody can say where the dead proxy leads
    assert "proxy: HAProxy at" in record.error["message"]
    assert await pool.current() == before
    assert writer.errors == []


async def test_a_transaction_that_does_not_end_turns_nothing(
    store: Store, pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    pool = route_of(pooler)
    operation = SwitchRoute(ground_of(postgres_pair, pool))
    before = await pool.current()
    async with await pooler_transaction(pooler) as open_one:
        record = await run(store, operation, await submit(store, operation, pause_limit="200ms"))
        assert open_one.info.transaction_status.name == "INTRANS"
    assert record.state is OperationState.FAILED
    assert record.error["code"] == "route.pause_timeout"
    assert await pool.current() == before


async def test_one_that_died_while_clients_waited_is_carried_on_and_they_see_no_error(
    store: Store, pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    pool, old, new = route_of(pooler), postgres_pair.primary, postgres_pair.replica
    operation = SwitchRoute(ground_of(postgres_pair, pool))
    operation_id = await submit(store, operation, settle="1s")
    before = await pool.current()
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        await pool.pause(limit_seconds=30)  # what is left of a worker that was killed before it noted anything
        await old.stop()
        async with await new.connect() as admin:
            await admin.execute("SELECT pg_promote()")
        await pool.point_to(new.address, before=before)
        record = await run(store, operation, operation_id)
        await writer.until(5)
    assert record.state is OperationState.SUCCEEDED, record.error
    assert (await pool.current()).addresses == (new.address,)
    assert writer.errors == []
    (settled,) = [one for one in record.steps if one.name == "settle"]
    assert [one.partition(":")[0] for one in settled.result["unknown"]] == ["pg1"]  # it is down: nobody knows who is there


async def pooler_transaction(pooler: PgBouncerServer) -> Any:
    connection = await psycopg.AsyncConnection.connect(pooler.conninfo(database="shop", user="app"), prepare_threshold=None)
    await connection.execute("SELECT 1")
    return connection


async def test_a_file_that_says_something_else_is_found_before_anything_is_done(
    store: Store, pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    operation = SwitchRoute(ground_of(postgres_pair, route_of(pooler)))
    pooler.databases_file.write_text(pooler.databases_file.read_text().replace("host=127.0.0.1", "host=127.0.0.9"))
    with pytest.raises(PrecheckFailed, match="databases_file is"):
        await submit(store, operation)
