"""A rehearsal turns a record that no client uses, at a real BIND, and leaves it as it was, whatever happens meanwhile."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from disaster_kit import CLOCK, Sites, results
from switchover_kit import controlled

from dbre.capabilities.ha.disaster.building import rehearsal_routes_of
from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.repository import newest
from dbre.core.fleet import Address
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.bind import KEY_NAME, BindServer, find_bind
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair, installed, running
from dbre.tools.dns.answers import ask
from dbre.tools.dns.dynamic_zone import DynamicZone, UpdateKey

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "rehearsal.lab.example"
EAST, WEST = "n1.lab.example.", "n2.lab.example."


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def bind(lab_site: Site) -> AsyncIterator[BindServer]:
    program = installed(lambda: find_bind(account=lab_site.account))
    records = {"rehearsal": f"1 IN CNAME {EAST}"}
    async with AsyncExitStack() as stack:
        server = BindServer("rehearsals", lab_site, program=program, zone="lab.example", records=records)
        yield await stack.enter_async_context(running(server))


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=False, migrate=True) as opened:
        yield opened


@pytest.fixture
def sites(postgres_pair: PostgresPair, bind: BindServer, lab_site: Site, tmp_path: Path) -> Sites:
    fleet = controlled("postgresql", {"n1": postgres_pair.primary, "n2": postgres_pair.replica})
    plan = {"rehearse": {"routes": [{"name": "record", "dns": record(bind, tmp_path, bind.password.reveal())}]}}
    return Sites(fleet=fleet, url=f"sqlite:///{tmp_path / 'state.db'}", site=lab_site, directory=tmp_path, plan=plan)


def record(bind: BindServer, directory: Path, secret: str, *, server: Address | None = None) -> dict[str, Any]:
    key = directory / "tsig"
    key.touch(mode=0o600)
    key.write_text(secret)
    return {
        "record": NAME,
        "type": "CNAME",
        "zone": "lab.example",
        "server": str(server or bind.address),
        "key_name": KEY_NAME,
        "key": f"file:{key}",
        "targets": {"n1": EAST, "n2": WEST},
    }


def zone_of(bind: BindServer) -> DynamicZone:
    return DynamicZone(server=bind.address, zone="lab.example", key=UpdateKey(name=KEY_NAME, secret=bind.password))


async def says(bind: BindServer) -> tuple[str, ...]:
    return (await ask(bind.address, NAME, "CNAME")).values


async def serial(bind: BindServer) -> int:
    return int((await ask(bind.address, "lab.example", "SOA")).values[0].split()[2])


async def rehearsed(store: Store, sites: Sites) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """What the records showed, and what did not hold of everything."""
    done = await sites.do(store, "ha.dr_rehearse")
    assert done.state is OperationState.SUCCEEDED, done.error
    async with store.read() as connection:
        found = (await newest(connection, "shop"))[Action.REHEARSE].run
    return list(results(done)["turn-records"]["checks"]), found.failed


async def test_a_record_is_led_to_the_other_site_and_back(store: Store, sites: Sites, bind: BindServer) -> None:
    before, first = await serial(bind), await ask(bind.address, NAME, "CNAME")
    checks, failed = await rehearsed(store, sites)
    assert [(one["subject"], one["is_met"]) for one in checks] == [("record", True)]
    assert checks[0]["value"] == f"authoritative: {WEST} (wanted: {WEST})"
    assert failed == ()
    after = await ask(bind.address, NAME, "CNAME")
    assert (after.values, after.ttl) == (first.values, first.ttl)
    assert await serial(bind) >= before + 2  # there, and back


async def test_who_was_killed_with_the_record_turned_is_followed_by_one_who_leads_it_back(
    store: Store, sites: Sites, bind: BindServer
) -> None:
    submitted = await sites.submit(store, "ha.dr_rehearse")
    await zone_of(bind).swap(NAME, "CNAME", old=[EAST], new=[WEST], ttl=1)  # all that the killed one had done
    done = await sites.run(store, submitted)
    assert done.state is OperationState.SUCCEEDED, done.error
    assert [one["is_met"] for one in results(done)["turn-records"]["checks"]] == [True]
    assert await says(bind) == (EAST,)


@pytest.mark.soak
async def test_what_somebody_else_wrote_meanwhile_stays_and_is_told(store: Store, sites: Sites, bind: BindServer) -> None:
    submitted = await sites.submit(store, "ha.dr_rehearse")
    await zone_of(bind).swap(NAME, "CNAME", old=[EAST], new=["other.lab.example."], ttl=1)
    try:
        done = await sites.run(store, submitted)
        (told,) = results(done)["turn-records"]["checks"]
        assert not told["is_met"]
        assert f"is other.lab.example., and not {WEST} as it was" in told["value"]
        assert await says(bind) == ("other.lab.example.",)
    finally:
        await zone_of(bind).swap(NAME, "CNAME", old=["other.lab.example."], new=[EAST], ttl=1)


@pytest.mark.soak
@pytest.mark.parametrize("wrong", ["key", "server"])
async def test_a_key_that_does_not_fit_or_a_server_that_is_gone_is_told_and_stops_nothing(
    store: Store, sites: Sites, bind: BindServer, tmp_path: Path, wrong: str
) -> None:
    secret = "bm90LXRoZS1zZWNyZXQtb2YtdGhpcy1zZXJ2ZXI=" if wrong == "key" else bind.password.reveal()
    server = replace(bind.address, port=1) if wrong == "server" else None
    sites.plan["rehearse"]["routes"][0]["dns"] = record(bind, tmp_path, secret, server=server)
    checks, failed = await rehearsed(store, sites)
    assert [one["is_met"] for one in checks] == [False]
    assert any(one.startswith("record: ") for one in failed)
    assert secret not in str(checks)
    assert await says(bind) == (EAST,)


def test_the_records_of_a_rehearsal_are_no_routes_of_clients(sites: Sites) -> None:
    (cluster,) = sites.fleet.clusters
    assert [one.name for one in rehearsal_routes_of(sites.settings, cluster)] == ["record"]
    assert sites.settings.of("shop").routes == ()
