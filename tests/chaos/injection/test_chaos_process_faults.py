"""Faults by processes and files: a backend killed, a store frozen, a name that leads nowhere, a toxic in the way."""

import os
import signal
import socket
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from injection_kit import ENGINES, fleet_with, has_no_injector, is_over, order_on, record_of, runner, until
from proxy_process_kit import standing_proxy
from server_faults_kit import ENDS, come_and_go, failure_of

from dbre.capabilities.chaos.injection.healing import heal
from dbre.core.clock import SystemClock
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer

pytestmark = pytest.mark.slow


async def test_a_killed_backend_makes_postgres_begin_anew(small_postgres: PostgresServer, tmp_path: Path) -> None:
    before = {one.pid for one in small_postgres.processes()}
    order = order_on(small_postgres, "backend-kill", tmp_path, only="checkpointer")
    async with await small_postgres.connect() as client:
        async with runner(order) as process:
            assert "1 killed" in record_of(order).detail
            with pytest.raises(psycopg.OperationalError):
                await client.execute("SELECT pg_sleep(60)")
            process.kill()
            await until(partial(is_over, order))
        async with await small_postgres.connect() as admin:
            assert await (await admin.execute("SELECT 1")).fetchone() == (1,)
    assert len(before & {one.pid for one in small_postgres.processes()}) <= 2, "the server has not replaced its processes"
    assert "has no process with 'nobody'" in await failure_of(order_on(small_postgres, "backend-kill", tmp_path, only="nobody"))


@ENDS
async def test_a_store_is_lost_and_found(small_postgres: PostgresServer, victim: RedisServer, tmp_path: Path, end: str) -> None:
    async def is_frozen() -> bool:
        return victim.is_frozen

    store = {"endpoints": f"{victim.address}"}
    await come_and_go(small_postgres, {"dcs-loss": (store, is_frozen)}, tmp_path, end)
    own = order_on(small_postgres, "dcs-loss", tmp_path, endpoints=str(small_postgres.address))
    assert "is one itself" in await failure_of(own)
    other = replace(order_on(small_postgres, "dcs-loss", tmp_path, **store), peers={"two": victim.address})
    assert "is two, an instance of orders" in await failure_of(other)
    assert not victim.is_frozen


@ENDS
async def test_a_name_leads_nowhere(small_postgres: PostgresServer, tmp_path: Path, end: str) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n10.0.0.1 db.example.net\n")
    before = hosts.read_text()

    async def is_wrong() -> bool:
        return hosts.read_text().startswith("192.0.2.1 db.example.net # dbre-chaos-")

    given = {"name": "db.example.net", "file": str(hosts)}
    await come_and_go(small_postgres, {"dns-failure": (given, is_wrong)}, tmp_path / "state", end)
    assert hosts.read_text() == before
    link = tmp_path / "link"
    link.symlink_to(hosts)
    refused = order_on(small_postgres, "dns-failure", tmp_path, name="db.example.net", file=str(link))
    assert "cannot be changed" in await failure_of(refused)
    other = tmp_path / "accounts"
    other.write_text("root:x:0:0::/root:/bin/sh\n")
    refused = order_on(small_postgres, "dns-failure", tmp_path, name="db.example.net", file=str(other))
    assert "is no file of hosts" in await failure_of(refused)
    assert other.read_text() == "root:x:0:0::/root:/bin/sh\n"


async def is_failed(conninfo: dict[str, Any]) -> bool:
    """Whether the proxy fails a query of the chosen kind, and no other."""
    with suppress(psycopg.OperationalError):
        async with await psycopg.AsyncConnection.connect(**conninfo, autocommit=True) as client:
            await client.execute("SELECT 'healthy'")
            try:
                await client.execute("SELECT 'poison'")
            except psycopg.errors.SerializationFailure:
                return True
    return False


@ENDS
async def test_a_toxic_at_a_proxy_that_stands_in_the_way(small_postgres: PostgresServer, tmp_path: Path, end: str) -> None:
    async with standing_proxy(small_postgres, tmp_path) as proxy:
        words = "error,unit=query,code=40001,match.regex=poison"
        given = {"toxic": words, "api": str(proxy.api), "token_file": str(proxy.token_file), "proxy": "pg"}
        where = {**client_of(small_postgres), "host": proxy.address.host, "port": proxy.address.port}
        await come_and_go(small_postgres, {"toxic": (given, partial(is_failed, where))}, tmp_path / "state", end)
        wrong = order_on(small_postgres, "toxic", tmp_path, **{**given, "proxy": "other"})
        assert "there is no proxy 'other'" in await failure_of(wrong)
        secret = order_on(small_postgres, "toxic", tmp_path, **{**given, "token_file": "/etc/passwd"})
        assert "holds no token" in await failure_of(secret)


async def test_a_proxy_that_is_the_injector_itself(small_postgres: PostgresServer, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        order = order_on(small_postgres, "toxic", tmp_path, toxic="down", listen=f"127.0.0.1:{port}")
        assert "cannot listen" in await failure_of(order)
    given = {"toxic": "error,unit=query,code=40001,match.regex=poison", "listen": f"127.0.0.1:{port}"}
    where = {**client_of(small_postgres), "host": "127.0.0.1", "port": port}
    order = order_on(small_postgres, "toxic", tmp_path / "own", **given)
    async with runner(order):
        assert await is_failed(where)
        os.kill(record_of(order).pid, signal.SIGKILL)
        await until(partial(has_no_injector, order))
        (healed,) = await heal(tmp_path / "own", fleet_with(small_postgres), ENGINES, SystemClock())
    assert (healed.outcome, healed.detail) == ("reverted", "the proxy has ended")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def client_of(server: PostgresServer) -> dict[str, Any]:
    """How a client logs in, besides where."""
    return {"user": server.superuser, "password": server.password.reveal(), "dbname": "postgres", "sslmode": "disable"}
