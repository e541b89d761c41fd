"""A pytest plugin with real servers: ``pytest_plugins = ["dbre.testing.fixtures"]``.

Session fixtures ``postgres15``, ``postgres16``, ``postgres18``, ``mariadb``, ``redis_server`` start one server a worker when
first asked for; ``fresh_postgres`` and ``postgres_pair`` start private ones for one test. Where a server's programs are
missing the test is skipped and the reason names the package; with ``DBRE_REQUIRE_ALL=1`` it fails instead.
Nothing survives the test run, however it ends.
"""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

import pytest
import pytest_asyncio

from dbre.core.errors import Unsupported
from dbre.lab.destruction import destroy
from dbre.lab.mariadb import MariaDbServer, find_mariadb
from dbre.lab.postgres import PostgresServer, find_postgres
from dbre.lab.programs import ServerProgram
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.server import LabServer
from dbre.lab.site import Site
from dbre.lab.temporary_site import temporary_site

__all__ = [
    "PostgresPair",
    "ServerPair",
    "fresh_postgres",
    "installed",
    "lab_site",
    "leave_out",
    "mariadb",
    "postgres15",
    "postgres16",
    "postgres18",
    "postgres_pair",
    "redis_server",
    "running",
]

_MEMORY = "/dev/shm"  # noqa: S108 -- mkdtemp makes a directory of our own in it
_ROOM_BYTES = 4 * 2**30
ServerType = TypeVar("ServerType", bound=LabServer)


@dataclass(frozen=True, kw_only=True)
class ServerPair(Generic[ServerType]):
    """A primary and its streaming replica."""

    primary: ServerType
    replica: ServerType


PostgresPair = ServerPair[PostgresServer]


@asynccontextmanager
async def running(server: ServerType) -> AsyncIterator[ServerType]:
    """A server that is started, and gone afterwards."""
    try:
        await server.start()
        yield server
    finally:
        await server.destroy()


@pytest.fixture(scope="session")
def lab_site() -> Iterator[Site]:
    """Where the servers of this test run live; gone with the run, also if the run is killed."""
    with temporary_site(prefix="dbre-test-", parent=_fast_directory()) as site:  # other accounts cannot enter pytest's
        yield site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres15(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """PostgreSQL 15, from the distribution."""
    async with _postgres(lab_site, "postgres15", 15) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres16(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """PostgreSQL 16, from the wheel."""
    async with _postgres(lab_site, "postgres16", 16) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres18(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """PostgreSQL 18, from the wheel."""
    async with _postgres(lab_site, "postgres18", 18) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mariadb(lab_site: Site) -> AsyncIterator[MariaDbServer]:
    """MariaDB, from the distribution."""
    program = installed(lambda: find_mariadb(account=lab_site.account))
    async with running(MariaDbServer("mariadb", lab_site, program=program)) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_server(lab_site: Site) -> AsyncIterator[RedisServer]:
    """Redis, from the distribution."""
    program = installed(lambda: find_redis(account=lab_site.account))
    async with running(RedisServer("redis", lab_site, program=program)) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def fresh_postgres(lab_site: Site) -> AsyncIterator[PostgresServer]:
    """A private, empty cluster of the newest PostgreSQL, for a test that breaks or configures it."""
    with _own_directory(lab_site) as site:
        async with _postgres(site, "fresh", None) as server:
            yield server


@pytest_asyncio.fixture(loop_scope="session")
async def postgres_pair(lab_site: Site) -> AsyncIterator[PostgresPair]:
    """A private primary with a streaming replica, of the newest PostgreSQL."""
    with _own_directory(lab_site) as site:
        async with (
            _postgres(site, "pg1", None) as primary,
            running(PostgresServer("pg2", site, binaries=primary.binaries, replica_of=primary)) as replica,
        ):
            yield PostgresPair(primary=primary, replica=replica)


def _fast_directory() -> str | None:
    """In memory where there is room: copying the thousand files of a cluster to a disk can take ten times as long."""
    try:
        status = os.statvfs(_MEMORY)
    except OSError:
        return None
    has_room = status.f_bavail * status.f_frsize >= _ROOM_BYTES
    return _MEMORY if has_room and os.access(_MEMORY, os.W_OK) else None


@asynccontextmanager
async def _postgres(site: Site, name: str, version: int | None) -> AsyncIterator[PostgresServer]:
    try:
        binaries = await find_postgres(account=site.account, cache=site.cache, version=version)
    except Unsupported as error:
        leave_out(error)
    async with running(PostgresServer(name, site, binaries=binaries)) as server:
        yield server


def installed(find: Callable[[], ServerProgram]) -> ServerProgram:
    """What ``find`` finds; where it is not installed, the test is skipped, or fails where all are required."""
    try:
        return find()
    except Unsupported as error:
        leave_out(error)


@contextmanager
def _own_directory(site: Site) -> Iterator[Site]:
    """A directory below the site's for the servers of one test."""
    directory = Path(tempfile.mkdtemp(prefix="own-", dir=site.directory))
    directory.chmod(0o711)
    try:
        yield replace(site, directory=directory)
    finally:
        destroy(directory)


def leave_out(error: Unsupported) -> NoReturn:
    """Skip a test whose server is not there, with its reason; with ``DBRE_REQUIRE_ALL=1`` fail it: nothing may be left out."""
    reason = f"{error.message}; {error.hint}"
    if os.environ.get("DBRE_REQUIRE_ALL") == "1":
        pytest.fail(f"DBRE_REQUIRE_ALL=1: {reason}", pytrace=False)
    pytest.skip(reason)
