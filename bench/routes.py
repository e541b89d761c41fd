"""What clients see while a route is turned: PgBouncer holding them back, HAProxy cutting them off, a name that is kept.

Run: ``.venv/bin/python bench/routes.py [ROUNDS]`` (default 20). Two PostgreSQL servers that both take writes, so that the route
alone is measured and no promotion: four clients in a closed loop behind each; BIND with a resolver in front and a TTL of 2 s.
"""

import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack

import psycopg
from kit.report import report
from kit.two_servers import quantile

from dbre.core.fleet import Address
from dbre.engines.postgres.binaries import find_postgres
from dbre.lab.bind import KEY_NAME, BindServer, find_bind
from dbre.lab.haproxy import BACKEND, HaproxyServer, find_haproxy
from dbre.lab.pgbouncer import PgBouncerServer, find_pgbouncer
from dbre.lab.postgres import PostgresServer
from dbre.lab.site import Site
from dbre.lab.temporary_site import temporary_site
from dbre.ports.route import Route
from dbre.testing.fixtures import running
from dbre.tools.dns.dynamic_zone import DynamicZone, UpdateKey
from dbre.tools.dns.record import DnsRecord
from dbre.tools.dns.route import DnsRoute
from dbre.tools.haproxy.route import HaproxyRoute
from dbre.tools.haproxy.runtime_api import RuntimeApi
from dbre.tools.pgbouncer.console import ConsoleAccess
from dbre.tools.pgbouncer.route import PgBouncerRoute

CLIENTS = 4
TTL = 2.0


class Client:
    """One client in a closed loop; ``gaps`` are the longest waits since it was last asked."""

    def __init__(self, conninfo: str) -> None:
        self.conninfo = conninfo
        self.longest, self.errors, self.done = 0.0, 0, 0

    async def run(self) -> None:
        connection, last = None, time.monotonic()
        while True:
            try:
                connection = connection or await psycopg.AsyncConnection.connect(
                    self.conninfo, autocommit=True, prepare_threshold=None
                )
                await connection.execute("SELECT pg_current_xact_id()")
            except psycopg.Error:
                self.errors, connection = self.errors + 1, None
                await asyncio.sleep(0.002)
                continue
            now = time.monotonic()
            self.longest, last, self.done = max(self.longest, now - last), now, self.done + 1


async def turned(route: Route, addresses: list[Address], conninfo: str, rounds: int) -> dict[str, float]:
    """Turn the route there and back under load."""
    clients = [Client(conninfo) for _ in range(CLIENTS)]
    tasks = [asyncio.create_task(one.run()) for one in clients]
    gaps = []
    for number in range(rounds):
        await asyncio.sleep(0.5)
        for one in clients:
            one.longest = 0.0
        wanted, before = addresses[(number + 1) % 2], await route.current()
        await route.pause(limit_seconds=10)
        await route.point_to(wanted, before=before)
        await route.resume()
        await route.cut(wanted)
        await asyncio.sleep(0.5)
        gaps.append(max(one.longest for one in clients))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "gap_p50_ms": round(statistics.median(gaps) * 1000, 1),
        "gap_max_ms": round(max(gaps) * 1000, 1),
        "errors": sum(one.errors for one in clients),
        "transactions": sum(one.done for one in clients),
    }


async def named(site: Site, stack: AsyncExitStack, rounds: int) -> dict[str, float]:
    """How long a resolver that has just been asked goes on saying the old address."""
    program, records = find_bind(account=site.account), {"db": f"{TTL:.0f} IN A 127.0.0.11"}
    authority = BindServer("authority", site, program=program, zone="lab.example", records=records)
    await stack.enter_async_context(running(authority))
    resolver = BindServer("resolver", site, program=program, zone="lab.example", forward_to=authority)
    await stack.enter_async_context(running(resolver))
    zone = DynamicZone(server=authority.address, zone="lab.example", key=UpdateKey(name=KEY_NAME, secret=authority.password))
    route = DnsRoute("name", DnsRecord(name="db.lab.example", port=5432, ttl=TTL), zone, resolvers=[resolver.address])
    swaps, stale = [], []
    for number in range(rounds):
        before = await route.current()
        await asyncio.sleep(TTL)
        await route.check(before.addresses[0])  # the resolver keeps it from now on
        wanted, began = Address(f"127.0.0.{12 - number % 2}", 5432), time.monotonic()
        await route.point_to(wanted, before=before)
        swaps.append(time.monotonic() - began)
        while not all(one.is_ok for one in await route.verify(wanted)):  # noqa: ASYNC110 -- nobody tells when it has run out
            await asyncio.sleep(0.01)
        stale.append(time.monotonic() - began)
    return {
        "swap_p50_ms": round(statistics.median(swaps) * 1000, 1),
        "resolver_new_p50_s": round(statistics.median(stale), 2),
        "resolver_new_max_s": round(quantile(stale, 1.0), 2),
        "ttl_s": TTL,
    }


async def main() -> int:
    """Measure, print, and say whether PgBouncer's clients saw no error."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with temporary_site(prefix="dbre-bench-routes-") as site:
        async with AsyncExitStack() as stack:
            binaries = await find_postgres(account=site.account, cache=site.cache)
            one = await stack.enter_async_context(running(PostgresServer("one", site, binaries=binaries)))
            two = PostgresServer("two", site, binaries=binaries, replica_of=one)
            await stack.enter_async_context(running(two))
            async with await two.connect() as admin:
                await admin.execute("SELECT pg_promote()")
            addresses, user = [one.address, two.address], one.superuser
            pooler = PgBouncerServer(
                "pooler", site, program=find_pgbouncer(account=site.account), databases={"postgres": one.address},
                users={user: one.password},
            )  # fmt: skip
            await stack.enter_async_context(running(pooler))
            access = ConsoleAccess(address=pooler.address, user=pooler.superuser, password=pooler.password)
            pool = PgBouncerRoute("pool", access, ["postgres"], file=pooler.databases_file)
            proxy = HaproxyServer(
                "proxy", site, program=find_haproxy(account=site.account), servers={"one": one.address, "two": two.address}
            )
            await stack.enter_async_context(running(proxy))
            through = psycopg.conninfo.make_conninfo(one.conninfo(), port=proxy.address.port)
            found = {
                "pgbouncer": await turned(pool, addresses, pooler.conninfo(database="postgres", user=user), rounds),
                "haproxy": await turned(HaproxyRoute("proxy", RuntimeApi(proxy.socket), BACKEND), addresses, through, rounds),
                "dns": await named(site, stack, max(3, rounds // 4)),
            }
    return report({**found, "rounds": rounds, "is_ok": found["pgbouncer"]["errors"] == 0})


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
