"""Statements that change or rebuild the schema: a change of primary would cut them off, and their work would be lost."""

import re
from dataclasses import dataclass

from dbre.core.text import printable
from dbre.ports.activity import SessionInfo
from dbre.ports.engine import Server

__all__ = ["SchemaChange", "schema_changes", "words_of_change"]

_MOST_SESSIONS = 2_000
_COMMENT = re.compile(r"\s*(?:/\*.*?\*/|--[^\n]*\n|#[^\n]*\n)", re.DOTALL)
_CHANGE = re.compile(
    r"\s*(ALTER|CREATE|DROP|TRUNCATE|REINDEX|CLUSTER|REFRESH\s+MATERIALIZED\s+VIEW|VACUUM\s*(?:\([^)]*\bFULL\b[^)]*\)|FULL)"
    r"|OPTIMIZE(?:\s+LOCAL|\s+NO_WRITE_TO_BINLOG)?\s+TABLE|RENAME\s+TABLE)(?:\s+(\w+))?",
    re.IGNORECASE,
)
_LONGEST = 10_000  # of a statement that is looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """One session that changes the schema now. Texts are printable; the statement itself is not shown."""

    words: str  # CREATE INDEX
    who: str
    seconds: float | None


async def schema_changes(server: Server) -> tuple[SchemaChange, ...]:
    """Those that run on a server. Raises: Unreachable, Denied."""
    return tuple(
        SchemaChange(words=words, who=_who(one), seconds=one.query_seconds)
        for one in await server.activity.sessions(limit=_MOST_SESSIONS)
        if one.query_seconds is not None and (words := words_of_change(one.query_text))
    )


def words_of_change(text: str | None) -> str | None:
    """The first words of a statement where it changes the schema.

    >>> words_of_change("/* by hand */ create index concurrently on orders (day)")
    'CREATE INDEX'
    >>> words_of_change("VACUUM (VERBOSE, FULL) orders"), words_of_change("VACUUM orders"), words_of_change(None)
    ('VACUUM FULL', None, None)
    """
    rest = (text or "")[:_LONGEST]
    while (comment := _COMMENT.match(rest)) is not None:
        rest = rest[comment.end() :]
    match = _CHANGE.match(rest)
    if match is None:
        return None
    first = "VACUUM FULL" if match[1].upper().startswith("VACUUM") else " ".join(match[1].upper().split())
    return printable(f"{first} {match[2].upper()}" if match[2] and " " not in first else first, limit=60)


def _who(one: SessionInfo) -> str:
    return printable(one.application_name or one.user or f"session {one.session_id}", limit=60)
