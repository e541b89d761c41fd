"""``dbre ha route``, as a user types it: a pool, a proxy and a name turned together, and who stayed behind."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest_asyncio
from route_clients import Writer

from dbre.core.secrets import Secret
from dbre.lab.bind import KEY_NAME, BindServer, find_bind
from dbre.lab.haproxy import BACKEND, HaproxyServer, find_haproxy
from dbre.lab.pgbouncer import PgBouncerServer
from dbre.lab.site import Site
from dbre.testing.fixtures import PostgresPair, installed, running

RECORDS = {"db": "1 IN CNAME pg1.lab.example.", "pg1": "5 IN A 127.0.0.1", "pg2": "5 IN A 127.0.0.1"}
CLIENTS = [{"name": "web", "dsn": "file:web", "retries": True}, {"name": "batch", "retries": False}]


@dataclass(frozen=True, kw_only=True)
class Led:
    """A pair whose clients come by three ways, and a directory with the ``dbre.yaml`` for it."""

    pair: PostgresPair
    pooler: PgBouncerServer
    proxy: HaproxyServer
    directory: Path

    async def dbre(self, *words: str, expect: int = 0) -> Any:
        """Run a command and read its JSON."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dbre", "ha", *words, "-o", "json",
            cwd=self.directory, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(100):
            output, errors = await process.communicate()
        assert process.returncode == expect, errors.decode() + output.decode()
        return json.loads(output) if output else errors.decode()


@pytest_asyncio.fixture(loop_scope="session")
async def led(lab_site: Site, postgres_pair: PostgresPair, pooler: PgBouncerServer, tmp_path: Path) -> AsyncIterator[Led]:
    pair = postgres_pair
    async with AsyncExitStack() as stack:
        servers = {"pg1": pair.primary.address, "pg2": pair.replica.address}
        program = installed(lambda: find_haproxy(account=lab_site.account))
        proxy = HaproxyServer("led-proxy", lab_site, program=program, servers=servers)
        await stack.enter_async_context(running(proxy))
        program = installed(lambda: find_bind(account=lab_site.account))
        names = BindServer("led-names", lab_site, program=program, zone="lab.example", records=RECORDS)
        await stack.enter_async_context(running(names))
        web = f"postgresql://app:s3cret@{pair.primary.address}/shop"
        secrets = {"pg": pair.primary.password, "pool": pooler.password, "key": names.password, "web": Secret(web)}
        for name, secret in secrets.items():
            (tmp_path / name).write_text(secret.reveal())
            (tmp_path / name).chmod(0o600)
        routes = [
            {"name": "pool", "pgbouncer": {
                "address": str(pooler.address), "user": pooler.superuser, "password": "file:pool", "tls": "disable",
                "databases": ["shop"], "databases_file": str(pooler.databases_file)}},
            {"name": "proxy", "haproxy": {"socket": str(proxy.socket), "backend": BACKEND}},
            {"name": "name", "dns": {
                "record": "db.lab.example", "type": "CNAME", "zone": "lab.example", "server": str(names.address),
                "key_name": KEY_NAME, "key": "file:key", "ttl": "2s",
                "targets": {"pg1": "pg1.lab.example", "pg2": "pg2.lab.example"}}},
        ]  # fmt: skip
        instances = [{"name": name, "host": one.host, "port": one.port} for name, one in servers.items()]
        cluster = {
            "name": "shop", "environment": "test", "engine": "postgresql", "user": pair.primary.superuser,
            "password": "file:pg", "tls": "disable", "databases": ["postgres"], "instances": instances,
        }  # fmt: skip
        document = {
            "state": {"url": "sqlite:///state.db"},
            "fleet": {"clusters": [cluster]},
            "ha": {"clusters": [{"cluster": "shop", "routes": routes, "clients": CLIENTS}]},
        }
        (tmp_path / "dbre.yaml").write_text(json.dumps(document))  # JSON is YAML
        yield Led(pair=pair, pooler=pooler, proxy=proxy, directory=tmp_path)


async def test_all_routes_are_turned_together_and_who_stays_behind_is_named(led: Led) -> None:
    shown = await led.dbre("route", "show", "shop")
    assert [(one["route"], one["kind"], one["instances"], one["is_paused"]) for one in shown["items"]] == [
        ("pool", "pgbouncer", ["pg1"], False),
        ("proxy", "haproxy", ["pg1"], None),
        ("name", "dns", ["pg1"], None),
    ]
    async with await led.pair.replica.connect() as admin:
        await admin.execute("SELECT pg_promote()")
    conninfo = led.pair.primary.conninfo()
    legacy = await psycopg.AsyncConnection.connect(conninfo, application_name="legacy")
    through = await psycopg.AsyncConnection.connect(conninfo, port=led.proxy.address.port, application_name="modern")
    async with legacy, Writer(led.pooler.conninfo(database="shop", user="app")).writing() as writer:
        await writer.until(5)
        turned = await led.dbre("route", "switch", "shop", "--to", "pg2", "--yes", "--settle", "1s")
        await writer.until(5)
        assert writer.errors == []
        assert [(one["instance"], one["application"], one["sessions"]) for one in turned["items"]] == [("pg1", "legacy", 1)]
        stayed = await led.dbre("route", "stragglers", "shop", expect=3)  # of pg1 alone, since no route leads there
        assert [one["application"] for one in stayed["items"]] == ["legacy"]
    await through.close()


async def test_the_ttl_of_a_name_is_lowered_and_the_old_one_waited_for(led: Led) -> None:
    await led.dbre("route", "ttl", "shop", "--route", "name", "--ttl", "2s", "--yes")
    (row,) = (await led.dbre("route", "show", "shop", "--route", "name"))["items"]
    assert row["linger_seconds"] == 2.0


async def test_what_cannot_be_turned_is_told(led: Led) -> None:
    assert "pg2 is a replica" in await led.dbre("route", "switch", "shop", "--to", "pg2", "--yes", expect=5)
    await led.proxy.stop()
    down = await led.dbre("route", "check", "shop", "--to", "pg2", expect=6)
    assert {one["route"]: one["status"] for one in down["items"]} == {"pool": "ok", "name": "ok"}
    assert "cannot be reached" in json.dumps(down["errors"])


async def test_clients_are_judged_with_what_each_waits(led: Led) -> None:
    pool = led.pooler.address
    async with await psycopg.AsyncConnection.connect(led.pair.primary.conninfo(), application_name="direct") as direct:
        await direct.execute("SELECT 1")
        (led.directory / "good").write_text(f"host={pool.host} port={pool.port} tcp_user_timeout=900")
        (led.directory / "good").chmod(0o600)
        judged = await led.dbre("clients", "shop", "--dsn", "file:good", "--rto", "5s", expect=3)
    review = judged["item"]
    clients = {one["name"]: one for one in review["clients"]}
    assert clients["web"]["hosts"] == [str(led.pair.primary.address)]
    assert clients["good"]["predicted_outage_seconds"]["black_hole"] == 0.9
    found = {(one["subject"], one["rule"]) for one in review["findings"]}
    assert {("web", "clients.single_host"), ("web", "clients.no_user_timeout"), ("batch", "clients.no_retries")} <= found
    assert ("good", "clients.slow_connect") in found
    assert "direct" in {one["application"] for one in review["sessions"]}
    assert "s3cret" not in json.dumps(judged)
