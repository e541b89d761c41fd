"""What is in the way of a planned change of primary besides the servers of the pair: each on real servers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from switchover_kit import Walker, controlled, ground_of, until

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.checks import CheckState, PreCheck
from dbre.capabilities.ha.switchover.ground import SwitchoverGround
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.reading import find
from dbre.core.store import Store, open_store
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

Servers = dict[str, PostgresServer]
LOGIN = "sr_follower"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(postgres15: PostgresServer, lab_site: Site) -> AsyncIterator[Servers]:
    async with running(PostgresServer("sr-a", lab_site, binaries=postgres15.binaries)) as first:
        async with await first.connect() as admin:
            await admin.execute("CREATE TABLE big AS SELECT i FROM generate_series(1, 1000) i")
        async with running(PostgresServer("sr-b", lab_site, binaries=postgres15.binaries, replica_of=first)) as second:
            yield {"n1": first, "n2": second}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def checks(ground: SwitchoverGround, fleet: Fleet) -> dict[str, PreCheck]:
    seen = await assess(ground, fleet.cluster("shop"), to="n2", purpose="dbre:test")
    return {f"{one.rule} {one.subject}": one for one in seen.checks}


async def test_a_pair_in_order_says_so(pair: Servers, store: Store) -> None:
    fleet = controlled("postgresql", pair)
    found = await checks(ground_of(fleet, store=store), fleet)
    wanted = ("lets_replication_in n2", "no_schema_change n1", "no_other_work shop", "room_on_disk n2", "no_base_backup n1")
    assert {one: found[one].state for one in wanted} == dict.fromkeys(wanted, CheckState.OK)
    assert "REPLICATION" in found[wanted[0]].source
    assert (found["clients_known shop"].state, found["clients_known shop"].source) == (CheckState.WARN, "ha: clusters: clients")
    rewind = found["failback_possible n2"]
    has_hints = "data_checksums on" in rewind.value or "wal_log_hints on" in rewind.value
    assert (rewind.state is CheckState.OK) == (has_hints and "full_page_writes on" in rewind.value)


async def test_a_pg_hba_that_lets_no_follower_in_is_in_the_way(pair: Servers) -> None:
    fleet = controlled("postgresql", pair, replication_user=LOGIN, replication_password=pair["n1"].password)
    async with await pair["n1"].connect() as admin:
        await admin.execute(f"CREATE ROLE {LOGIN} LOGIN REPLICATION PASSWORD '{pair['n1'].password.reveal()}'".encode())
    ground = ground_of(fleet)

    async def is_let_in() -> bool:
        return (await checks(ground, fleet))["lets_replication_in n2"].state is CheckState.OK

    async def is_shut() -> bool:
        return not await is_let_in()

    await until(is_let_in)  # the replica has the role by now
    rules = pair["n2"].data_directory / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text(f"host replication {LOGIN} 127.0.0.1/32 reject\n{before}")
        await _reload(pair["n2"])
        await until(is_shut)
        found = (await checks(ground, fleet))["lets_replication_in n2"]
        assert found.state is CheckState.FAIL
        assert "pg_hba.conf" in found.value
        assert "host replication USER ADDRESS" in str(found.remedy)
        assert pair["n1"].password.reveal() not in f"{found}"
    finally:
        rules.write_text(before)
        await _reload(pair["n2"])


async def _reload(server: PostgresServer) -> None:
    async with await server.connect() as admin:
        await admin.execute("SELECT pg_reload_conf()")


async def test_a_schema_change_that_runs_is_in_the_way(pair: Servers) -> None:
    fleet = controlled("postgresql", pair)
    async with await pair["n1"].connect() as holder, await pair["n1"].connect() as builder:
        await holder.execute("BEGIN")
        await holder.execute("INSERT INTO big VALUES (0)")
        task = asyncio.create_task(builder.execute("/* nightly */ CREATE INDEX big_i ON big (i)"))

        async def is_told() -> bool:
            return (await checks(ground_of(fleet), fleet))["no_schema_change n1"].state is CheckState.FAIL

        try:
            await until(is_told)
            found = (await checks(ground_of(fleet), fleet))["no_schema_change n1"]
            assert found.value.startswith("CREATE INDEX by ")
            assert "nightly" not in found.value
        finally:
            await holder.execute("ROLLBACK")
            await task


async def test_applications_that_are_not_ready_are_warned_of(pair: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, address = controlled("postgresql", pair), pair["n1"].address
    monkeypatch.setenv("SR_DSN", f"host={address.host} port={address.port} user=app password=s3cret-of-app")
    clients = [
        {"name": "checkout", "dsn": "env:SR_DSN", "retries": False},
        {"name": "nowhere", "dsn": "env:SR_NOTHING_HERE"},
    ]
    settings = HaDocument.model_validate({"clusters": [{"cluster": "shop", "clients": clients}]})
    found = await checks(replace(ground_of(fleet), settings=settings), fleet)
    checkout, nowhere = found["client_ready client checkout"], found["client_ready client nowhere"]
    assert checkout.state is nowhere.state is CheckState.WARN
    assert "every change of primary is an error for its users" in checkout.value
    assert "40001" in str(checkout.remedy)
    assert "SR_NOTHING_HERE" in nowhere.value
    assert "s3cret-of-app" not in f"{found}"
    assert "clients_known shop" not in found


async def test_little_room_is_in_the_way_of_the_new_one_and_only_told_of_the_old(pair: Servers) -> None:
    fleet = controlled("postgresql", pair)
    found = await checks(ground_of(fleet, limits={"min_free_disk": "1000TiB"}), fleet)
    assert (found["room_on_disk n1"].state, found["room_on_disk n2"].state) == (CheckState.WARN, CheckState.FAIL)
    assert str(pair["n2"].data_directory) in found["room_on_disk n2"].source


async def test_a_copy_of_the_server_that_is_taken_is_in_the_way(pair: Servers) -> None:
    fleet, first = controlled("postgresql", pair), pair["n1"]
    login = {"user": first.superuser, "password": first.password.reveal()}
    async with await first.connect() as admin:  # more than fits into the buffers of a connection
        await admin.execute("CREATE TABLE bulk AS SELECT repeat(md5(i::text), 100) FROM generate_series(1, 20000) i")
    copy = await psycopg.AsyncConnection.connect(
        host=first.address.host, port=first.address.port, replication="true", autocommit=True, **login
    )
    try:
        copy.pgconn.send_query(b"BASE_BACKUP (CHECKPOINT 'fast')")  # nobody reads it, so it stands still

        async def is_told() -> bool:
            return (await checks(ground_of(fleet), fleet))["no_base_backup n1"].state is CheckState.FAIL

        await until(is_told)
    finally:
        copy.pgconn.finish()


async def test_other_work_of_dbre_is_in_the_way_until_it_ends(pair: Servers, store: Store) -> None:
    """An operation that is at work stands in the store, whoever runs it."""
    fleet = controlled("postgresql", pair)
    walker, clock = Walker(store=store, ground=ground_of(fleet, store=store)), SystemClock()
    journal = Journal(AuditLog(clock), EventLog(clock), clock)
    async with store.read() as connection:
        other = replace((await find(connection, await walker.submit(to="n2"))).planned, kind="backup.take")
    new = NewOperation(planned=other, requested_by="alice")
    operation = await store.grouped(lambda one: insert_operation(one, journal, new, actor="a", clock=clock))
    assert (await checks(walker.ground, fleet))["no_other_work shop"].state is CheckState.OK  # it has not begun
    async with store.begin() as connection:
        await connection.exec_driver_sql("UPDATE operation SET state = 'running'")
    found = (await checks(walker.ground, fleet))["no_other_work shop"]
    assert found.state is CheckState.FAIL
    assert f"backup.take {operation}" in found.value
    async with store.begin() as connection:
        await connection.exec_driver_sql("UPDATE operation SET state = 'failed'")
    assert (await checks(walker.ground, fleet))["no_other_work shop"].state is CheckState.OK
