"""A database of its own, on a server that all tests share."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace

from psycopg import AsyncConnection, sql

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
