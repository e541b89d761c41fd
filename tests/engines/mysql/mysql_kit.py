"""What tests of this engine share: an administrator behind the engine's back, and accesses."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncmy

from dbre.core.fleet import EndpointPurpose
from dbre.core.secrets import Secret
from dbre.engines.mysql import MySqlEngine
from dbre.lab.mariadb import MariaDbServer
from dbre.ports.engine import Access
from dbre.ports.probe import ProbeDeadlines, ProbeRequest


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


@asynccontextmanager
async def administrator(server: MariaDbServer) -> AsyncIterator[Any]:
    """A connection of the superuser behind the engine's back."""
    address = server.address
    connection = await asyncmy.connect(
        host=address.host, port=address.port, user=server.superuser, password=server.password.reveal(), autocommit=True
    )
    try:
        yield connection
    finally:
        await connection.ensure_closed()


async def execute(connection: Any, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    async with connection.cursor() as cursor:
        await cursor.execute(statement, tuple(parameters) or None)
        return list(await cursor.fetchall()) if cursor.description else []


async def granted(server: MariaDbServer, user: str) -> Access:
    """A login made by exactly the grant script."""
    password = f"s3cret-{user}"
    async with administrator(server) as admin:
        await execute(admin, f"CREATE OR REPLACE USER {quoted(user)}@`%` IDENTIFIED BY '{password}'")
        for statement in MySqlEngine().grants(user).split(";\n")[:-1]:
            await execute(admin, statement)
    return replace(server.access(user=user, password=Secret(password)), database=None)


def open_files() -> int:
    """How many sockets and files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def request(
    sequence: int = 1, *, purpose: EndpointPurpose = EndpointPurpose.WRITE, fresh: bool = False, row: str = "own"
) -> ProbeRequest:
    """A probe with the usual deadlines."""
    return ProbeRequest(purpose=purpose, heartbeat_id=row, sequence=sequence, fresh=fresh, deadlines=ProbeDeadlines())
