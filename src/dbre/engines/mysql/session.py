"""Facet ``session`` of MySQL and MariaDB: who is there, and what may we do."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import LOGIN, READ_HEARTBEAT, identify_product
from dbre.engines.mysql.link import Conversation, Link
from dbre.ports.engine import Facet, NamedQuery
from dbre.ports.session import LoginFacts, Role, ServerIdentity, UnexpectedAnswer, as_table

__all__ = ["MySqlSession", "is_switched_on", "role_of", "server_time"]

_EVERYTHING = "GRANT ALL PRIVILEGES ON *.*"
_OFF = {"", "0", "off", "false", "no"}


def is_switched_on(value: object) -> bool:
    """Whether a server variable is on; MariaDB 12 made ``read_only`` a word with several shades of on."""
    return value is not None and str(value).lower() not in _OFF


def role_of(row: Row) -> Role:
    """The role that a server shows to a login without any privilege: a replica is read-only, or applies a primary's changes.

    A replica that is writable and whose applier was stopped looks like a primary, and takes writes like one.
    """
    return Role.REPLICA if is_switched_on(row["is_read_only"]) or is_switched_on(row["appliers"]) else Role.PRIMARY


def server_time(value: object) -> datetime:
    """The server's clock as UTC."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC)


class MySqlSession:
    """Implements ``ports.session``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def identify(self) -> ServerIdentity:
        """Ask the server who it is. ``system_id`` is a Galera cluster's or a replication group's; others have none."""
        return await self._link.ask(_identify)

    async def privileges(self) -> frozenset[str]:
        """What our login may do, in the words of the SQL headers; asked anew each time."""
        return await self._link.ask(lambda conversation: conversation.privileges())

    async def login(self) -> LoginFacts:
        """What our user is, and whether the prober's table is there."""
        return await self._link.ask(_login)

    async def read_row(self, query: str) -> Mapping[str, object]:
        """The only row of somebody's query; the session is read-only, and a query cannot change that."""
        text = f"{as_table(query)}?"  # a parameter: the server takes a single statement only where it prepares it
        named = NamedQuery(
            name="configured_query", facet=Facet.SESSION, versions="*", privilege=LOGIN, text=text, source="dbre.yaml"
        )
        return await self._link.ask(partial(_read_row, query=named, where=str(self._link.access.address)))


async def _read_row(conversation: Conversation, *, query: NamedQuery, where: str) -> Mapping[str, object]:
    found = await conversation.own_rows(query, 2)
    if len(found) != 1:
        given = "no row" if not found else "more than one row"
        raise UnexpectedAnswer(f"MySQL at {where}: the query gives {given}, and one was due", hint="aggregate, or LIMIT 1")
    return found[0]


async def _login(conversation: Conversation) -> LoginFacts:
    lines = [str(next(iter(row.values()))) for row in await conversation.rows("grants")]
    (found,) = await conversation.rows("heartbeat_there")
    is_there = bool(found["tables"]) if await conversation.may(READ_HEARTBEAT) else None  # others do not see it
    return LoginFacts(is_superuser=any(line.startswith(_EVERYTHING) for line in lines), has_heartbeat=is_there)


async def _identify(conversation: Conversation) -> ServerIdentity:
    found = await conversation.row("identify")
    product, version = identify_product(found["version_text"])
    return ServerIdentity(
        product=product.value,
        version=version,
        version_text=found["version_text"],
        role=role_of(found),
        is_read_only=is_switched_on(found["is_read_only"]),
        system_id=found["system_id"] or None,
        timeline=None,
        started_at=datetime.fromtimestamp(int(found["unix_time"]) - int(found["uptime_seconds"]), UTC),
        user=found["login"].rpartition("@")[0],
    )
