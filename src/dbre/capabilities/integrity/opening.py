"""A server of the inventory, open for checks that take as long as its data are large."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from dbre.core.errors import DbreError, UsageError
from dbre.core.fleet import Cluster, Instance, UnknownInstance
from dbre.core.secrets import prepare_secrets
from dbre.core.text import closest, printable
from dbre.ports.contact import contact
from dbre.ports.engine import Access, EngineRegistry, Server, Timeouts
from dbre.ports.session import Role

__all__ = ["OpenServer", "choose_instance", "open_for_checks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenServer:
    """One instance, and which database of it is looked at."""

    instance: str
    database: str | None
    server: Server


@asynccontextmanager
async def open_for_checks(
    engines: EngineRegistry, cluster: Cluster, instance: Instance, *, database: str | None, limit: timedelta
) -> AsyncIterator[OpenServer]:
    """The server of an instance; each of its statements may take as long as ``limit``."""
    await prepare_secrets([cluster.password])
    timeouts = Timeouts(connect_seconds=10.0, statement_seconds=limit.total_seconds(), lock_seconds=5.0)
    access = Access.to(cluster, instance.address, timeouts=timeouts, application_name="dbre:integrity")
    if database is not None:
        access = replace(access, database=database)
    server = engines.get(cluster.engine).connect(access)
    try:
        yield OpenServer(instance=instance.name, database=access.database, server=server)
    finally:
        await server.aclose()


async def choose_instance(engines: EngineRegistry, cluster: Cluster, wanted: str | None) -> Instance:
    """The instance of that name, else a replica that answers, else the primary: a check reads everything there is.

    Raises: UnknownInstance; the error of the last instance where none answers.
    """
    if wanted is not None:
        return _named(cluster, wanted)
    primary: Instance | None = None
    failure: DbreError = UsageError(f"cluster {cluster.name} has no instance", hint="add one to the inventory")
    for instance in cluster.instances:
        try:
            async with contact(engines, cluster, instance.address, purpose="integrity") as server:
                role = (await server.session.identify()).role
        except DbreError as error:
            failure = error
            continue
        if role is Role.REPLICA:
            return instance
        primary = primary or instance
    if primary is None:
        raise failure
    return primary


def _named(cluster: Cluster, wanted: str) -> Instance:
    found = next((one for one in cluster.instances if one.name == wanted), None)
    if found is None:
        names = [one.name for one in cluster.instances]
        near = closest(wanted, names)
        hint = f"did you mean {near}?" if near else f"it has {', '.join(names)}"
        raise UnknownInstance(f"cluster {cluster.name} has no instance {printable(wanted, limit=100)!r}", hint=hint)
    return found
