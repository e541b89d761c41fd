"""Every fault of the catalogue is gone after its runner was killed: a fault that has no case here fails the test."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from certificates_kit import with_tls
from chaos_network_kit import Networked
from injection_kit import SMALL, is_over, order_on, record_of, runner, until
from test_chaos_faults_on_servers import PASSWORD, make_client
from test_chaos_server_faults import postgres_shop

from dbre.capabilities.chaos.injection.catalogue import CATALOGUE
from dbre.capabilities.chaos.injection.order import Order
from dbre.core.secrets import Secret
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer
from dbre.testing.fixtures import running

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
_TABLE = "DBRE_REVERT_TABLE"  # a file to which each case adds a line, for docs/reference/chaos-faults.md


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The servers, and where files of a case go."""

    redis: RedisServer
    postgres: PostgresServer
    restarted: PostgresServer
    pair: Networked
    place: Path

    def order(self, fault: str, server: Any, **parameters: Any) -> Order:
        return order_on(server, fault, self.place / "state", **parameters)

    def is_taken_up(self) -> bool:
        """Once it is seen to be dead; until whoever started a server looks, its number is in use, and no other one starts."""
        return self.restarted.is_running or not self.restarted.processes()


_ON_REDIS: Mapping[str, Mapping[str, Any]] = {"freeze": {}, "stutter": {}, "write-stall": {}}
_ON_POSTGRES: Mapping[str, Mapping[str, Any]] = {
    "lock-storm": {"table": "public.every", "waiters": 1},
    "idle-in-transaction": {"sessions": 2},
    "deadlock-storm": {"pairs": 1},
    "session-end": {"application": "shop"},
    "archive-failure": {},
    "slot-leak": {},
    "backend-kill": {"only": "checkpointer"},
    "certificate-expiry": {},
}
_ON_ITS_OWN: Mapping[str, Mapping[str, Any]] = {
    "crash": {"restart": "same"},
    "clock-skew": {"behind": "1h", "restarts": True},
    "io-fault": {"calls": "read", "error": "EIO", "share": 0.001, "restarts": True},
}
_ON_A_PAIR: Mapping[str, Mapping[str, Any]] = {
    "partition": {},
    "delay": {"delay": "20ms"},
    "bandwidth": {"rate": "1MB"},
    "replay-pause": {},
    "replica-lag": {"delay": "1m"},
}


def order_for(fault: str, stage: Stage) -> Order:
    """How each fault is asked for. Raises: KeyError for one that has no case."""
    place = stage.place
    elsewhere: dict[str, Any] = {
        "disk-ballast": lambda: stage.order(fault, stage.redis, directory=str(place), size="5MB", floor="1MB"),
        "cache-drop": lambda: stage.order(fault, stage.redis, directory=str(place / "files")),
        "dns-failure": lambda: stage.order(fault, stage.postgres, name="db.example.net", file=str(place / "hosts")),
        "dcs-loss": lambda: stage.order(fault, stage.postgres, endpoints=str(stage.redis.address)),
        "agent-freeze": lambda: stage.order(fault, stage.postgres, endpoints=str(stage.redis.address)),
        "toxic": lambda: stage.order(fault, stage.postgres, toxic="latency,latency=20", listen=f"127.0.0.1:{choose_port()}"),
        "pool-exhaustion": lambda: order_on(
            stage.postgres,
            fault,
            place / "state",
            access=stage.postgres.access(user="chaos_client", password=Secret(PASSWORD)),
        ),
    }
    if fault in elsewhere:
        order: Order = elsewhere[fault]()
        return order
    if fault in _ON_A_PAIR:
        return stage.pair.order(fault, place / "state", **_ON_A_PAIR[fault])
    server = stage.redis if fault in _ON_REDIS else stage.restarted if fault in _ON_ITS_OWN else stage.postgres
    return stage.order(fault, server, **{**_ON_REDIS, **_ON_ITS_OWN, **_ON_POSTGRES}[fault])


@asynccontextmanager
async def ready_for(fault: str, stage: Stage) -> AsyncIterator[None]:
    """What has to be there besides."""
    async with AsyncExitStack() as stack:
        if fault == "certificate-expiry":
            await stack.enter_async_context(with_tls(stage.postgres, stage.place))
        elif fault == "session-end":
            await stack.enter_async_context(postgres_shop(stage.postgres))
        elif fault == "pool-exhaustion":
            await make_client(stage.postgres)
        elif fault == "lock-storm":
            async with await stage.postgres.connect() as admin:
                await admin.execute("CREATE TABLE IF NOT EXISTS every (n int)")
        elif fault == "dns-failure":
            (stage.place / "hosts").write_text("127.0.0.1 localhost\n")
        elif fault == "cache-drop":
            (stage.place / "files").mkdir()
            with (stage.place / "files" / "cold").open("wb") as file:
                file.write(os.urandom(8 * 2**20))
                os.fsync(file.fileno())  # what is not written yet stays
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def restarted(small_postgres: PostgresServer) -> AsyncIterator[PostgresServer]:
    """One that is killed and started by others."""
    server = PostgresServer("chaos-every", small_postgres.site, binaries=small_postgres.binaries, settings=SMALL)
    async with running(server):
        yield server


@pytest.fixture
def stage(
    victim: RedisServer, small_postgres: PostgresServer, restarted: PostgresServer, networked: Networked, tmp_path: Path
) -> Stage:
    return Stage(redis=victim, postgres=small_postgres, restarted=restarted, pair=networked, place=tmp_path)


async def answer(stage: Stage) -> None:
    """Every server takes what it is told: the fault left nothing that stops it."""
    for server in (stage.postgres, stage.restarted, stage.pair.primary):
        async with await server.connect() as admin:
            await admin.execute("CREATE TABLE IF NOT EXISTS afterwards (n int)")
            await admin.execute("INSERT INTO afterwards VALUES (1)")
    await stage.pair.until_level()
    assert not stage.redis.is_frozen


def note(row: Mapping[str, Any]) -> None:
    """For whoever wants the table."""
    if os.environ.get(_TABLE):
        with Path(os.environ[_TABLE]).open("a") as file:
            file.write(json.dumps(row) + "\n")


@pytest.mark.parametrize("fault", sorted(CATALOGUE))
async def test_a_fault_is_gone_after_its_runner_was_killed(fault: str, stage: Stage) -> None:
    order = order_for(fault, stage)
    async with ready_for(fault, stage):
        async with runner(order) as process:
            seen = record_of(order).detail
            process.kill()
            began = time.monotonic()
            await until(lambda: stage.is_taken_up() and is_over(order))
        took, record = time.monotonic() - began, record_of(order)
        assert "its runner is gone" in record.why
        async with asyncio.timeout(240):
            await answer(stage)
    note({"fault": fault, "engine": order.engine, "on": seen, "off": record.detail, "seconds": round(took, 2)})
