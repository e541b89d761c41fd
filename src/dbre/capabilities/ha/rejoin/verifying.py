"""Whether the instance follows, by the word of the servers."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.ha.looking import read_lag
from dbre.capabilities.ha.rejoin.ground import RejoinGround
from dbre.capabilities.ha.switchover.verifying import follows, is_only_primary
from dbre.core.fleet import Cluster
from dbre.core.operation.definition import Verification

__all__ = ["verify_rejoin"]

_PATIENCE_SECONDS = 30.0
_POLL_SECONDS = 0.2


async def verify_rejoin(ground: RejoinGround, cluster: Cluster, observed: Mapping[str, Any]) -> Sequence[Verification]:
    """Look until it holds, or half a minute has passed."""
    primary = ground.servers.fleet.instance(observed["primary"])
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        topology, _ = await read_lag(ground.servers.engines, ground.servers.fleet, cluster)
        found = [is_only_primary(topology, primary), follows(topology, observed["instance"], primary)]
        if all(one.holds for one in found) or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_POLL_SECONDS)
