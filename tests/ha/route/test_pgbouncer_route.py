"""PgBouncer: clients wait in it while the primary changes, and nobody waits for ever."""

import asyncio

import psycopg
import pytest
from route_clients import Writer, route_of

from dbre.core.errors import Denied, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.lab.pgbouncer import PgBouncerServer
from dbre.ports.route import RouteChanged, RoutePauseTimeout, RouteState
from dbre.testing.fixtures import PostgresPair
from dbre.tools.pgbouncer.console import ConsoleAccess, console
from dbre.tools.pgbouncer.route import PgBouncerRoute


async def test_clients_of_a_paused_pool_see_a_change_of_primary_without_an_error(
    pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    route, (old, new) = route_of(pooler), (postgres_pair.primary, postgres_pair.replica)
    before = RouteState.from_document((await route.current()).as_document())
    assert (before.addresses, before.is_paused) == ((old.address,), False)
    assert all(one.is_ok for one in await route.check(new.address))
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(20)
        await route.pause(limit_seconds=30)
        assert (await route.current()).is_paused is True
        await route.pause(limit_seconds=30)  # as after a crash: nothing more to do
        await old.stop()
        async with await new.connect() as admin:
            await admin.execute("SELECT pg_promote()")
        await route.point_to(new.address, before=before)
        await route.point_to(new.address, before=before)
        await route.resume()
        await route.resume()
        await writer.until(20)
        found = await route.verify(new.address)
    assert [one for one in found if not one.is_ok] == []
    assert writer.errors == []
    async with await new.connect(database="shop") as admin:
        kept = await (await admin.execute("SELECT n FROM kept")).fetchall()
    assert {n for (n,) in kept} >= set(writer.acknowledged)


async def test_a_transaction_that_does_not_end_ends_the_pause_and_not_the_service(pooler: PgBouncerServer) -> None:
    route = route_of(pooler)
    conninfo = pooler.conninfo(database="shop", user="app")
    async with await psycopg.AsyncConnection.connect(conninfo, prepare_threshold=None) as open_one:
        await open_one.execute("SELECT 1")  # and no commit
        with pytest.raises(RoutePauseTimeout, match=r"1 server connections were still in use after 0\.3 ?s|300 ?ms"):
            await route.pause(limit_seconds=0.3)
        assert (await route.current()).is_paused is False
        async with asyncio.timeout(30), Writer(conninfo).writing() as writer:
            await writer.until(3)
        assert writer.errors == []


async def test_a_pause_that_is_cancelled_lets_clients_go_on(pooler: PgBouncerServer) -> None:
    route, conninfo = route_of(pooler), pooler.conninfo(database="shop", user="app")
    async with await psycopg.AsyncConnection.connect(conninfo, prepare_threshold=None) as open_one:
        await open_one.execute("SELECT 1")
        task = asyncio.create_task(route.pause(limit_seconds=60))
        async with asyncio.timeout(30):
            while not (await route.current()).is_paused:  # noqa: ASYNC110 -- an outcome is polled for
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await route.current()).is_paused is False


async def test_undo_puts_back_what_was_and_nothing_that_others_changed(
    pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    route, new = route_of(pooler), postgres_pair.replica.address
    before = await route.current()
    text = pooler.databases_file.read_text()
    await route.point_to(new, before=before)
    assert (await route.current()).addresses == (new,)
    await route.undo(new, before=before)
    await route.undo(new, before=before)
    assert await route.current() == before
    assert pooler.databases_file.read_text() == text
    pooler.databases_file.write_text(text.replace(f"port={postgres_pair.primary.address.port}", "port=1"))
    with pytest.raises(RouteChanged, match=r"leads to 127\.0\.0\.1:1"):
        await route.point_to(new, before=before)
    (of_file,) = [one for one in await route.check(new) if one.name == "databases_file"]
    assert not of_file.is_ok


async def test_what_still_goes_to_the_old_primary_is_cut_and_comes_back(
    pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    route, old, new = route_of(pooler), postgres_pair.primary, postgres_pair.replica
    before = await route.current()
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        await old.freeze()  # a black hole: its client waits for an answer that does not come
        async with await new.connect() as admin:
            await admin.execute("SELECT pg_promote()")
        await route.point_to(new.address, before=before)
        assert await route.cut(new.address) >= 1
        await writer.until(5)
    assert len(writer.errors) >= 1
    assert await route.cut(new.address) == 0
    await old.thaw()


async def test_where_another_route_turns_the_way_it_is_paused_reconnected_and_never_cut(
    pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    route = route_of(pooler, has_file=False)
    before = await route.current()
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        await route.pause(limit_seconds=30)
        await route.point_to(postgres_pair.replica.address, before=before)
        await route.resume()
        assert await route.cut(postgres_pair.replica.address) == 0
        assert all(one.is_ok for one in await route.verify(postgres_pair.replica.address))
        await writer.until(5)
    assert writer.errors == []


async def test_an_instance_that_is_known_by_its_name_is_not_taken_for_another(
    pooler: PgBouncerServer, postgres_pair: PostgresPair
) -> None:
    route, named = route_of(pooler), Address("localhost", postgres_pair.primary.address.port)
    async with Writer(pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        await route.point_to(named, before=await route.current())
        await writer.until(5)
        assert await route.cut(named) == 0
        assert all(one.is_ok for one in await route.verify(named))
    assert writer.errors == []


async def test_what_is_wrong_is_said_with_its_remedy(pooler: PgBouncerServer, postgres_pair: PostgresPair) -> None:
    nobody = ConsoleAccess(address=Address(pooler.address.host, 1), user="dbre")
    with pytest.raises(Unreachable, match="cannot be reached"):
        await PgBouncerRoute("pool", nobody, ["shop"]).current()
    stranger = ConsoleAccess(address=pooler.address, user="dbre", password=Secret("the-wrong-one"))
    with pytest.raises(Denied) as refused:
        await PgBouncerRoute("pool", stranger, ["shop"]).current()
    assert "the-wrong-one" not in str(refused.value)
    with pytest.raises(UsageError, match="has no database nope"):
        await PgBouncerRoute("pool", _access(pooler), ["nope"]).pause(limit_seconds=1)
    async with console(_access(pooler)) as open_console:
        await open_console.tell("SET pool_mode = 'session'")
        await open_console.tell("SET query_wait_timeout = 5")
    missing = PgBouncerRoute("pool", _access(pooler), ["shop"], file=pooler.data_directory / "missing.ini")
    bad = {one.name: one for one in await missing.check(postgres_pair.replica.address) if not one.is_ok}
    assert set(bad) == {"pool_mode", "query_wait_timeout", "databases_file"}
    assert all(one.remedy for one in bad.values())


def _access(pooler: PgBouncerServer) -> ConsoleAccess:
    return ConsoleAccess(address=pooler.address, user=pooler.superuser, password=pooler.password)
