"""What a server has that its log does not name: a bounded sample of its keys against those of the primary."""

from dataclasses import replace

from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.rejoin.online import Online
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, Instance

__all__ = ["with_sample"]

_MOST_KEYS = 1000
_SECONDS = 5.0


async def with_sample(
    ground: RejoinGround, cluster: Cluster, instance: Instance, primary: Instance, found: Online, *, purpose: str
) -> Online:
    """The same, with a sample where what it has would go. That it cannot be taken keeps nobody from anything, and is told."""
    if not found.forgets_own:
        return found
    other = ground.access(cluster, primary)
    try:
        async with ground.servers.server(cluster, instance, purpose=purpose) as server:
            sample = await server.succession.differences(other, limit=_MOST_KEYS, limit_seconds=_SECONDS)
    except DbreError as error:
        return replace(found, why_no_sample=f"{error.message} ({error.hint})" if error.hint else error.message)
    return replace(found, sample=sample)
