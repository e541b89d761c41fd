"""Operations without any server: the state store is made at its first use, and the command's own process runs them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

from dbre.core.clock import Clock
from dbre.core.identity.model import Principal
from dbre.core.operation.dispatch import Runs
from dbre.core.operation.due import LeaseTime, is_leased
from dbre.core.operation.errors import LeaseLost
from dbre.core.operation.store_desk import DeskParts, StoreDesk
from dbre.core.operation.workers import live_zones
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.core.store.address import SqliteAddress, parse_store_url
from dbre.core.store.errors import ControlPlaneRunning, SchemaOlder, StoreMissing

__all__ = ["EmbeddedDesk", "StoredForOthers", "open_or_create_store"]

_CREATION_SECONDS = 15.0
_PAUSE_SECONDS = 0.2


class StoredForOthers:
    """A dispatcher that tells nobody: workers look into the store each second, and a command runs what nobody serves."""

    async def dispatch(self, operation_id: UUID, *, zone: str | None, priority: int) -> None:
        """Do nothing."""


class EmbeddedDesk(StoreDesk):
    """The desk of a command that has the state store (``RunsHere``)."""

    def __init__(self, parts: DeskParts, principal: Principal, *, runner: Runs, leases: LeaseTime) -> None:
        super().__init__(parts, principal)
        self._store = parts.store
        self._runner = runner
        self._leases = leases
        self.has_run = False  # whether this process ran an operation: no control plane signs what it wrote

    async def is_served(self, zone: str | None) -> bool:
        """Whether a worker of that zone lives."""
        async with self._store.read() as connection:
            return zone in await live_zones(connection, self._leases)

    async def is_held(self, operation_id: UUID) -> bool:
        """Whether a process runs it at this moment: a worker, or a command that does so itself."""
        async with self._store.read() as connection:
            return await is_leased(connection, operation_id, self._leases)

    async def run_here(self, operation_id: UUID) -> None:
        """Run it as far as it goes now; where another process took it over meanwhile, that one goes on."""
        self.has_run = True
        try:
            await self._runner.drive(operation_id)
        except LeaseLost:
            return


@asynccontextmanager
async def open_or_create_store(
    url: str,
    *,
    clock: Clock,
    tell: Callable[[str], None],
    password: Secret | None = None,
    directory: Path | None = None,
) -> AsyncIterator[Store]:
    """The state store for one command; made where there is none, and a SQLite file brought up to date.

    Both happen under the lock of the control plane, so never under the feet of one that runs, and a file is copied first.
    ``tell`` is given one sentence when it happened. The schema of a server that others use is left to ``dbre db migrate``.

    Raises: a StoreError.
    """
    async with AsyncExitStack() as stack:
        try:
            store = await stack.enter_async_context(open_store(url, clock=clock, password=password, directory=directory))
        except (StoreMissing, SchemaOlder) as error:
            address = parse_store_url(url, directory=directory)
            if isinstance(error, SchemaOlder) and not isinstance(address, SqliteAddress):
                raise
            store = await stack.enter_async_context(_made(url, clock=clock, password=password, directory=directory))
            tell(f"state store {address} was {'created' if isinstance(error, StoreMissing) else 'brought up to date'}")
        yield store


@asynccontextmanager
async def _made(url: str, *, clock: Clock, password: Secret | None, directory: Path | None) -> AsyncIterator[Store]:
    """Create or migrate; where another command is at it, wait for that one."""
    async with AsyncExitStack() as stack:
        end = clock.monotonic() + _CREATION_SECONDS
        while True:
            try:
                found = open_store(url, clock=clock, migrate=True, password=password, directory=directory)
                store = await stack.enter_async_context(found)
                break
            except ControlPlaneRunning:
                if clock.monotonic() > end:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
        yield store
