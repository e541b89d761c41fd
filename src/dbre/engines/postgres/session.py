"""Facet ``session`` of PostgreSQL: who is there, and what may we do."""

from collections.abc import Mapping
from datetime import UTC
from functools import partial

from dbre.engines.postgres.facts import CONNECT, READ_CONTROL
from dbre.engines.postgres.link import Conversation, Link
from dbre.ports.engine import Facet, NamedQuery
from dbre.ports.session import LoginFacts, Role, ServerIdentity, UnexpectedAnswer, as_table

__all__ = ["PostgresSession"]


class PostgresSession:
    """Implements ``ports.session``."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def identify(self) -> ServerIdentity:
        """Ask the server who it is."""
        return await self._link.ask(_identify)

    async def privileges(self) -> frozenset[str]:
        """What our role may do, in the words of the SQL headers; asked anew each time."""
        return await self._link.ask(lambda conversation: conversation.privileges())

    async def login(self) -> LoginFacts:
        """What our role is, and whether the prober's table is in our database."""
        return await self._link.ask(_login)

    async def read_row(self, query: str) -> Mapping[str, object]:
        """The only row of somebody's query; the session is read-only before it, and again after it."""
        text = f"{as_table(query)}$1"  # a parameter, because PostgreSQL takes a single statement with parameters only
        named = NamedQuery(
            name="configured_query", facet=Facet.SESSION, versions="*", privilege=CONNECT, text=text, source="dbre.yaml"
        )
        return await self._link.ask(partial(_read_row, query=named, where=str(self._link.access.address)))


async def _read_row(conversation: Conversation, *, query: NamedQuery, where: str) -> Mapping[str, object]:
    found = await conversation.own_rows(query, 2)
    if len(found) != 1:
        given = "no row" if not found else "more than one row"
        raise UnexpectedAnswer(f"PostgreSQL at {where}: the query gives {given}, and one was due", hint="aggregate, or LIMIT 1")
    return dict(found[0]._asdict())


async def _login(conversation: Conversation) -> LoginFacts:
    found = await conversation.row("login_facts")
    return LoginFacts(is_superuser=found.is_superuser, has_heartbeat=found.has_heartbeat)


async def _identify(conversation: Conversation) -> ServerIdentity:
    found = await conversation.row("identify")
    control = await conversation.row("control") if await conversation.may(READ_CONTROL) else None
    return ServerIdentity(
        product="postgresql",
        version=conversation.version,
        version_text=found.version_text,
        role=Role.REPLICA if found.is_in_recovery else Role.PRIMARY,
        is_read_only=found.is_in_recovery or conversation.connection.is_server_read_only,
        system_id=control.system_id if control else None,
        timeline=control.timeline if control else None,
        started_at=found.started_at.astimezone(UTC),
        user=found.login,
    )
