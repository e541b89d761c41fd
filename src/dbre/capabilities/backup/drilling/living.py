"""The live server whose rows are compared with restored ones, and whether both are of the same moment."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from dbre.capabilities.backup.drilling.checks import LONG
from dbre.core.errors import DbreError, Unreachable
from dbre.core.fleet import Cluster, Instance
from dbre.core.secrets import prepare_secrets
from dbre.core.text import counted
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.horizon import HorizonEngine, WriteHorizon
from dbre.ports.backup.model import LogPosition
from dbre.ports.engine import Access, Engine, Server
from dbre.ports.session import Role, ServerIdentity

__all__ = ["Living", "find_living"]

_PURPOSE = "dbre:drill"
_AGAIN_SECONDS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Living:
    """A live server, and what was known of it before anything was compared."""

    engine: Engine
    instance: Instance
    access: Access
    role: Role
    port: BackupPort
    reached: LogPosition | None
    restored: WriteHorizon | None  # None: the engine does not number its transactions, or the server is of another history
    before: WriteHorizon | None

    @property
    def is_behind(self) -> bool:
        """Whether it is known not to hold yet what the restored server holds."""
        return self.restored is not None and self.before is not None and self.before.next < self.restored.next

    async def doubt(self) -> str | None:
        """Why rows that differ may be right on both sides; None: nothing but damage makes them differ. To be asked afterwards.

        Raises: Unreachable, Denied.
        """
        if self.restored is not None and self.before is not None and isinstance(self.engine, HorizonEngine):
            after = await self.engine.write_horizon(self.access)
            return _doubt(self.restored, self.before, after)
        if self.role is Role.REPLICA:
            return "whether it is at the moment that was restored cannot be told of a replica"
        if self.reached is None:
            return "at which place of the log recovery ended is not known"
        position = await self.port.position(self.access)
        if position.timeline != self.reached.timeline or position.value > self.reached.value:
            return "it may have been written to since"
        return None


def _doubt(restored: WriteHorizon, before: WriteHorizon, after: WriteHorizon) -> str | None:
    if before.next < restored.next:
        return f"it has come to transaction {before.next - 1} only, the restored server to {restored.next - 1}"
    if after.next != restored.next:
        return f"{counted(after.next - restored.next, 'transaction')} began to write there since"
    if not (restored.is_quiet and before.is_quiet and after.is_quiet):
        return "transactions were on their way at the moment that was restored"
    return None


async def find_living(
    engine: Engine,
    cluster: Cluster,
    *,
    restored: Access,
    port: BackupPort,
    reached: LogPosition | None,
    patience_seconds: float,
) -> Living:
    """A replica that has replayed as far as was restored; the primary where none has; else a replica that has not.

    Replicas are waited for, all of them together no longer than ``patience_seconds``.

    Raises: Unreachable, Denied where no instance answers.
    """
    await prepare_secrets([cluster.password])
    horizon, history = None, None
    if isinstance(engine, HorizonEngine):
        horizon = await engine.write_horizon(restored)
        history = (await _identity(engine, restored)).system_id
    found, failure = [], None
    for instance in cluster.instances:
        access = Access.to(cluster, instance.address, timeouts=LONG, application_name=_PURPOSE)
        try:
            identity = await _identity(engine, access)
            is_comparable = identity.system_id == history and (
                reached is None or identity.timeline is None or identity.timeline == reached.timeline
            )
            found.append(
                Living(
                    engine=engine,
                    instance=instance,
                    access=access,
                    role=identity.role,
                    port=port,
                    reached=reached,
                    restored=horizon if is_comparable else None,  # numbers of another history say nothing
                    before=None,
                )
            )
        except DbreError as error:
            failure = error
    if not found:
        raise failure or Unreachable(f"cluster {cluster.name} has no instance", hint="add one to the inventory")
    return await _nearest(sorted(found, key=lambda one: one.role is Role.PRIMARY), patience_seconds)


async def _nearest(found: list[Living], patience_seconds: float) -> Living:
    """The first that has come as far as was restored, replicas before the primary."""
    until = time.monotonic() + patience_seconds
    while True:
        looked = [await _looked_at(one) for one in found]
        replicas = [one for one in looked if one.role is Role.REPLICA]
        ready = [one for one in replicas if not one.is_behind]
        if not ready and (not replicas or time.monotonic() > until):
            ready = [one for one in looked if not one.is_behind] or looked
        if ready:
            return ready[0]
        await asyncio.sleep(_AGAIN_SECONDS)


async def _looked_at(one: Living) -> Living:
    if one.restored is None or not isinstance(one.engine, HorizonEngine):
        return one
    return replace(one, before=await one.engine.write_horizon(one.access))


async def _identity(engine: Engine, access: Access) -> ServerIdentity:
    async with _handle(engine, access) as server:
        return await server.session.identify()


@asynccontextmanager
async def _handle(engine: Engine, access: Access) -> AsyncIterator[Server]:
    server = engine.connect(access)
    try:
        yield server
    finally:
        await server.aclose()
