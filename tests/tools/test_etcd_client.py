"""The client of etcd, against a real one."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dbre.core.errors import Denied, Unreachable
from dbre.core.secrets import Secret
from dbre.lab.etcd import EtcdServer, find_etcd
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running
from dbre.tools.etcd import EtcdClient, NoQuorum
from dbre.tools.json_servers import NoAnswer, NotAsked, ServersAccess

NOBODY = "http://127.0.0.1:1"


@pytest_asyncio.fixture(loop_scope="session")
async def client(etcd_server: EtcdServer) -> AsyncIterator[EtcdClient]:
    async with EtcdClient(ServersAccess(urls=(etcd_server.url,), timeout_seconds=30)) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def guarded_etcd(lab_site: Site) -> AsyncIterator[EtcdServer]:
    program = installed(lambda: find_etcd(account=lab_site.account))
    async with running(EtcdServer("guarded-etcd", lab_site, program=program)) as server:
        await server.post("/v3/auth/user/add", {"name": "root", "password": "secret"})
        await server.post("/v3/auth/user/grant", {"user": "root", "role": "root"})
        await server.post("/v3/auth/enable", {})
        yield server


async def test_keys_are_written_read_and_listed(client: EtcdClient) -> None:
    await client.put("/listed/a", "1")
    revision = await client.put("/listed/b", b"\x00\xff")
    found = await client.read("/listed/", prefix=True)
    assert [(one.key, one.value) for one in found.items] == [(b"/listed/a", b"1"), (b"/listed/b", b"\x00\xff")]
    assert found.revision >= revision == found.items[1].mod_revision
    assert (await client.read("/listed/c")).only is None


async def test_a_key_is_deleted_only_if_it_is_as_expected(client: EtcdClient) -> None:
    await client.put("/lease/leader", "n1")
    other = await client.compare_and_delete("/lease/leader", "n2")
    assert not other.is_done
    assert other.found is not None
    assert other.found.value == b"n1"
    written = await client.put("/lease/leader", "n1")
    await client.put("/lease/leader", "n1")  # by whoever was started again: the same value is another word
    assert not (await client.compare_and_delete("/lease/leader", "n1", mod_revision=written)).is_done
    done = await client.compare_and_delete("/lease/leader", "n1", mod_revision=written + 1)
    assert done.is_done
    again = await client.compare_and_delete("/lease/leader", "n1")
    assert not again.is_done
    assert again.found is None


async def test_a_key_is_written_only_if_it_is_as_expected(client: EtcdClient) -> None:
    assert (await client.compare_and_put("/cas", None, "first")).is_done
    taken = await client.compare_and_put("/cas", None, "second")
    assert (taken.is_done, taken.found and taken.found.value) == (False, b"first")
    assert (await client.compare_and_put("/cas", "first", "second")).is_done
    assert (await client.read("/cas")).items[0].value == b"second"


async def test_keys_go_with_their_lease(client: EtcdClient) -> None:
    lease = await client.grant_lease(60)
    await client.put("/leased", "x", lease=lease)
    life = await client.lease_life(lease)
    assert life.granted_seconds == 60
    assert life.remaining_seconds is not None
    assert (await client.read("/leased")).items[0].lease == lease
    await client.revoke_lease(lease)
    assert (await client.read("/leased")).only is None
    assert (await client.lease_life(lease)).remaining_seconds is None


async def test_a_watch_sees_what_happens_after_it_began(client: EtcdClient) -> None:
    await client.put("/watched/old", "1")
    async with client.watch("/watched/", prefix=True) as events:
        await client.put("/watched/new", "2")
        await client.compare_and_delete("/watched/old", "1")
        async with asyncio.timeout(60):
            first, second = [await anext(events) for _ in range(2)]
    assert (first.item.key, first.item.value, first.is_delete) == (b"/watched/new", b"2", False)
    assert (second.item.key, second.is_delete) == (b"/watched/old", True)


async def test_the_next_member_is_asked_where_one_cannot_be_reached(etcd_server: EtcdServer) -> None:
    async with EtcdClient(ServersAccess(urls=(NOBODY, etcd_server.url), timeout_seconds=30)) as found:
        assert await found.put("/second", "1") > 0
        down, up = await found.health()
        assert down.error is not None
        assert up.is_leader
        assert up.version.startswith("3.")
    async with EtcdClient(ServersAccess(urls=(NOBODY,))) as nobody:
        with pytest.raises(NotAsked, match=r"no member of etcd answers \(127\.0\.0\.1:1\)"):
            await nobody.put("/never", "1")


async def test_without_a_majority_nothing_is_sure(etcd_trio: tuple[EtcdServer, ...]) -> None:
    urls = tuple(one.url for one in etcd_trio)
    async with EtcdClient(ServersAccess(urls=urls, timeout_seconds=10)) as whole:
        await whole.put("/kept", "1")
        leader = next(place for place, one in enumerate(await whole.health()) if one.is_leader)
    alone = etcd_trio[leader - 1]
    for one in etcd_trio:
        if one is not alone:
            await one.freeze()
    async with EtcdClient(ServersAccess(urls=(alone.url,), timeout_seconds=30)) as patient:
        assert (await patient.read("/kept", is_stale_allowed=True)).items[0].value == b"1"
    async with EtcdClient(ServersAccess(urls=(alone.url,), timeout_seconds=0.5)) as lonely:
        with pytest.raises((NoQuorum, NoAnswer)):
            await lonely.read("/kept")
        with pytest.raises((NoQuorum, NoAnswer)):
            await lonely.compare_and_delete("/kept", "1")
    frozen = next(one for one in etcd_trio if one is not alone)
    async with EtcdClient(ServersAccess(urls=(frozen.url, alone.url), timeout_seconds=1)) as first_frozen:
        with pytest.raises(NoAnswer, match=r"did not answer .* within 1 s"):
            await first_frozen.put("/unknown", "1")  # the first member may have it: the second one is not asked too
    for one in etcd_trio:
        await one.thaw()
    async with EtcdClient(ServersAccess(urls=urls, timeout_seconds=1)) as whole:
        deadline = time.monotonic() + 60
        while True:
            try:
                found = await whole.read("/kept")
                break
            except Unreachable:
                assert time.monotonic() < deadline
        assert found.only is None or found.only.value == b"1"  # the transaction may have been done after all


async def test_logins_are_used_and_renewed(guarded_etcd: EtcdServer) -> None:
    first = guarded_etcd
    urls = (first.url,)
    async with EtcdClient(ServersAccess(urls=urls, timeout_seconds=30)) as nobody:
        with pytest.raises(Denied):
            await nobody.read("/x")
    wrong = ServersAccess(urls=urls, timeout_seconds=30, user="root", password=Secret("guess"))
    async with EtcdClient(wrong) as stranger:
        with pytest.raises(Denied, match=r"check user and password|authentication failed"):
            await stranger.read("/x")
    right = ServersAccess(urls=urls, timeout_seconds=30, user="root", password=Secret("secret"))
    async with EtcdClient(right) as known:
        await known.put("/x", "1")
        await first.stop()  # its tokens end with it
        await first.start()
        assert (await known.read("/x")).items[0].value == b"1"
