"""Facet ``session``: who is there, and what may we do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from dbre.core.errors import UsageError

__all__ = ["LoginFacts", "Role", "ServerIdentity", "SessionPort", "UnexpectedAnswer", "as_table"]


class UnexpectedAnswer(UsageError):
    """A query of the configuration gives something else than the one row that was due."""

    code = "engine.unexpected_answer"


def as_table(query: str) -> str:
    """A query as a table in another one, whose answer has two rows at most.

    So it can only read: a statement that is no query, a second one, or a change inside of WITH is a syntax error there.
    ``LIMIT`` is left to the caller, whose driver writes parameters in its own way.

    >>> as_table("SELECT 1 AS value;")
    'SELECT answer.* FROM (\\nSELECT 1 AS value\\n) AS answer LIMIT '
    """
    return "SELECT answer.* FROM (\n" + query.strip().removesuffix(";").rstrip() + "\n) AS answer LIMIT "  # noqa: S608 - the query is the operator's own


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


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFacts:
    """What our login is on a server, and what it finds there; None: the engine has no such thing, or nobody can tell."""

    is_superuser: bool | None
    has_heartbeat: bool | None  # whether the table of the write probe is there


class SessionPort(Protocol):
    """Who is there, and what may we do."""

    async def identify(self) -> ServerIdentity:
        """Ask the server who it is, over a pooled connection."""
        ...

    async def privileges(self) -> frozenset[str]:
        """The privileges of our login, in the words that ``Feature.privilege`` uses."""
        ...

    async def login(self) -> LoginFacts:
        """What our login is, and whether the prober's table is there."""
        ...

    async def read_row(self, query: str) -> Mapping[str, object]:
        """The only row of a query that somebody wrote into the configuration, by column; it cannot change anything.

        Raises: UnexpectedAnswer for no row or several; Unsupported where the engine has no queries, or the text is none.
        """
        ...
