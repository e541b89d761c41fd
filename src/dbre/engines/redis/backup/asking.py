"""Commands to a server over a connection of their own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from dbre.core.pool import abort_on_error
from dbre.engines.redis.commands import named
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.faults import FAULTS
from dbre.ports.engine import Access

__all__ = ["ask", "conversation"]


@asynccontextmanager
async def conversation(access: Access, *, what: str = "backup") -> AsyncIterator[Connection]:
    """An open connection. Errors in the block are translated: Unreachable, Denied, Unsupported."""
    try:
        connection = await Dialer(access, what=what).open(access)
        with abort_on_error(connection):
            yield connection
        connection.abort()
    except FAULTS.raised as error:
        raise FAULTS.translate(error, access, limit_seconds=access.timeouts.statement_seconds) from error


async def ask(access: Access, name: str, *parameters: object) -> Any:
    """The answer to one command."""
    async with conversation(access) as connection:
        return await connection.run(named(name), *parameters, limit_seconds=access.timeouts.statement_seconds)
