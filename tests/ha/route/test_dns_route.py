"""DNS against a real BIND: compare and swap signed by TSIG, and what a resolver goes on saying until the TTL has passed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
import pytest_asyncio

from dbre.core.errors import Denied, Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.lab.bind import KEY_NAME, BindServer, find_bind
from dbre.lab.site import Site
from dbre.ports.route import RouteChanged, RouteState
from dbre.testing.fixtures import installed, running
from dbre.tools.dns.answers import ask
from dbre.tools.dns.dynamic_zone import DynamicZone, UpdateKey
from dbre.tools.dns.record import DnsRecord
from dbre.tools.dns.route import DnsRoute

ONE, TWO, THREE = (Address(f"127.0.0.{number}", 5432) for number in (11, 12, 13))
RECORDS = {"db": "2 IN A 127.0.0.11", "slow": "300 IN A 127.0.0.11", "alias": "5 IN CNAME pg1.lab.example."}
Servers = tuple[BindServer, BindServer]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def servers(lab_site: Site) -> AsyncIterator[Servers]:
    """A server with a zone, and a resolver in front of it that caches."""
    program = installed(lambda: find_bind(account=lab_site.account))
    async with AsyncExitStack() as stack:
        authority = BindServer("authority", lab_site, program=program, zone="lab.example", records=RECORDS)
        await stack.enter_async_context(running(authority))
        resolver = BindServer("resolver", lab_site, program=program, zone="lab.example", forward_to=authority)
        await stack.enter_async_context(running(resolver))
        yield authority, resolver


def zone_of(authority: BindServer, secret: Secret | None = None) -> DynamicZone:
    return DynamicZone(
        server=authority.address, zone="lab.example", key=UpdateKey(name=KEY_NAME, secret=secret or authority.password)
    )


def route_of(servers: Servers, record: str = "db", kind: str = "A") -> DnsRoute:
    authority, resolver = servers
    entry = DnsRecord(name=f"{record}.lab.example", kind=kind, port=5432, ttl=2.0)
    return DnsRoute("dns", entry, zone_of(authority), resolvers=[resolver.address])


async def test_a_resolver_goes_on_saying_the_old_address_until_the_ttl_has_passed(servers: Servers) -> None:
    route = route_of(servers)
    before = RouteState.from_document((await route.current()).as_document())
    assert (before.addresses, before.linger_seconds) == ((ONE,), 2.0)
    assert all(one.is_ok for one in await route.check(TWO))  # and the resolver has it now
    await route.point_to(TWO, before=before)
    await route.point_to(TWO, before=before)
    found = {one.name: one for one in await route.verify(TWO)}
    assert found["authoritative"].is_ok
    async with asyncio.timeout(60):
        while bad := [one for one in await route.verify(TWO) if not one.is_ok]:
            assert [one.seen for one in bad] == ["127.0.0.11"]
            await asyncio.sleep(0.1)
    await route.undo(TWO, before=before)
    await route.undo(TWO, before=before)
    assert await route.current() == before


async def test_a_swap_happens_only_where_the_records_are_what_they_were(servers: Servers) -> None:
    route, authority = route_of(servers), servers[0]
    before = await route.current()
    await zone_of(authority).swap("db.lab.example", "A", old=["127.0.0.11"], new=["127.0.0.13", "127.0.0.14"], ttl=2)
    with pytest.raises(RouteChanged, match=r"is 127\.0\.0\.13 127\.0\.0\.14, and not 127\.0\.0\.11 as it was"):
        await route.point_to(TWO, before=before)
    between = await route.current()
    assert [one.host for one in between.addresses] == ["127.0.0.13", "127.0.0.14"]
    await route.point_to(TWO, before=between)
    assert (await route.current()).addresses == (TWO,)
    await route.undo(TWO, before=before)


async def test_of_many_who_swap_at_once_exactly_one_does(servers: Servers) -> None:
    zone = zone_of(servers[0])
    swaps = [zone.swap("db.lab.example", "A", old=["127.0.0.11"], new=[f"127.0.1.{n}"], ttl=2) for n in range(1, 9)]
    outcomes = await asyncio.gather(*swaps, return_exceptions=True)
    assert [one for one in outcomes if one is None] == [None]
    answer = await ask(servers[0].address, "db.lab.example", "A")
    assert answer.values == (f"127.0.1.{outcomes.index(None) + 1}",)
    await zone.swap("db.lab.example", "A", old=answer.values, new=["127.0.0.11"], ttl=2)


async def test_a_ttl_is_lowered_and_the_resolvers_tell_when_the_old_one_has_passed(servers: Servers) -> None:
    route, resolver = route_of(servers, "slow"), servers[1]
    await ask(resolver.address, "slow.lab.example", "A")
    bad = {one.name: one.seen for one in await route.check(TWO) if not one.is_ok}
    assert bad["ttl"] == "300 s"
    assert set(bad) == {"ttl", f"ttl at {resolver.address}"}
    assert await route.set_ttl(2) == 300
    assert await route.set_ttl(2) == 2
    state = await route.current()
    assert (state.linger_seconds, state.addresses) == (2.0, (ONE,))
    assert {one.name for one in await route.check(TWO) if not one.is_ok} == {f"ttl at {resolver.address}"}
    before = await route.current()
    await route.point_to(TWO, before=before)
    (stale,) = [one for one in await route.verify(TWO) if not one.is_ok]
    assert (stale.name, stale.seen) == (f"resolver {resolver.address}", "127.0.0.11")
    assert "may keep the old answer for" in str(stale.remedy)
    await route.undo(TWO, before=before)
    assert await route.set_ttl(300) == 2


async def test_an_alias_is_turned_to_a_name(servers: Servers) -> None:
    authority = servers[0]
    record = DnsRecord(
        name="alias.lab.example", kind="CNAME", port=5432, values={ONE: "pg1.lab.example", TWO: "pg2.lab.example"}
    )
    route = DnsRoute("dns", record, zone_of(authority))
    before = await route.current()
    assert before.addresses == (ONE,)
    await route.point_to(TWO, before=before)
    assert (await route.current()).value == "pg2.lab.example."
    assert (await route.current()).addresses == (TWO,)
    await route.undo(TWO, before=before)


async def test_a_key_that_does_not_fit_is_told_before_and_its_secret_is_not(servers: Servers) -> None:
    authority, resolver = servers
    wrong = Secret("bm90LXRoZS1zZWNyZXQtb2YtdGhpcy1zZXJ2ZXI=")
    route = DnsRoute("dns", DnsRecord(name="db.lab.example", port=5432), zone_of(authority, wrong))
    (key,) = [one for one in await route.check(TWO) if one.name == "update_key"]
    assert not key.is_ok
    assert "the secret is another" in key.seen
    with pytest.raises(Denied) as refused:
        await route.point_to(TWO, before=await route.current())
    assert wrong.reveal() not in str(refused.value)
    with pytest.raises(UsageError, match="is not base64"):
        await zone_of(authority, Secret("no base64!")).compare("db.lab.example", "A", ["127.0.0.11"])
    unknown = replace(zone_of(authority), key=UpdateKey(name="stranger", secret=authority.password))
    with pytest.raises(Denied, match="it does not know the key"):
        await unknown.compare("db.lab.example", "A", ["127.0.0.11"])
    other_zone = replace(zone_of(authority), zone="elsewhere.example")
    with pytest.raises(Denied, match="NOTAUTH"):
        await other_zone.compare("db.elsewhere.example", "A", [])
    with pytest.raises(UsageError, match="has no authority"):
        await DnsRoute(
            "dns", DnsRecord(name="db.lab.example", port=5432), replace(zone_of(authority), server=resolver.address)
        ).current()


async def test_a_server_that_is_gone_and_a_name_that_cannot_be_are_told(servers: Servers) -> None:
    authority, _ = servers
    gone = replace(zone_of(authority), server=Address("127.0.0.1", 1))
    with pytest.raises(Unreachable):
        await gone.compare("db.lab.example", "A", ["127.0.0.11"])
    with pytest.raises(UsageError, match="has no address for a record of type AAAA"):
        await route_of(servers, kind="AAAA").point_to(TWO, before=RouteState(addresses=(), value="none"))
    with pytest.raises(UsageError, match="has no A record"):
        await route_of(servers, "missing").set_ttl(2)
