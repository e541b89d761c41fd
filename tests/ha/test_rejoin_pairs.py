"""MariaDB and Redis follow again while they run: what only the old primary has is told, and never skipped over."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ha_live import Engines
from redis.asyncio import Redis
from rejoin_kit import Rejoiner, results
from switchover_kit import controlled, until
from switchover_kit import ground_of as switchover_ground_of
from test_switchover_pairs import execute

from dbre.capabilities.ha.looking import read_status
from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.core.clock import SystemClock
from dbre.core.errors import PrecheckFailed
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.lab.mariadb import REPLICATION_USER, MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.ports.backup.model import Place
from dbre.testing.fixtures import running

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(f"sqlite:///{tmp_path / 's.db'}", clock=SystemClock(), exclusive=True, migrate=True) as opened:
        yield opened


def rejoiner(store: Store, engine: str, servers: dict[str, Any], directory: Path, site: Site, **more: Any) -> Rejoiner:
    ground = RejoinGround(
        servers=switchover_ground_of(controlled(engine, servers, **more)),
        directory=directory / "lost",
        find_place=lambda: Place(account=site.account, cache=site.cache),
    )
    return Rejoiner(store=store, ground=ground, lease="60s")


async def errants(walker: Rejoiner) -> list[str]:
    fleet = walker.ground.servers.fleet
    found = await read_status(Engines(), fleet, fleet.clusters[0], seed=None, slot_limit_bytes=1 << 30)
    return [one.summary for one in found.findings if one.rule == "ha.errant_transactions"]


async def take_over(replica: MariaDbServer) -> None:
    await execute(replica, "STOP ALL SLAVES", "RESET SLAVE ALL", "SET GLOBAL read_only = OFF")


async def rows_of(server: MariaDbServer) -> list[str]:
    return [str(entry) for (entry,) in await execute(server, "SELECT entry FROM lab.ledger ORDER BY entry")]


async def test_mariadb_follows_by_transaction_and_what_only_it_has_is_listed(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with (
        running(MariaDbServer("rj-m1", lab_site, program=mariadb.program)) as one,
        running(MariaDbServer("rj-m2", lab_site, program=mariadb.program, replica_of=one)) as two,
    ):
        login = {"replication_user": REPLICATION_USER, "replication_password": one.password}
        walker = rejoiner(store, "mysql", {"n1": one, "n2": two}, tmp_path, lab_site, **login)
        await execute(one, "CREATE TABLE lab.ledger (entry VARCHAR(20))", "INSERT INTO lab.ledger VALUES ('before')")
        await until(lambda: has(two, "before"))
        await take_over(two)
        await execute(two, "INSERT INTO lab.ledger VALUES ('after')")
        await execute(one, "SET GLOBAL read_only = ON")
        assert await errants(walker) == []

        record = await walker.rejoin("n1")
        assert record.state is OperationState.SUCCEEDED, record.error
        assert [step.name for step in record.planned.plan.steps] == ["close", "compare", "follow"]
        compared = results(record)["compare"]
        assert (compared["is_comparable"], compared["lost"], compared["sample"]) == (True, [], None)
        await until(lambda: has(one, "after"))
        with pytest.raises(PrecheckFailed, match="n1 follows n2 already"):
            await walker.plan("n1")

        await take_over(one)  # and the other one goes on, in two domains
        other = "SET SESSION gtid_domain_id = 7"
        await execute(two, "INSERT INTO lab.ledger VALUES ('lost 1')", "INSERT INTO lab.ledger VALUES ('lost 2')")
        await execute(two, other, "INSERT INTO lab.ledger VALUES ('lost 3')")
        await execute(one, "INSERT INTO lab.ledger VALUES ('kept')")
        with pytest.raises(PrecheckFailed) as refusal:
            await walker.plan("n2")
        await execute(two, "SET GLOBAL read_only = ON")
        (told,) = await errants(walker)
        assert told.startswith("n2 has what primary n1 does not: domain 0, server ")
        ranges = refusal.value.context["ranges"]
        first, second = (re.fullmatch(r"domain (\d+), server \d+: transactions (\d+)(?: to (\d+))?", word) for word in ranges)
        assert first is not None
        assert second is not None
        assert (first[1], int(first[3]) - int(first[2])) == ("0", 1)
        assert (second[1], second[2], second[3]) == ("7", "1", None)
        assert refusal.value.hint is not None
        assert await rows_of(two) == ["after", "before", "lost 1", "lost 2", "lost 3"]  # nothing was done


async def has(server: MariaDbServer, entry: str) -> bool:
    """Whether it has come over, and the table with it."""
    tables = await execute(
        server, "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'lab' AND TABLE_NAME = 'ledger'"
    )
    return bool(tables) and entry in await rows_of(server)


async def test_redis_is_filled_anew_and_how_much_goes_is_told(
    redis_server: RedisServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with (
        running(RedisServer("rj-r1", lab_site, program=redis_server.program)) as one,
        running(RedisServer("rj-r2", lab_site, program=redis_server.program, replica_of=one)) as two,
    ):
        walker = rejoiner(store, "redis", {"n1": one, "n2": two}, tmp_path, lab_site)
        async with _client(one) as old, _client(two) as new:
            await old.set("entry", "before")
            await old.wait(1, 30_000)
            await new.execute_command("REPLICAOF", "NO", "ONE")
            await new.set("entry", "after")
            await old.set("lost", "x" * 1000)
            await old.hset("lost:hash", mapping={"b": "2", "a": "1"})
            await old.set("volatile", "goes by itself", ex=600)
            plan = await walker.plan("n1")
            assert any("all that n1 has is replaced: it has what n2 does not: stream" in one for one in plan.warnings)
            told = "of all of its keys 2 are missing there and 1 is other there"
            assert any(told in one and "lost:hash" in one for one in plan.warnings)
            record = await walker.rejoin("n1")
            assert record.state is OperationState.SUCCEEDED, record.error
            (lost,) = results(record)["compare"]["lost"]
            assert lost["unit"] == "bytes"
            sample = results(record)["compare"]["sample"]
            assert (sample["compared"], sample["missing"], sample["changed"]) == (3, 2, 1)
            assert sorted(sample["names"]) == ["entry", "lost", "lost:hash"]
            assert 1000 <= lost["most"] < 20_000  # and what it sends to followers besides
            assert results(record)["follow"]["way"] == "resync"
        async with _client(one) as old:
            assert await old.get("entry") == "after"
            assert await old.get("lost") is None


def _client(server: RedisServer) -> Redis:
    return Redis(host=server.address.host, port=server.address.port, password=server.password.reveal(), decode_responses=True)


@pytest.mark.soak
async def test_a_login_that_may_read_no_keys_is_told_what_that_takes(
    redis_server: RedisServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with (
        running(RedisServer("rj-r3", lab_site, program=redis_server.program)) as one,
        running(RedisServer("rj-r4", lab_site, program=redis_server.program, replica_of=one)) as two,
    ):
        who = ("resetpass", f">{one.password.reveal()}", "on", "resetkeys", "~dbre:*", "+@all")
        async with _client(one) as old, _client(two) as new:
            for each in (old, new):
                await each.execute_command("ACL", "SETUSER", "blind", *who)
            await new.execute_command("REPLICAOF", "NO", "ONE")
            await old.set("lost", "1")
        walker = rejoiner(store, "redis", {"n1": one, "n2": two}, tmp_path, lab_site, user="blind")
        plan = await walker.plan("n1")
        (told,) = [line for line in plan.warnings if "its keys are not compared" in line]
        assert "+@read" in told


@pytest.mark.soak
async def test_a_pair_in_which_nothing_was_ever_written_is_led_back(
    mariadb: MariaDbServer, lab_site: Site, store: Store, tmp_path: Path
) -> None:
    async with (
        running(MariaDbServer("rj-e1", lab_site, program=mariadb.program)) as one,
        running(MariaDbServer("rj-e2", lab_site, program=mariadb.program, replica_of=one)) as two,
    ):
        login = {"replication_user": REPLICATION_USER, "replication_password": one.password}
        walker = rejoiner(store, "mysql", {"n1": one, "n2": two}, tmp_path, lab_site, **login)
        await take_over(two)
        record = await walker.rejoin("n1")
        assert record.state is OperationState.SUCCEEDED, record.error
        await execute(two, "CREATE TABLE lab.ledger (entry VARCHAR(20))", "INSERT INTO lab.ledger VALUES ('after')")
        await until(lambda: has(one, "after"))
