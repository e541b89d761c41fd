"""What failing back stands on, made of a configuration."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from dbre.capabilities.ha.failback.ground import FailbackGround, failback_ground
from dbre.capabilities.ha.rejoin.building import rejoin_ground
from dbre.core.store import Store
from dbre.core.store.errors import StoreMissing
from dbre.ports.runtime import Runtime

__all__ = ["ground_of_command"]


@asynccontextmanager
async def ground_of_command(parts: Runtime) -> AsyncIterator[FailbackGround]:
    """What a command that only looks stands on. Raises: what opening the state store raises, but for one that is not there."""
    async with AsyncExitStack() as stack:
        store: Store | None = None
        try:
            store = await stack.enter_async_context(parts.open_store())
        except StoreMissing:
            store = None  # nothing was ever changed by dbre
        yield failback_ground(rejoin_ground(parts.config, parts.fleet, parts.engines, parts.clock, store), store)
