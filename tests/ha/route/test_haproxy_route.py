"""HAProxy: one server takes clients, never two, and what is left at the old one is ended."""

from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from dbre.core.errors import Denied, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.lab.haproxy import BACKEND, HaproxyServer, find_haproxy
from dbre.lab.site import Site
from dbre.ports.route import RouteChanged
from dbre.testing.fixtures import PostgresPair, installed, running
from dbre.tools.haproxy.route import HaproxyRoute
from dbre.tools.haproxy.runtime_api import RuntimeApi


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(lab_site: Site, postgres_pair: PostgresPair) -> AsyncIterator[HaproxyServer]:
    """An HAProxy that leads to the primary of the pair."""
    program = installed(lambda: find_haproxy(account=lab_site.account))
    servers = {"pg1": postgres_pair.primary.address, "pg2": postgres_pair.replica.address}
    async with running(HaproxyServer("proxy", lab_site, program=program, servers=servers)) as server:
        yield server


async def connect(proxy: HaproxyServer, pair: PostgresPair) -> psycopg.AsyncConnection:
    return await psycopg.AsyncConnection.connect(pair.primary.conninfo(), port=proxy.address.port, autocommit=True)


async def server_port(connection: psycopg.AsyncConnection) -> int:
    row = await (await connection.execute("SELECT inet_server_port()")).fetchone()
    assert row is not None
    return int(row[0])


async def test_new_clients_go_to_the_new_server_and_old_ones_are_counted_and_ended(
    proxy: HaproxyServer, postgres_pair: PostgresPair
) -> None:
    route = HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND)
    old, new = postgres_pair.primary.address, postgres_pair.replica.address
    before = await route.current()
    assert (before.addresses, before.is_paused) == ((old,), None)
    assert all(one.is_ok for one in await route.check(new))
    async with await connect(proxy, postgres_pair) as straggler:
        assert await server_port(straggler) == old.port
        await route.point_to(new, before=before)
        await route.point_to(new, before=before)
        async with await connect(proxy, postgres_pair) as newcomer:
            assert await server_port(newcomer) == new.port
            bad = {one.name: one.seen for one in await route.verify(new) if not one.is_ok}
            assert bad == {"sessions": "1 to other servers"}
            assert await route.cut(new) == 1
            assert all(one.is_ok for one in await route.verify(new))
            assert await server_port(newcomer) == new.port
        with pytest.raises(psycopg.OperationalError):
            await straggler.execute("SELECT 1")
    await route.undo(new, before=before)
    await route.undo(new, before=before)
    assert await route.current() == before


async def test_a_backend_with_one_server_has_its_address_changed(lab_site: Site, postgres_pair: PostgresPair) -> None:
    program, port = installed(lambda: find_haproxy(account=lab_site.account)), lab_site.host.choose_port()
    old, new = postgres_pair.primary.address, postgres_pair.replica.address
    one = HaproxyServer("one", lab_site, program=program, servers={"primary": old}, api_port=port)
    async with running(one) as server:
        route = HaproxyRoute("proxy", RuntimeApi(Address(server.address.host, port)), BACKEND)
        before = await route.current()
        await route.point_to(new, before=before)
        async with await connect(server, postgres_pair) as client:
            assert await server_port(client) == new.port
        await route.undo(new, before=before)
        assert await route.current() == before


async def test_where_health_checks_decide_nothing_is_turned_and_the_change_is_seen(
    lab_site: Site, postgres_pair: PostgresPair
) -> None:
    program = installed(lambda: find_haproxy(account=lab_site.account))
    old, new = postgres_pair.primary.address, postgres_pair.replica.address
    checked = {"default-server": "check inter 100ms fall 1 rise 1"}
    servers = {"pg1": old, "pg2": new}
    async with running(HaproxyServer("checked", lab_site, program=program, servers=servers, settings=checked)) as server:
        route = HaproxyRoute("proxy", RuntimeApi(server.socket), BACKEND, is_checked=True)
        before = await route.current()
        await route.point_to(new, before=before)
        assert (await route.current()).value == before.value
        assert [one.name for one in await route.verify(new) if not one.is_ok] == ["backend"]


async def test_what_somebody_else_turned_is_left_alone(proxy: HaproxyServer, postgres_pair: PostgresPair) -> None:
    api = RuntimeApi(proxy.socket)
    route = HaproxyRoute("proxy", api, BACKEND)
    before = await route.current()
    await api.set_state(BACKEND, "pg2", "drain")
    with pytest.raises(RouteChanged, match=r"pg2 is .*/drain"):
        await route.point_to(postgres_pair.replica.address, before=before)
    assert [one.state for one in await api.servers(BACKEND)] == ["ready", "drain"]


async def test_what_is_wrong_is_said_with_its_remedy(proxy: HaproxyServer, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no backend nope"):
        await HaproxyRoute("proxy", RuntimeApi(proxy.socket), "nope").current()
    with pytest.raises(UsageError, match="cannot stand in a command"):
        await HaproxyRoute("proxy", RuntimeApi(proxy.socket), "x; shutdown").current()
    with pytest.raises(Unreachable, match="cannot be reached"):
        await HaproxyRoute("proxy", RuntimeApi(tmp_path / "none"), BACKEND).current()
    route = HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND)
    (bad,) = [one for one in await route.check(Address("192.0.2.7", 5432)) if not one.is_ok]
    assert "server NAME 192.0.2.7:5432" in str(bad.remedy)
    with pytest.raises(UsageError, match=r"no server at 192\.0\.2\.7:5432"):
        await route.point_to(Address("192.0.2.7", 5432), before=await route.current())
    with pytest.raises(Unreachable, match="cannot be looked up"):
        await route.check(Address("no-such-host.invalid", 5432))


async def test_a_socket_without_the_right_level_is_told_of(lab_site: Site, postgres_pair: PostgresPair) -> None:
    program = installed(lambda: find_haproxy(account=lab_site.account))
    server = HaproxyServer(
        "plain", lab_site, program=program, level="user",
        servers={"pg1": postgres_pair.primary.address, "pg2": postgres_pair.replica.address},
    )  # fmt: skip
    async with running(server):
        route = HaproxyRoute("proxy", RuntimeApi(server.socket), BACKEND)
        (bad,) = [one for one in await route.check(postgres_pair.replica.address) if not one.is_ok]
        assert (bad.name, bad.seen) == ("runtime_api", "may only show")
        with pytest.raises(Denied, match="may not"):
            await route.point_to(postgres_pair.replica.address, before=await route.current())
