"""A lab of MariaDB: its replica follows and takes no writes, and its members are alike but for what each has for itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from dbre.app import Engines
from dbre.capabilities.chaos.config_document import CHAOS
from dbre.capabilities.observe import PROBE
from dbre.capabilities.slo.documents import SLOS
from dbre.core.config import load
from dbre.core.fleet import Cluster
from dbre.core.fleet_document import FLEET, build_fleet
from dbre.core.store import STATE
from dbre.lab import Lab, LabEngine, LabSpec, take_down
from dbre.lab.mariadb import MariaDbServer, _single_lines
from dbre.ports.contact import contact
from dbre.ports.engine import Server
from dbre.ports.session import Role
from dbre.ports.settings_drift import drift_between


@pytest_asyncio.fixture(loop_scope="session")
async def cluster(environment: dict[str, str], mariadb: MariaDbServer) -> AsyncIterator[Cluster]:
    lab = await Lab.create(LabSpec(name="shop", engine=LabEngine.MARIADB, replicas=1, durable=False), environment=environment)
    config = load([lab.config_file], sections=[FLEET, SLOS, PROBE, STATE, CHAOS], environment={}, flags={})
    (found,) = build_fleet(config, default_ports={"mysql": 3306}).clusters
    yield found
    take_down("shop", environment=environment)


async def test_the_replica_follows_and_the_members_are_alike(cluster: Cluster) -> None:
    roles, settings = {}, {}
    for instance in cluster.instances:
        async with contact(Engines(), cluster, instance.address, purpose="test") as server:
            roles[instance.name] = (await server.session.identify()).role
            settings[instance.name] = await server.settings.list()
            if instance.name == "shop-2":
                await _until_it_follows(server)
            assert any("SUPER" in one for one in await server.session.privileges())
    assert roles == {"shop-1": Role.PRIMARY, "shop-2": Role.REPLICA}
    assert [one.name for one in drift_between(settings)] == []


async def _until_it_follows(server: Server) -> None:
    for _ in range(50):
        if (await server.replication.status()).is_receiving:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the replica does not follow")


def test_an_init_file_holds_no_remark_because_the_server_stops_at_one() -> None:
    script = "/* first */ GRANT A;\n/*M!100509 GRANT B */;\n/*!80000 GRANT C */;\n/* Not granted: GRANT D */\n"
    assert _single_lines(script) == ["GRANT A;", "/*M!100509 GRANT B */;"]
