"""A planned change of primary of PostgreSQL: everything is there on the new one, everybody follows it, and it leads back."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from switchover_kit import Walker, controlled, entries, ground_of, roles, steps_of, until, write

from dbre.capabilities.ha.switchover.assessment import assess
from dbre.capabilities.ha.switchover.view import assessment_view
from dbre.core.clock import SystemClock
from dbre.core.errors import ExitCode, PrecheckFailed
from dbre.core.fleet import UnknownInstance
from dbre.core.operation.reading import find
from dbre.core.operation.states import OperationState
from dbre.core.programs.errors import BinariesMissing
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.engines.postgres import PostgresEngine
from dbre.engines.postgres.grants import succession_grants
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.ports.succession import Following, NotDone
from dbre.testing.fixtures import leave_out, running

Servers = dict[str, PostgresServer]


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=[15, 16, 18])
async def trio(request: pytest.FixtureRequest, lab_site: Site) -> AsyncIterator[Servers]:
    """A primary and two replicas; the versions differ in how a standby is told to follow, and in what stands in the catalog."""
    try:
        binaries = await find_postgres(account=lab_site.account, cache=lab_site.cache, version=request.param)
    except BinariesMissing as error:
        leave_out(error)
    name = f"sw{request.param}"
    async with running(PostgresServer(f"{name}a", lab_site, binaries=binaries)) as first:
        second = PostgresServer(f"{name}b", lab_site, binaries=binaries, replica_of=first)
        third = PostgresServer(f"{name}c", lab_site, binaries=binaries, replica_of=first)
        async with running(second), running(third):
            yield {"n1": first, "n2": second, "n3": third}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


async def test_the_primary_changes_there_and_back_and_nothing_is_lost(trio: Servers, store: Store) -> None:
    walker = Walker(store=store, ground=ground_of(controlled("postgresql", trio), store=store))
    await write(trio["n1"], "before")

    there = await walker.switch(to="n2")
    assert there.state is OperationState.SUCCEEDED, there.error
    assert steps_of(there) == ["prepare", "give-up", "catch-up", "promote", "follow:n3", "rejoin", "settle"]
    assert await roles(trio) == {"n1": Role.REPLICA, "n2": Role.PRIMARY, "n3": Role.REPLICA}
    await write(trio["n2"], "between")

    back = await walker.switch(to="n1")
    assert back.state is OperationState.SUCCEEDED, back.error
    await write(trio["n1"], "after")
    for server in trio.values():
        await until(lambda one=server: _has_all(one))  # type: ignore[misc]

    timing = await walker.ground.last_timing("shop")
    assert timing is not None
    assert 0 < timing.seconds < 60
    async with await trio["n1"].connect() as connection:  # the former primary's slots keep nobody's log
        for one in ("n2", "n3"):
            async with await trio[one].connect() as replica:
                slots = await (await replica.execute("SELECT slot_name FROM pg_replication_slots")).fetchall()
            assert slots == []
        active = await (await connection.execute("SELECT count(*) FROM pg_replication_slots WHERE active")).fetchone()
    assert active == (2,)


async def _has_all(server: PostgresServer) -> bool:
    return await entries(server) == ["after", "before", "between"]


async def test_who_is_asked_for_must_be_a_replica_that_answers(trio: Servers, store: Store) -> None:
    walker = Walker(store=store, ground=ground_of(controlled("postgresql", trio)))
    with pytest.raises(UnknownInstance, match="no instance 'n9'"):
        await walker.submit(to="n9")
    with pytest.raises(PrecheckFailed, match="n1 is the primary already"):
        await walker.submit(to="n1")
    walker = Walker(store=store, ground=ground_of(controlled("postgresql", trio), limits={"never": ["n2"], "prefer": ["n3"]}))
    with pytest.raises(PrecheckFailed, match="n2 is never to be primary"):
        await walker.submit(to="n2")
    operation = await walker.submit()
    async with store.read() as connection:
        assert (await find(connection, operation)).planned.plan.observed["candidate"] == "n3"


async def test_what_is_in_the_way_is_told_with_a_remedy(trio: Servers, store: Store) -> None:
    fleet = controlled("postgresql", trio)
    walker = Walker(store=store, ground=ground_of(fleet, limits={"max_transaction": "1ms"}))
    async with await trio["n1"].connect() as busy, await trio["n2"].connect() as replica:
        await busy.execute("BEGIN")
        await busy.execute("SELECT 1")
        with pytest.raises(PrecheckFailed, match="n1: no long transactions: the oldest is") as refusal:
            await walker.submit(to="n2")
        assert refusal.value.hint == "every check with its remedy: dbre ha switchover shop --to n2 --check"
        view = assessment_view(await assess(walker.ground, fleet.cluster("shop"), to=None, purpose="dbre:test"))
        (document,) = view.items
        failed = [one for one in document["checks"] if one["state"] == "fail"]
        assert view.exit_code is ExitCode.FINDINGS
        assert [(one["rule"], one["subject"], one["limit"]) for one in failed] == [
            ("no_long_transactions", "n1", "at most 1ms")
        ]
        assert "wait for it or end it" in failed[0]["remedy"]
        assert "remedy: wait for it or end it" in str(view.text)
        assert {one["name"] for one in document["candidates"]} == {"n2", "n3"}
        await busy.execute("ROLLBACK")
        await replica.execute("SELECT pg_wal_replay_pause()")
        try:
            with pytest.raises(PrecheckFailed, match="n2: replay runs: paused"):
                await walker.submit(to="n2")
        finally:
            await replica.execute("SELECT pg_wal_replay_resume()")


async def test_a_receiver_of_the_former_upstream_is_not_taken_for_one_of_the_new(trio: Servers) -> None:
    """On another machine the new upstream has the same port, and the old receiver streams on until it hears of the reload."""
    now = await roles(trio)
    upstream, follower = (next(one for name, one in trio.items() if now[name] is role) for role in (Role.PRIMARY, Role.REPLICA))
    server = PostgresEngine().connect(follower.access())
    like = await server.succession.manner()
    assert like is not None
    there = Following(upstream=upstream.address, name=follower.name, like=like, slot=like.slot)
    elsewhere = replace(there, upstream=replace(upstream.address, host="127.255.0.9"))
    try:
        with pytest.raises(NotDone, match=r"does not receive from 127\.255\.0\.9"):
            await server.succession.follow(elsewhere, limit_seconds=1.0)
    finally:
        await server.succession.follow(there, limit_seconds=60.0)
        await server.aclose()


async def test_the_grants_that_are_printed_are_enough_and_what_lacks_is_named(trio: Servers) -> None:
    password, engine = Secret("s3cret-of-sw"), PostgresEngine()
    async with await trio["n1"].connect() as admin:
        for name in ("sw_bare", "sw_granted"):
            await admin.execute(f"DROP ROLE IF EXISTS {name}".encode())
            await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password.reveal()}' IN ROLE pg_monitor".encode())
        for statement in succession_grants("sw_granted"):
            await admin.execute(statement.encode())
    seen = {}
    for name in ("sw_bare", "sw_granted"):
        server = engine.connect(trio["n1"].access(user=name, password=password))
        seen[name] = next(one for one in (await server.succession.standing()).obstacles if one.rule == "privileges")
        await server.aclose()
    assert seen["sw_granted"].is_met
    assert not seen["sw_bare"].is_met
    lacking = ("pg_promote", "pg_reload_conf", "pg_checkpoint", "REPLICATION", "ALTER SYSTEM ON PARAMETER primary_conninfo")
    assert [one for one in lacking if one not in seen["sw_bare"].value] == []
    async with await trio["n1"].connect() as admin:
        for statement in ("REVOKE ALL ON FUNCTION pg_promote, pg_reload_conf FROM sw_granted",
                          "REVOKE ALTER SYSTEM ON PARAMETER primary_conninfo, primary_slot_name FROM sw_granted",
                          "DROP ROLE sw_granted, sw_bare"):  # fmt: skip
            await admin.execute(statement.encode())
