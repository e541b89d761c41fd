"""Rolling restarts of MariaDB and Redis, whose servers follow online: also where a start makes a replica take writes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pair_kit import commands, roles
from upgrade_kit import Ground, Walker, fleet_of, results_of, steps_of

from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed, Unsupported
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.ports.session import Role
from dbre.testing.fixtures import running

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
    with pytest.raises(PrecheckFailed, match="read when the server starts"):  # into my.cnf, and then upgrade restart
        await walker.submit("upgrade.parameters", set={"back_log": "200"})


@pytest.mark.soak
async def test_redis_is_restarted_there_and_back(redis_pair: Pair, store: Store) -> None:
    fleet = fleet_of(redis_pair, commands(redis_pair))
    walker = Walker(store=store, ground=Ground.of(fleet))

    record = await walker.do("upgrade.restart", back=True)

    assert record.state is OperationState.SUCCEEDED, record.error
    assert [one["how"] for name, one in results_of(record).items() if name.startswith("restart:")] == ["restarted"] * 2
    assert await roles(fleet) == [Role.PRIMARY, Role.REPLICA]
    with pytest.raises(Unsupported, match="neither types nor limits"):
        await walker.submit("upgrade.parameters", set={"maxclients": "200"})
