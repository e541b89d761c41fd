"""Redis Sentinels beside the databases: whom they name, what is wrong with them, what a failover by them loses."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from ha_live import context, fleet_of, rules, until

from dbre.capabilities.ha.cli import status
from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.sentinel.findings import outage_seconds
from dbre.core.errors import Denied, ExitCode
from dbre.core.secrets import Secret
from dbre.lab.redis import RedisServer
from dbre.lab.sentinel import SentinelServer, sentinels_of
from dbre.lab.site import Site
from dbre.testing.fixtures import running
from dbre.tools.sentinel import SentinelAccess, SentinelClient, SentinelRefused, SentinelWord

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[tuple[RedisServer, RedisServer]]:
    async with (
        running(RedisServer("se-r1", lab_site, program=redis_server.program)) as primary,
        running(RedisServer("se-r2", lab_site, program=redis_server.program, replica_of=primary)) as replica,
    ):
        yield primary, replica


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def sentinels(pair: tuple[RedisServer, RedisServer], lab_site: Site) -> AsyncIterator[Sequence[SentinelServer]]:
    found = sentinels_of(pair[0], [lab_site] * 3, master_name="shop")
    await asyncio.gather(*(one.start() for one in found))
    for one in found:
        await learn_quickly(one)
    client = client_of(found)
    await until(client.words, lambda words: all(isinstance(one, SentinelWord) and one.quorum_error is None for one in words))
    yield found
    for one in found:
        await one.destroy()


async def learn_quickly(sentinel: SentinelServer) -> None:
    """They ask servers for INFO every 10 s."""
    assert "OK" in await sentinel.ask("SENTINEL DEBUG INFO-PERIOD 300")


def client_of(servers: Sequence[SentinelServer], *, password: Secret | None = None) -> SentinelClient:
    addresses = tuple(one.address for one in servers)
    return SentinelClient(SentinelAccess(addresses=addresses, master_name="shop", password=password or servers[0].password))


def watched(pair: tuple[RedisServer, RedisServer], servers: Sequence[SentinelServer], tmp_path: Any) -> Any:
    """The commands on the pair, with the Sentinels in the configuration."""
    secret = tmp_path / "sentinel-password"
    secret.write_text(servers[0].password.reveal())
    secret.chmod(0o600)
    sentinel = {"addresses": [str(one.address) for one in servers], "password": f"file:{secret}"}
    document = HaDocument.model_validate({"clusters": [{"cluster": "shop", "sentinel": sentinel}]})
    here = context(fleet_of("redis", {"r1": pair[0], "r2": pair[1]}))
    here.obj.config = SimpleNamespace(get=lambda _: document)
    return here


async def test_sentinels_are_heard_and_found_wanting(
    pair: tuple[RedisServer, RedisServer], sentinels: Sequence[SentinelServer], tmp_path: Any
) -> None:
    here = watched(pair, sentinels, tmp_path)

    async def look() -> Any:
        return await status(here, "shop")

    found = await until(look, lambda view: view.exit_code is ExitCode.OK)
    assert found.items[0]["consensus"]["leader_instance"] == "r1"
    assert "primary is r1; 3 of 3 answer, 2 must find it dead" in found.text

    wrong = await client_of(sentinels, password=Secret("wrong")).words()
    assert all(isinstance(one, Denied) for one in wrong)

    await sentinels[2].kill()
    await until(look, lambda view: ("ha.sentinel_unreachable", "shop") in rules(view))
    await sentinels[1].kill()
    alone = await until(look, lambda view: ("ha.sentinel_no_quorum", "shop") in rules(view))
    assert {one["severity"] for one in alone.items[0]["findings"] if one["rule"] == "ha.sentinel_no_quorum"} == {"critical"}
    assert "dcs_quorum_lost" in alone.items[0]["verdicts"]
    for one in sentinels[1:]:
        await one.start()
        await learn_quickly(one)
    await until(look, lambda view: view.exit_code is ExitCode.OK)


async def test_a_failover_by_sentinels_is_followed_and_a_replica_without_a_vote_is_told(
    pair: tuple[RedisServer, RedisServer], sentinels: Sequence[SentinelServer], tmp_path: Any
) -> None:
    here, client = watched(pair, sentinels, tmp_path), client_of(sentinels)
    (word, *_) = await client.words()
    assert isinstance(word, SentinelWord)
    assert outage_seconds(word) == pytest.approx(1.8)

    await pair[1]._ask("CONFIG SET replica-priority 0")

    async def look() -> Any:
        return await status(here, "shop")

    await until(look, lambda view: ("ha.sentinel_no_candidate", "shop") in rules(view))
    nobody = SentinelAccess(addresses=client.access.addresses, master_name="nobody", password=client.access.password)
    with pytest.raises(SentinelRefused, match="No such master"):
        await SentinelClient(nobody).failover()
    await pair[1]._ask("CONFIG SET replica-priority 100")
    await until(look, lambda view: ("ha.sentinel_no_candidate", "shop") not in rules(view))

    await pair[0].kill()
    promoted = await until(
        look, lambda view: view.items[0]["primary"] == "r2" and view.items[0]["consensus"]["leader_instance"] == "r2"
    )
    assert ("ha.unreachable", "r1") in rules(promoted)
    await pair[0].start()
    again = await until(look, lambda view: view.exit_code is ExitCode.OK)
    assert [(one["downstream"], one["upstream"]) for one in again.items[0]["edges"]] == [("r1", "r2")]
