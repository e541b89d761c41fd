"""What is shown of backups, and to whom."""

from uuid import UUID

from dbre.capabilities.backup.catalog.drills import find_drill
from dbre.capabilities.backup.model import Drill
from dbre.capabilities.backup.overview import Overview, look
from dbre.core.fleet import Cluster
from dbre.core.identity.model import Principal
from dbre.core.text import quoted
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters

__all__ = ["drill_of", "overview_of", "overviews"]


async def overviews(wired: Services, principal: Principal) -> list[Overview]:
    """The backups of every cluster that the principal may see; those that nobody proved come first."""
    found = [await _look(wired, one) for one in seen_clusters(wired, principal)]
    now = wired.clock.now()
    return sorted(found, key=lambda one: (one.policy is None, one.is_proven(now), one.cluster.name))


async def overview_of(wired: Services, principal: Principal, name: str) -> Overview:
    """The backups of one cluster. Raises: NotFound, also where the principal may not see it."""
    found = next((one for one in seen_clusters(wired, principal) if one.name == name), None)
    if found is None:
        raise NotFound(f"there is no cluster {quoted(name, limit=100)}", hint="/backups lists them")
    return await _look(wired, found)


async def drill_of(wired: Services, principal: Principal, text: str) -> Drill:
    """One drill. Raises: NotFound, also where the principal may not see its cluster."""
    async with wired.store.read() as connection:
        found = await find_drill(connection, _identifier(text))
    if found.cluster not in {one.name for one in seen_clusters(wired, principal)}:
        raise NotFound(f"there is no drill {quoted(text, limit=60)}", hint="/backups lists the clusters")
    return found


def _identifier(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"{quoted(text, limit=60)} is not the id of a drill", hint="dbre backup drills") from None


async def _look(wired: Services, cluster: Cluster) -> Overview:
    return await look(wired.store, cluster, wired.backups.ground.policy_of(cluster.name))
