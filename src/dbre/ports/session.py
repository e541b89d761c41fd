"""Facet ``session``: who is there, and what may we do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

__all__ = ["Role", "ServerIdentity", "SessionPort"]


class Role(StrEnum):
    """What a server process is in its cluster."""

    PRIMARY = "primary"
    REPLICA = "replica"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What a server says of itself."""

    product: str  # postgresql, mariadb, mysql, redis
    version: tuple[int, ...]  # (15, 18), (10, 11, 19)
    version_text: str
    role: Role
    is_read_only: bool
    system_id: (
        str | None
    )  # the same for all members of a cluster (PostgreSQL system identifier); None: not known or not permitted
    timeline: int | None
    started_at: datetime | None
    user: str  # as whom we are logged in


class SessionPort(Protocol):
    """Who is there, and what may we do."""

    async def identify(self) -> ServerIdentity:
        """Ask the server who it is, over a pooled connection."""
        ...

    async def privileges(self) -> frozenset[str]:
        """The privileges of our login, in the words that ``Feature.privilege`` uses."""
        ...
