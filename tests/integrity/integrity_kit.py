"""A database of its own, on a server that all tests share."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

from psycopg import AsyncConnection, sql

from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.engines.postgres import PostgresEngine
from dbre.lab.postgres import PostgresServer
from dbre.ports.engine import Access, Server, Timeouts


@dataclass(frozen=True, kw_only=True)
class Place:
    """One database: a handle on it, and a superuser's connection to prepare and damage it."""

    server: Server
    access: Access
    lab: PostgresServer
    sql: AsyncConnection
    open: Callable[[], Awaitable[Server]]


async def database_of(lab: PostgresServer) -> AsyncIterator[Place]:
    name = f"integrity_{secrets.token_hex(4)}"
    admin = await lab.connect()
    await admin.set_autocommit(True)
    await admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    access = lab.access(user=lab.superuser, password=lab.password, database=name)
    access = replace(access, timeouts=Timeouts(connect_seconds=30.0, statement_seconds=60.0))
    server = PostgresEngine().connect(access)
    connection = await lab.connect(database=name)
    await connection.set_autocommit(True)

    async def again() -> Server:
        return PostgresEngine().connect(access)

    yield Place(server=server, access=access, lab=lab, sql=connection, open=again)
    await server.aclose()
    await connection.close()
    await admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    await admin.close()


class Engines:
    """PostgreSQL only."""

    def names(self) -> list[str]:
        return ["postgresql"]

    def get(self, name: str) -> PostgresEngine:
        assert name == "postgresql"
        return PostgresEngine()


def fleet_of(servers: Mapping[str, PostgresServer]) -> Fleet:
    """One cluster ``orders`` of these servers, the first being its primary."""
    first = next(iter(servers.values()))
    cluster = Cluster(
        name="orders",
        environment="test",
        engine="postgresql",
        instances=tuple(Instance(name=name, cluster="orders", address=one.address) for name, one in servers.items()),
        endpoints=(),
        databases=("postgres",),
        user=first.superuser,
        password=first.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))
