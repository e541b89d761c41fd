"""Facet ``session`` of PostgreSQL: who is there, and what may we do."""

from datetime import UTC

from dbre.engines.postgres.facts import READ_CONTROL
from dbre.engines.postgres.link import Conversation, Link
from dbre.ports.session import Role, ServerIdentity

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
