"""Rolling restarts of MariaDB and Redis, whose servers follow online: also where a start makes a replica take writes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pair_kit import commands, roles

from dbre.core.clock import SystemClock
from dbre.core.control import Control
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Fleet
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.engine import Access
from dbre.ports.session import Role
from dbre.ports.settings import SettingRefused
from dbre.testing.fixtures import running
from upgrade_kit import Engines, Ground, Walker, fleet_of, results_of, steps_of

Pair = dict[str, LabServer]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


@pytest.fixture
async def maria(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[Pair]:
    async with (
        running(MariaDbServer("up-m1", lab_site, program=mariadb.program)) as primary,
        running(MariaDbServer("up-m2", lab_site, program=mariadb.program, replica_of=primary)) as replica,
    ):
        yield {"n1": primary, "n2": replica}


@pytest.fixture
async def redis_pair(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[Pair]:
    async with (
        running(RedisServer("up-r1", lab_site, program=redis_server.program)) as primary,
        running(RedisServer("up-r2", lab_site, program=redis_server.program, replica_of=primary)) as replica,
    ):
        yield {"n1": primary, "n2": replica}


async def test_mariadb_is_restarted_and_a_replica_that_would_take_writes_is_closed_again(maria: Pair, store: Store) -> None:
    login: dict[str, Any] = {"replication_user": REPLICATION_USER, "replication_password": maria["n1"].password}
    fleet = fleet_of(maria, commands(maria), **login)
    walker = Walker(store=store, ground=Ground.of(fleet))

    record = await walker.do("upgrade.restart")

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record) == ["stand", "restart:n2", "switch", "restart:n1"]
    told = results_of(record)
    assert (told["restart:n2"]["how"], told["restart:n1"]["how"]) == ("restarted", "restarted")
    assert told["restart:n1"]["closed_again"]  # its command line says that it takes writes
    assert await roles(fleet) == [Role.REPLICA, Role.PRIMARY]
    with pytest.raises(PrecheckFailed, match="read when the server starts"):  # nobody says which file is dbre's
        await walker.submit("upgrade.parameters", set={"back_log": "200"})


@pytest.mark.soak
async def test_redis_is_restarted_there_and_back(redis_pair: Pair, store: Store) -> None:
    fleet = fleet_of(redis_pair, commands(redis_pair))
    walker = Walker(store=store, ground=Ground.of(fleet))

    record = await walker.do("upgrade.restart", back=True)

    assert record.state is OperationState.SUCCEEDED, record.error
    assert [one["how"] for name, one in results_of(record).items() if name.startswith("restart:")] == ["restarted"] * 2
    assert await roles(fleet) == [Role.PRIMARY, Role.REPLICA]
    with pytest.raises(UsageError, match="none of them needs a restart"):
        await walker.submit("upgrade.parameters", set={"maxclients": "200"})
    with pytest.raises(SettingRefused, match="read when the server starts"):  # nobody says which file is dbre's
        await walker.submit("upgrade.parameters", set={"tcp-backlog": "200"})


@pytest.mark.soak
async def test_a_setting_of_mariadb_is_written_into_its_file_and_counts_everywhere(maria: Pair, store: Store) -> None:
    login: dict[str, Any] = {"replication_user": REPLICATION_USER, "replication_password": maria["n1"].password}
    fleet = fleet_of(maria, controls := commands(maria, has_files=True), **login)
    walker = Walker(store=store, ground=Ground.of(fleet))

    record = await walker.do("upgrade.parameters", set={"back_log": "77"})

    assert record.state is OperationState.SUCCEEDED, record.error
    assert steps_of(record) == ["change:n2", "store:n1", "switch", "change:n1"]
    assert await values(fleet, "back_log") == ["77", "77"]
    assert [told(one) for one in controls.values()] == ["[mysqld]\nback_log = 77\n"] * 2
    assert await roles(fleet) == [Role.REPLICA, Role.PRIMARY]
    assert steps_of(await walker.do("upgrade.parameters", set={"back_log": "77"})) == []
    online = await walker.do("upgrade.parameters", set={"max_connections": "81", "long_query_time": "0.5"})
    assert (online.state, steps_of(online)) == (OperationState.SUCCEEDED, ["change:n1", "change:n2"])  # nobody is restarted
    assert [one["restarted"] for one in results_of(online).values()] == [False, False]
    assert await values(fleet, "max_connections") == ["81", "81"]
    assert "max_connections = 81\n" in told(controls["n1"])
    assert steps_of(await walker.do("upgrade.parameters", set={"long_query_time": "0.50"})) == []
    for name, why in (("log_bin_trust_function_creators", "replication"), ("datadir", "files"), ("port", "lose the server")):
        with pytest.raises(PrecheckFailed, match=why):
            await walker.submit("upgrade.parameters", set={name: "1"})


@pytest.mark.soak
async def test_a_setting_of_redis_is_written_into_its_file_and_counts_everywhere(redis_pair: Pair, store: Store) -> None:
    fleet = fleet_of(redis_pair, controls := commands(redis_pair, has_files=True))
    walker = Walker(store=store, ground=Ground.of(fleet, settings={"start": "10s"}))

    record = await walker.do("upgrade.parameters", set={"tcp-backlog": "300"})

    assert record.state is OperationState.SUCCEEDED, record.error
    assert await values(fleet, "tcp-backlog") == ["300", "300"]
    assert [told(one) for one in controls.values()] == ["tcp-backlog 300\n"] * 2

    online = await walker.do("upgrade.parameters", set={"maxmemory-policy": "allkeys-lru"})
    assert (online.state, len(steps_of(online))) == (OperationState.SUCCEEDED, 2), online.error
    assert await values(fleet, "maxmemory-policy") == ["allkeys-lru"] * 2
    bad = await walker.do("upgrade.parameters", set={"maxmemory-samples": "9", "hz": "many"})
    assert bad.state is OperationState.FAILED
    assert "does not take hz=many" in (bad.error or {})["message"]
    assert await values(fleet, "maxmemory-samples") == ["5", "5"]  # it had it for a moment, and got back what it had
    assert [told(one) for one in controls.values()] == ["tcp-backlog 300\nmaxmemory-policy allkeys-lru\n"] * 2

    refused = await walker.do("upgrade.parameters", set={"databases": "0"})

    assert refused.state is OperationState.FAILED, refused.error  # it did not start with it, and got back what it had
    assert await values(fleet, "databases") == ["16", "16"]
    assert [told(one) for one in controls.values()] == ["tcp-backlog 300\nmaxmemory-policy allkeys-lru\n"] * 2
    for name, why in (("dir", "names files"), ("port", "lose the server"), ("requirepass", "secret")):
        with pytest.raises(PrecheckFailed, match=why):
            await walker.submit("upgrade.parameters", set={name: "x"})


def told(control: Control) -> str:
    assert control.settings_file is not None
    return control.settings_file.read_text()


async def values(fleet: Fleet, name: str) -> list[str]:
    (cluster,), found = fleet.clusters, []
    for one in cluster.instances:
        server = Engines().get(cluster.engine).connect(Access.to(cluster, one.address))
        try:
            found.append((await server.settings.state(name)).value)
        finally:
            await server.aclose()
    return found
