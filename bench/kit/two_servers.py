"""What benchmarks of many instances share: a fleet of many clusters on two servers, of which one can be frozen."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from dbre.core.fleet import Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.temporary_site import temporary_site


@asynccontextmanager
async def two_servers(settings: Mapping[str, str] | None = None) -> AsyncIterator[tuple[PostgresServer, PostgresServer]]:
    """A server for the clusters that live, and one for those that hang."""
    with temporary_site(prefix="dbre-bench-") as site:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=None)
        live, frozen = (PostgresServer(name, site, binaries=binaries, settings=settings) for name in ("live", "frozen"))
        await live.start()
        await frozen.start()
        yield live, frozen


def fleet_on(servers: Mapping[PostgresServer, int]) -> Fleet:
    """As many clusters on each server as it says, named after the server: ``live-0``, ``live-1``."""
    return Fleet(clusters=tuple(_cluster(f"{one.name}-{n}", one) for one, count in servers.items() for n in range(count)))


def _cluster(name: str, server: PostgresServer) -> Cluster:
    return Cluster(
        name=name,
        environment="bench",
        engine="postgresql",
        instances=(Instance(name=name, cluster=name, address=server.address),),
        endpoints=(Endpoint(cluster=name, purpose=EndpointPurpose.WRITE, addresses=(server.address,)),),
        databases=("postgres",),
        user=server.superuser,
        password=server.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )


def quantile(values: list[float], ratio: float) -> float:
    """The value below which that ratio of the values lies."""
    return sorted(values)[min(int(len(values) * ratio), len(values) - 1)]
