"""One server of the inventory, open for questions within a bounded time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from dbre.core.errors import Unreachable
from dbre.core.fleet import Address, Cluster
from dbre.core.secrets import prepare_secrets
from dbre.ports.engine import Access, EngineRegistry, Server

__all__ = ["CONCURRENT_SERVERS", "LIMIT_SECONDS", "contact"]

CONCURRENT_SERVERS = 16
LIMIT_SECONDS = 15.0  # of all questions to one server, whatever its driver does


@asynccontextmanager
async def contact(engines: EngineRegistry, cluster: Cluster, address: Address, *, purpose: str) -> AsyncIterator[Server]:
    """A handle on the server at an address of a cluster, closed at the end; its sessions call themselves ``dbre:<purpose>``.

    Raises: Unreachable after ``LIMIT_SECONDS``; before that SecretUnavailable, or Unsupported for a missing driver.
    """
    engine = engines.get(cluster.engine)
    await prepare_secrets([cluster.password])
    server = engine.connect(
        Access.to(cluster, address, application_name=purpose if purpose.startswith("dbre:") else f"dbre:{purpose}")
    )
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            yield server
    except TimeoutError as error:
        raise Unreachable(
            f"{cluster.engine} at {address} did not answer within {LIMIT_SECONDS:.0f} s",
            hint="check that the server runs, and the network between",
        ) from error
    finally:
        await server.aclose()
