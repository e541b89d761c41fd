"""Questions and commands over connections of their own, and the statements that are composed with names and numbers."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named
from dbre.ports.engine import Access, Facet, NamedQuery

__all__ = ["COMPOSED", "Talk", "delay_statement", "kill_statement", "lock_statement", "talking", "translated"]

_MODES = {"exclusive": "WRITE", "share": "READ"}


def _template(name: str, text: str, privilege: str, *, products: tuple[str, ...] = (), versions: str = "*") -> NamedQuery:
    return NamedQuery(
        name=name,
        facet=Facet.MISCHIEF,
        versions=versions,
        privilege=privilege,
        text=text,
        source=f"mysql/mischief/talking.py:{name}",
        products=products,
    )


_LOCK = _template("mischief_lock", "LOCK TABLES {table} {mode}", "LOCK TABLES, SELECT on the table")
_KILL = _template("mischief_kill", "KILL CONNECTION {number}", "CONNECTION ADMIN")
_ADMIN = "REPLICATION SLAVE ADMIN"
_DELAYS = {
    "mariadb": _template("mischief_delay", "CHANGE MASTER TO MASTER_DELAY = {seconds}", _ADMIN, products=("mariadb",)),
    "mysql": _template(
        "mischief_delay",
        "CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {seconds}",
        _ADMIN,
        products=("mysql",),
        versions=">=8.0.23",
    ),
}
COMPOSED = (_LOCK, _KILL, *_DELAYS.values())
"""Every statement of this module, with its holes."""


def lock_statement(table: str, mode: str) -> NamedQuery:
    """The statement that locks a table. Raises: UsageError where it is no name of one."""
    parts = table.split(".")
    if not 1 <= len(parts) <= 2 or not all(parts) or "\0" in table:
        raise UsageError(f"{quoted(table, limit=100)} is no name of a table", hint="write database.table")
    name = ".".join("`" + part.replace("`", "``") + "`" for part in parts)
    return replace(_LOCK, text=_LOCK.text.format(table=name, mode=_MODES[mode]))


def kill_statement(number: int) -> NamedQuery:
    """The statement that ends a session."""
    return replace(_KILL, text=_KILL.text.format(number=int(number)))


def delay_statement(product: str, seconds: int) -> NamedQuery:
    """The statement that lets a replica replay later."""
    return replace(_DELAYS[product], text=_DELAYS[product].text.format(seconds=int(seconds)))


class Talk:
    """A few statements over one connection."""

    def __init__(self, connection: Connection, access: Access) -> None:
        self.connection = connection
        self._limit = access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS

    async def rows(self, name: str, *parameters: object, limit_seconds: float | None = None) -> Sequence[Row]:
        """The rows of a named statement."""
        return await ask_named(self.connection, name, *parameters, limit_seconds=limit_seconds or self._limit)

    async def run(self, statement: NamedQuery, *, limit_seconds: float | None = None) -> None:
        """A composed statement."""
        await self.connection.run(statement, limit_seconds=limit_seconds or self._limit)


@contextmanager
def translated(access: Access) -> Iterator[None]:
    """Errors of the driver as ours."""
    try:
        yield
    except FAULTS.raised as error:
        raise FAULTS.translate(error, access) from error


@asynccontextmanager
async def talking(access: Access) -> AsyncIterator[Talk]:
    """Open a connection for a few statements. Raises: Unreachable, Denied, Unsupported."""
    with translated(access):
        connection = await open_connection(access, what="chaos")
        try:
            yield Talk(connection, access)
        finally:
            connection.abort()
