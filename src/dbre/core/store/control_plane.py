"""The claim to be the only control plane of a PostgreSQL store, and how its loss is noticed.

The lock belongs to a session. If that session dies (server restart, network, an administrator), another control plane can
take it at once, so every write transaction first asks the server whether our session still holds it: between that answer
and the commit nobody else can write, because a writer also holds the write lock. The watch only tells an idle process.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.clock import Clock
from dbre.core.secrets import Secret
from dbre.core.store.address import PostgresAddress
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.store.limits import OPEN_SECONDS, limited
from dbre.core.store.postgres import holds_control_plane_lock, postgres_engine, take_control_plane_lock

__all__ = ["WATCH_SECONDS", "ControlPlaneLease", "postgres_lease"]

WATCH_SECONDS = 5.0
"""How often an idle control plane asks whether its session still lives."""
_ANSWER_SECONDS = 30.0


class ControlPlaneLease:
    """The lock of one control plane; once ``lost`` is set it is never held again."""

    def __init__(self, address: PostgresAddress, pid: int) -> None:
        self.lost = asyncio.Event()
        self._address = address
        self._pid = pid

    async def verify(self, connection: AsyncConnection) -> None:
        """Let a write transaction go on only while the lock is ours. Raises: ControlPlaneLockLost."""
        if not self.lost.is_set() and await holds_control_plane_lock(connection, self._pid):
            return
        self.lost.set()
        raise ControlPlaneLockLost(
            f"state store {self._address}: the session that held the control plane's lock (backend {self._pid}) has ended",
            hint="nothing was written; start the control plane again, and it takes the lock or says who has it",
            context={"pid": self._pid},
        )


@asynccontextmanager
async def postgres_lease(address: PostgresAddress, password: Secret | None, clock: Clock) -> AsyncIterator[ControlPlaneLease]:
    """Hold the lock in a session of its own for as long as the block lasts.

    Raises: ControlPlaneRunning, naming the holder; any StoreError of connecting.
    """
    engine = postgres_engine(address, password, purpose="control-plane", lasting=True)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(engine.dispose)
        async with limited(address, OPEN_SECONDS, what="taking the control plane's lock"):
            connection = await stack.enter_async_context(engine.connect())
            stack.push_async_callback(connection.invalidate)  # ends the session and so the lock, without asking the server
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            pid = await take_control_plane_lock(connection, address)
        lease = ControlPlaneLease(address, pid)
        watch = asyncio.create_task(_watch(connection, lease, clock), name="control-plane-lock")
        try:
            yield lease
        finally:
            watch.cancel()
            await asyncio.wait({watch})


async def _watch(connection: AsyncConnection, lease: ControlPlaneLease, clock: Clock) -> None:
    try:
        while True:
            await clock.sleep(WATCH_SECONDS)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute(text("SELECT 1"))
    except (SQLAlchemyError, TimeoutError):
        lease.lost.set()
