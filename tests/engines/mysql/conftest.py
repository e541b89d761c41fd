"""MariaDB as the conformance suite wants it. MySQL itself cannot be installed here: nothing is proved on it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
import pytest_asyncio
from mysql_kit import administrator, execute, quoted

from dbre.core.secrets import Secret
from dbre.engines.mysql import MySqlEngine
from dbre.engines.mysql.facts import LOGIN
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site
from dbre.ports.engine import Access
from dbre.testing.conformance import Subject
from dbre.testing.conformance.subject import QUICK
from dbre.testing.fixtures import ServerPair, running

USER = "dbre_granted"
PASSWORD = "s3cret-granted"


class MariaDbSubject(Subject):
    """A lab server, with a login made by exactly the grant script."""

    server: MariaDbServer

    @property
    def base_privilege(self) -> str:
        return LOGIN

    @classmethod
    async def on(cls, server: MariaDbServer) -> "MariaDbSubject":
        subject = cls(
            engine=MySqlEngine(),
            product="mariadb",
            version=(10, 11),
            server=server,
            access=server.access(user=USER, password=Secret(PASSWORD)),
        )
        # No default database: the login holds a privilege on none.
        subject.access = replace(subject.access, database=None)
        await subject.new_login(USER, PASSWORD, is_granted=True)
        return subject

    async def new_login(self, name: str, password: str, *, is_granted: bool) -> Access:
        async with administrator(self.server) as admin:
            await execute(admin, f"CREATE USER IF NOT EXISTS {quoted(name)}@`%`")
            await execute(admin, f"SET PASSWORD FOR {quoted(name)}@`%` = PASSWORD({admin.literal(password)})")
            if is_granted:
                for statement in self.engine.grants(name).split(";\n"):
                    if statement.strip():
                        await execute(admin, statement)
        return replace(self.server.access(user=name, password=Secret(password)), database=None, timeouts=QUICK)

    async def new_database(self, name: str) -> Access:
        async with administrator(self.server) as admin:
            await execute(admin, f"CREATE DATABASE IF NOT EXISTS {quoted(name)}")
            await execute(admin, f"CREATE TABLE IF NOT EXISTS {quoted(name)}.`t` (id int PRIMARY KEY)")
            pattern = name.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
            await execute(admin, f"GRANT SELECT ON {quoted(pattern)}.* TO {quoted(USER)}@`%`")
        return replace(self.impatient(), database=name)

    async def sessions_of(self, user: str) -> Sequence[str]:
        query = """
            SELECT a.ATTR_VALUE
              FROM information_schema.PROCESSLIST AS p
              LEFT JOIN performance_schema.session_connect_attrs AS a
                ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name'
             WHERE p.USER = %s
        """
        async with administrator(self.server) as admin:
            return [row[0] or "" for row in await execute(admin, query, [user])]

    @asynccontextmanager
    async def busy_session(self) -> AsyncIterator[str]:
        async with administrator(self.server) as other:
            await execute(other, "START TRANSACTION WITH CONSISTENT SNAPSHOT")
            await execute(other, "SELECT 'secret in a query'")
            yield str(other.thread_id())

    @asynccontextmanager
    async def blocked_session(self) -> AsyncIterator[tuple[str, str]]:
        async with administrator(self.server) as holder, administrator(self.server) as waiter:
            await execute(holder, "CREATE TABLE IF NOT EXISTS lab.locks (id int PRIMARY KEY)")
            await execute(holder, "INSERT IGNORE INTO lab.locks VALUES (1)")
            await execute(holder, "BEGIN")
            await execute(holder, "SELECT id FROM lab.locks WHERE id = 1 FOR UPDATE")
            waiting = asyncio.create_task(execute(waiter, "SELECT id FROM lab.locks WHERE id = 1 FOR UPDATE"))
            for _ in range(50):
                await asyncio.sleep(0.15)  # InnoDB refreshes what it shows only if nobody has looked for 0.1 s
                if await execute(holder, "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"):
                    break
            yield str(waiter.thread_id()), str(holder.thread_id())
            await execute(holder, "ROLLBACK")
            await waiting


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def named_mariadb(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[MariaDbServer]:
    """A MariaDB that shows the names of programs, which Debian's leaves off."""
    settings = {"performance-schema": "ON"}
    async with running(MariaDbServer("named-mariadb", lab_site, program=mariadb.program, settings=settings)) as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mariadb_pair(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[ServerPair[MariaDbServer]]:
    """A private primary with a replica that follows it by GTID."""
    async with (
        running(MariaDbServer("pair-primary", lab_site, program=mariadb.program)) as primary,
        running(MariaDbServer("pair-replica", lab_site, program=mariadb.program, replica_of=primary)) as replica,
    ):
        yield ServerPair(primary=primary, replica=replica)


@pytest_asyncio.fixture(loop_scope="session")
async def own_mariadb(mariadb: MariaDbServer, lab_site: Site) -> AsyncIterator[MariaDbServer]:
    """A MariaDB for one test that fills or reconfigures it."""
    async with running(MariaDbServer("own-mariadb", lab_site, program=mariadb.program)) as server:
        yield server


@pytest.fixture
async def subject(named_mariadb: MariaDbServer) -> MariaDbSubject:
    """MariaDB with a login made by exactly the grant script."""
    return await MariaDbSubject.on(named_mariadb)
