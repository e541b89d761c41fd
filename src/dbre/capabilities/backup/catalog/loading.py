"""The catalog of one cluster, read from the state store in one snapshot."""

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.gaps import list_gaps
from dbre.capabilities.backup.catalog.logs import list_logs
from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.catalog.switches import list_switches
from dbre.capabilities.backup.model import Catalog
from dbre.core.store import Store

__all__ = ["load_catalog", "read_catalog"]


async def load_catalog(store: Store, cluster: str) -> Catalog:
    """All that is known of a cluster's backups, in every state: planners choose what they may use."""
    async with store.read() as connection:
        return await read_catalog(connection, cluster)


async def read_catalog(connection: AsyncConnection, cluster: str) -> Catalog:
    """As ``load_catalog``, in the caller's transaction."""
    sets = await list_sets(connection, cluster=cluster)
    logs = await list_logs(connection, cluster)
    systems = {one.system_id for one in sets} | {one.system_id for one in logs}
    return Catalog(
        sets=tuple(sets),
        logs=tuple(logs),
        switches=tuple(await list_switches(connection, systems)),
        gaps=tuple(await list_gaps(connection, cluster)),
    )
