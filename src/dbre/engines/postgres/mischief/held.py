"""Sessions that a deed holds: named by its tag, ended by the server itself should we never come back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from psycopg import sql

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.engines.postgres.backup.asking import asking
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Access, Facet, NamedQuery, Parameter
from dbre.ports.mischief import BEYOND_SECONDS

__all__ = ["COMPOSED", "HeldSessions", "lock_statement"]

_SECONDS = 5.0
_LOCK_SECONDS = 20.0  # to get a table that is in use
_MODES = {"exclusive": "LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", "share": "LOCK TABLE {} IN SHARE MODE"}

COMPOSED = tuple(
    NamedQuery(
        name=f"mischief_lock_{mode}",
        facet=Facet.MISCHIEF,
        versions=">=15",
        privilege="UPDATE, DELETE or TRUNCATE ON the table",
        text=text.format("$1"),
        source=f"postgres/mischief/held.py:{mode}",
        parameters=(Parameter(name="table", type="identifier"),),
    )
    for mode, text in _MODES.items()
)


def lock_statement(table: str, mode: str) -> NamedQuery:
    """The statement that locks a table. Raises: UsageError where it is no name of one."""
    parts = table.split(".")
    if not 1 <= len(parts) <= 2 or not all(parts) or "\0" in table:
        raise UsageError(f"{quoted(table, limit=100)} is no name of a table", hint="write schema.table")
    template = next(one for one in COMPOSED if one.name.endswith(mode))
    return replace(template, text=sql.SQL(_MODES[mode]).format(sql.Identifier(*parts)).as_string(None))


class HeldSessions:
    """Sessions of one deed on one server."""

    def __init__(self, access: Access, tag: str) -> None:
        self.access = replace(access, application_name=f"{tag}:held")
        self.tag = self.access.application_name
        self._open: list[Connection] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self, *, seconds: float, has_lock_limit: bool = True) -> Connection:
        """One more; it may be idle in a transaction until a minute after the deed's time."""
        with self.translated():
            connection = await open_connection(self.access, what="chaos")
            self._open.append(connection)
            idle, lock = round((seconds + BEYOND_SECONDS) * 1000), round(_LOCK_SECONDS * 1000) if has_lock_limit else 0
            await self.run(connection, "mischief_session", str(idle), str(lock))
        return connection

    async def run(
        self, connection: Connection, name: str, *parameters: object, limit_seconds: float = _SECONDS
    ) -> Sequence[Any]:
        """The rows of a named query."""
        return await connection.run(named(name, version=connection.version), *parameters, limit_seconds=limit_seconds)

    async def lock(self, connection: Connection, statement: NamedQuery) -> None:
        """Get a table, or an error of the server."""
        with self.translated():
            await connection.run(statement, limit_seconds=_LOCK_SECONDS + _SECONDS)

    def keep_on(self, work: Any) -> None:
        """Let something go on meanwhile."""
        self._tasks.append(asyncio.create_task(work))

    async def ours(self) -> Any:
        """What the server shows of them."""
        async with self._asking() as questions:
            return await questions.row("mischief_ours", self.tag)

    async def close(self) -> None:
        """Leave them, and let the server end those that do not notice, or that others have left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        while self._open:
            self._open.pop().abort()
        async with self._asking() as questions:
            await questions.row("mischief_end_ours", self.tag)

    @contextlib.contextmanager
    def translated(self) -> Any:
        """Errors of the driver as ours."""
        try:
            yield
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self.access) from error

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[Any]:
        control = replace(self.access, application_name=self.tag.removesuffix(":held"))
        async with asking(control, what="chaos") as questions:
            yield questions
