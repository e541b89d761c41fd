"""How long one sweep of ``dbre ha`` takes over many nodes, some of which never answer.

A real server listens on many addresses of the loopback network, so that each node costs a login and a view of its own;
black holes accept connections and say nothing. Goal: 500 nodes in 2 s, and the sweep never longer than its slowest node.
Sessions are kept between sweeps as the control plane and ``--watch`` keep them. With ``--frozen`` the server is stopped by
SIGSTOP for one more sweep: no session that was there may stall it.
Beside it, for PostgreSQL, what cannot be less: the same logins by a bare driver, as many at once, without and with the two
statements that every node has to be asked; ``own_cpu_ratio`` is our processor time for a first sweep over that of the latter.

    python bench/topology.py [--nodes 500] [--holes 20] [--engine redis|postgresql] [--rounds 3]
"""

import argparse
import asyncio
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import psycopg
from kit.report import report

from dbre.app import Engines
from dbre.capabilities.ha.discovery import discover
from dbre.capabilities.ha.kept_nodes import KeptNodes
from dbre.core.clock import SystemClock
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.engines.postgres.binaries import find_postgres
from dbre.engines.postgres.queries import named
from dbre.lab.postgres import PostgresServer
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.lab.temporary_site import temporary_site
from dbre.ports.topology import Contact
from dbre.testing.fixtures import running

GOAL_SECONDS = 2.0
_AT_ONCE = 24  # as the sweep
_VERSION = (15,)  # these statements are the same in all


async def _server(engine: str, number: int, site: Site) -> LabServer:
    if engine == "redis":
        return RedisServer(f"r{number}", site, program=find_redis(account=site.account), settings={"bind": "0.0.0.0"})
    binaries = await find_postgres(account=site.account, cache=site.cache)
    settings = {"listen_addresses": "*", "max_connections": "700"}
    return PostgresServer(f"p{number}", site, binaries=binaries, settings=settings)


def _hole() -> socket.socket:
    """A port that completes connections, and never reads or writes."""
    listener = socket.socket()
    listener.bind(("0.0.0.0", 0))
    listener.listen(1024)
    return listener


def _fleet(engine: str, servers: list[LabServer], hole: socket.socket, *, nodes: int, holes: int) -> Fleet:
    every = nodes // holes if holes else nodes + 1
    instances = []
    for number in range(nodes):
        host = f"127.0.{1 + number // 250}.{1 + number % 250}"
        is_hole = number % every == every - 1
        port = hole.getsockname()[1] if is_hole else servers[number % len(servers)].address.port
        instances.append(Instance(name=f"n{number}", cluster="many", address=Address(host, port)))
    first = servers[0]
    for one in servers[1:]:
        one._password = first.password  # noqa: SLF001 - one login for all of the cluster
    cluster = Cluster(
        name="many",
        environment="bench",
        engine=engine,
        instances=tuple(instances),
        endpoints=(),
        databases=("postgres",) if engine == "postgresql" else (),
        user=first.superuser,
        password=first.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


async def _floor(fleet: Fleet, hole: socket.socket, statements: Sequence[str]) -> tuple[float, float]:
    """Seconds, and our own of the processor, for a bare driver to log in everywhere and ask something; holes left out."""
    (cluster,), places = fleet.clusters, asyncio.Semaphore(_AT_ONCE)
    password = cluster.password.reveal() if cluster.password is not None else ""
    opened: list[psycopg.AsyncConnection[Any]] = []

    async def one(address: Address) -> None:
        async with places:
            connection = await psycopg.AsyncConnection.connect(
                host=address.host, port=address.port, user=cluster.user, password=password, dbname="postgres",
                sslmode="disable", autocommit=True,
            )  # fmt: skip
            opened.append(connection)
            for text in statements:
                await (await connection.execute(text.encode())).fetchall()

    addresses = [each.address for each in cluster.instances if each.address.port != hole.getsockname()[1]]
    began, burnt = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(address) for address in addresses))
    found = time.perf_counter() - began, time.process_time() - burnt
    for connection in opened:
        await connection.close()
    return found


async def _frozen_sweep(kept: KeptNodes, fleet: Fleet, server: LabServer) -> float:
    """Seconds of a sweep over sessions whose server stands still."""
    await server.freeze()
    try:
        began = time.perf_counter()
        async with kept.of("many") as nodes:
            topology = await discover(nodes, fleet, fleet.clusters[0])
        assert not any(one.contact is Contact.ANSWERED for one in topology.nodes)
        return time.perf_counter() - began
    finally:
        await server.thaw()


async def _measure(engine: str, site: Site, options: argparse.Namespace) -> dict[str, Any]:
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(running(await _server(engine, 0, site)))]
        hole = stack.enter_context(_hole())
        fleet = _fleet(engine, servers, hole, nodes=options.nodes, holes=options.holes)
        cold: list[float] = []
        warm: list[float] = []
        cold_cpu: list[float] = []
        warm_cpu: list[float] = []
        frozen: list[float] = []
        answered: list[int] = []
        for _ in range(options.rounds):
            async with KeptNodes(Engines(), fleet, SystemClock()) as kept:
                for found, spent in ((cold, cold_cpu), (warm, warm_cpu)):
                    began, burnt = time.perf_counter(), time.process_time()
                    async with kept.of("many") as nodes:
                        topology = await discover(nodes, fleet, fleet.clusters[0])
                    found.append(time.perf_counter() - began)
                    spent.append(time.process_time() - burnt)
                if options.frozen:
                    frozen.append(await _frozen_sweep(kept, fleet, servers[0]))
            contacts = [one.contact for one in topology.nodes]
            aliases = sum(len(one.aliases) for one in topology.nodes)
            answered.append(contacts.count(Contact.ANSWERED) + aliases)
            assert contacts.count(Contact.TIMEOUT) == options.nodes - answered[-1], contacts
        floors: dict[str, Any] = {"frozen_seconds": [round(one, 2) for one in frozen]} if frozen else {}
        if engine == "postgresql":
            asked = [named(one, version=_VERSION).text for one in ("topology_node", "topology_control")]
            for name, statements in (("login", []), ("asked", asked)):
                found_floor = [await _floor(fleet, hole, statements) for _ in range(options.rounds)]
                floors[f"floor_{name}_seconds"] = [round(seconds, 2) for seconds, _ in found_floor]
                floors[f"floor_{name}_own_cpu_seconds"] = [round(seconds, 2) for _, seconds in found_floor]
            least = min(floors["floor_asked_own_cpu_seconds"])
            floors["own_cpu_ratio"] = round(min(cold_cpu) / least, 2)
        return {
            "engine": engine,
            "nodes": options.nodes,
            "black_holes": options.nodes - answered[-1],
            "cold_seconds": [round(one, 2) for one in cold],
            "warm_seconds": [round(one, 2) for one in warm],
            "cold_own_cpu_seconds": [round(one, 2) for one in cold_cpu],
            "warm_own_cpu_seconds": [round(one, 2) for one in warm_cpu],
            **floors,
        }


def main() -> int:
    """Measure both engines; the limit is on sweeps over connections that are kept, which is what watching does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=500)
    parser.add_argument("--holes", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--frozen", action="store_true")
    parser.add_argument("--engine", action="append", choices=["redis", "postgresql"])
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for engine in options.engine or ["redis", "postgresql"]:
        with temporary_site(prefix="dbre-bench-", parent=None) as site:
            measured = asyncio.run(_measure(engine, site, options))
        found |= {f"{engine}_{key}": value for key, value in measured.items() if key != "engine"}
    kept = [min(value) for key, value in found.items() if key.endswith("_warm_seconds")]
    return report({**found, "goal_seconds": GOAL_SECONDS, "is_ok": max(kept) <= GOAL_SECONDS})


if __name__ == "__main__":
    sys.exit(main())
