"""How long the store may take, and what is raised when it takes longer or its driver fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dbre.core.store.address import StoreAddress
from dbre.core.store.driver_errors import store_error
from dbre.core.store.errors import StoreTimeout

__all__ = ["MIGRATE_SECONDS", "OPEN_SECONDS", "READ_SECONDS", "WRITE_SECONDS", "limited"]

WRITE_SECONDS = 30.0
"""The longest write transaction, because it keeps every other writer waiting."""
READ_SECONDS = 60.0
"""The longest read transaction, because SQLite's log grows while a snapshot is held."""
OPEN_SECONDS = 15.0
"""How long the first questions to the store may take; longer than two waits for a lock."""
MIGRATE_SECONDS = 1800.0
"""How long a migration may take: it may rewrite tables, but not wait for ever for a server that froze."""


@asynccontextmanager
async def limited(address: StoreAddress, seconds: float | None, *, what: str = "a transaction") -> AsyncIterator[None]:
    """Stop the block after so long, or never. Raises: StoreTimeout; a StoreError in place of any driver's error (its cause)."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise StoreTimeout(
            f"state store {address}: {what} was stopped after {seconds:g} s, the longest that it may last",
            hint="retry; if it happens again, the store's disk or server is too slow",
            context={"limit_seconds": seconds},
        ) from error
    except (DBAPIError, PoolTimeout) as error:
        raise store_error(error, address) from error
