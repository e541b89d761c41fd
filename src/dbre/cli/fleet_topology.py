"""What ``dbre fleet topology`` shows: who is primary, who follows, and how far behind."""

import asyncio
from collections.abc import Iterable, Sequence

from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance
from dbre.core.view import Row
from dbre.ports.contact import CONCURRENT_SERVERS, contact
from dbre.ports.engine import EngineRegistry

__all__ = ["survey"]


async def survey(clusters: Iterable[Cluster], engines: EngineRegistry) -> tuple[list[Row], list[DbreError]]:
    """One row an instance, in the order of the inventory, and the errors of those that could not be asked."""
    limit = asyncio.Semaphore(CONCURRENT_SERVERS)

    async def one(cluster: Cluster, instance: Instance) -> tuple[Row, DbreError | None]:
        async with limit:
            return await _ask(cluster, instance, engines)

    pairs = [(cluster, instance) for cluster in clusters for instance in cluster.instances]
    results: Sequence[tuple[Row, DbreError | None]] = await asyncio.gather(*(one(*pair) for pair in pairs))
    return [row for row, _ in results], [error for _, error in results if error is not None]


async def _ask(cluster: Cluster, instance: Instance, engines: EngineRegistry) -> tuple[Row, DbreError | None]:
    row: dict[str, object] = {
        "cluster": cluster.name,
        "name": instance.name,
        "address": str(instance.address),
        "role": None,
        "version": None,
        "upstream": None,
        "is_receiving": None,
        "replica_count": None,
        "replay_lag_bytes": None,
        "replay_lag_seconds": None,
        "system_id": None,
    }
    try:
        async with contact(engines, cluster, instance.address, purpose="fleet.topology") as server:
            identity = await server.session.identify()
            row |= {"role": identity.role.value, "version": identity.version_text, "system_id": identity.system_id}
            status = await server.replication.status()
            row |= {
                "upstream": status.upstream,
                "is_receiving": status.is_receiving,
                "replica_count": len(status.links),
                "replay_lag_bytes": status.replay_lag_bytes,
                "replay_lag_seconds": status.replay_lag_seconds,
            }
    except DbreError as error:
        return row, error
    return row, None
