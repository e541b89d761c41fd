"""Sites of MariaDB and of Redis: checked, rehearsed, switched, lost, and led home; real servers."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from disaster_kit import CLOCK, Sites, results
from failover_kit import fleet_with_control
from redis.asyncio import Redis
from switchover_kit import until
from test_switchover_pairs import execute

from dbre.capabilities.ha.disaster.measures import Action
from dbre.capabilities.ha.disaster.repository import newest
from dbre.capabilities.ha.disaster.rules import checks_of
from dbre.capabilities.ha.disaster.surveying import look
from dbre.capabilities.ha.failover.surveying import FailoverRefused
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Fleet
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.programs import ServerProgram
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(900)]


@dataclass(kw_only=True)
class Pair:
    """Two servers, and how their users write and read."""

    engine: str
    east: LabServer
    west: LabServer
    write: Callable[[LabServer, str], Awaitable[None]]
    read: Callable[[LabServer], Awaitable[set[str]]]
    user: str | None = None

    @property
    def fleet(self) -> Fleet:
        (cluster,) = fleet_with_control(self.engine, {"n1": self.east, "n2": self.west}).clusters
        login = {"replication_user": self.user, "replication_password": self.east.password}
        return Fleet(clusters=(replace(cluster, **login),))

    async def has(self, server: LabServer, entry: str) -> bool:
        return entry in await self.read(server)


@asynccontextmanager
async def mariadb_pair(lab_site: Site, program: ServerProgram) -> AsyncIterator[Pair]:

    async def write(server: LabServer, entry: str) -> None:
        assert isinstance(server, MariaDbServer)
        await execute(server, "CREATE TABLE IF NOT EXISTS lab.ledger (entry VARCHAR(40))")
        await execute(server, f"INSERT INTO lab.ledger VALUES ('{entry}')")

    async def read(server: LabServer) -> set[str]:
        assert isinstance(server, MariaDbServer)
        there = await execute(server, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_NAME = 'ledger'")
        return {str(one) for (one,) in await execute(server, "SELECT entry FROM lab.ledger")} if there else set()

    async with (
        running(MariaDbServer("dr-m1", lab_site, program=program)) as one,
        running(MariaDbServer("dr-m2", lab_site, program=program, replica_of=one)) as two,
    ):
        yield Pair(engine="mysql", east=one, west=two, write=write, read=read, user=REPLICATION_USER)


@asynccontextmanager
async def redis_pair(lab_site: Site, program: ServerProgram) -> AsyncIterator[Pair]:

    def client(server: LabServer) -> Redis:
        return Redis(host=server.address.host, port=server.address.port, password=server.password.reveal())

    async def write(server: LabServer, entry: str) -> None:
        async with client(server) as connection:
            await connection.sadd("ledger", entry)

    async def read(server: LabServer) -> set[str]:
        async with client(server) as connection:
            return {one.decode() for one in await connection.smembers("ledger")}

    async with (
        running(RedisServer("dr-r1", lab_site, program=program)) as one,
        running(RedisServer("dr-r2", lab_site, program=program, replica_of=one)) as two,
    ):
        yield Pair(engine="redis", east=one, west=two, write=write, read=read)


@pytest.fixture(params=["mariadb", "redis"])
async def pair(
    request: pytest.FixtureRequest, lab_site: Site, mariadb: MariaDbServer, redis_server: RedisServer
) -> AsyncIterator[Pair]:
    is_maria = request.param == "mariadb"
    made = mariadb_pair(lab_site, mariadb.program) if is_maria else redis_pair(lab_site, redis_server.program)
    async with made as found:
        yield found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=False, migrate=True) as opened:
        yield opened


async def done(sites: Sites, store: Store, kind: str, **asked: Any) -> dict[str, Any]:
    record = await sites.do(store, kind, **asked)
    assert record.state is OperationState.SUCCEEDED, (kind, record.error)
    return dict(results(record))


async def test_there_and_back_and_lost_and_home(pair: Pair, store: Store, lab_site: Site, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'state.db'}"
    sites = Sites(fleet=pair.fleet, url=url, site=lab_site, directory=tmp_path)
    ground = sites.ground(store)
    await pair.write(pair.east, "before")
    await until(lambda: pair.has(pair.west, "before"))

    (cluster,) = sites.fleet.clusters
    found = await look(ground, cluster, ground.plan_of(cluster), to=None)
    unmet = {one.rule for one in checks_of(found, now=CLOCK.now()) if not one.is_met and one.is_blocking}
    assert unmet <= {"rehearsal", "loss_now"}
    assert (found.primary, found.candidate) == ("n1", "n2")

    await done(sites, store, "ha.dr_rehearse")
    await done(sites, store, "ha.dr_switch")
    await pair.write(pair.west, "in the west")
    await done(sites, store, "ha.dr_failback")
    assert await pair.has(pair.east, "in the west")

    with pytest.raises(FailoverRefused, match="site_lost: n1 answers"):
        await sites.planned(store, "ha.dr_failover", accept_loss=True)
    await pair.east.kill()
    lost = await done(sites, store, "ha.dr_failover", primary="n1", accept_loss=True)
    assert lost["fence"]["seen"] == "no process is left"
    await pair.write(pair.west, "after the loss")

    await pair.east.start()  # it comes back as what it was: two take writes, and a person says who gives way
    with pytest.raises(PrecheckFailed, match="more than one, takes writes") as refused:
        await sites.planned(store, "ha.dr_failback")
    assert refused.value.hint is not None
    assert "dbre ha rejoin shop INSTANCE" in refused.value.hint
    await done(sites, store, "ha.rejoin", instance="n1")
    await done(sites, store, "ha.dr_failback")
    assert {"before", "in the west", "after the loss"} <= await pair.read(pair.east)
    await pair.write(pair.east, "at home")
    await until(lambda: pair.has(pair.west, "at home"))
    async with store.read() as connection:
        kept = {action: one.run for action, one in (await newest(connection, "shop")).items()}
    assert set(kept) == set(Action)
    assert kept[Action.FAILBACK].site_after == "east"
    assert (await sites.planned(store, "ha.dr_failback")).plan.steps == ()
