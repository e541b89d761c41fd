"""Where the primary of today left the history of an old one: asked over the replication protocol, which any standby may."""

import asyncio
from dataclasses import dataclass

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from dbre.core.errors import Denied
from dbre.core.text import one_line
from dbre.engines.postgres.faults import FAULTS
from dbre.ports.engine import Access, Facet, NamedQuery
from dbre.ports.forks import NotForked

__all__ = ["COMPOSED", "ForkPoint", "History", "fork_of", "history_of", "left_in"]


def _command(name: str, text: str) -> NamedQuery:
    return NamedQuery(
        name=name,
        facet=Facet.FORK,
        versions=">=15",
        privilege="REPLICATION",
        text=text,
        source=f"postgres/forks/fork_point.py:{name}",
    )


_IDENTIFY = _command("fork_identify", "IDENTIFY_SYSTEM")
_HISTORY = _command("fork_history", "TIMELINE_HISTORY {}")

COMPOSED = (_IDENTIFY, _HISTORY)
"""Every statement of this module, with its holes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkPoint:
    """What the survivor says of itself and of the timeline that it left."""

    system_id: str
    timeline: int
    left_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The timelines that a server went through, each with the position at which it was left; then the one it is on."""

    system_id: str
    left: tuple[tuple[int, str], ...]
    timeline: int


async def fork_of(access: Access, *, timeline: int) -> ForkPoint:
    """Where the server's history left ``timeline``. Raises: NotForked, Denied, Unreachable."""
    found = await history_of(access)
    if found.timeline <= timeline:
        raise NotForked(
            f"PostgreSQL at {access.address} is on timeline {found.timeline}: it did not leave timeline {timeline}",
            hint="name the server that was promoted, or the directory of the one that was left behind",
        )
    for number, position in found.left:
        if number == timeline:
            return ForkPoint(system_id=found.system_id, timeline=found.timeline, left_at=position)
    raise NotForked(
        f"timeline {timeline} is no ancestor of timeline {found.timeline} of PostgreSQL at {access.address}",
        hint="both servers must have been copies of one another",
    )


async def history_of(access: Access) -> History:
    """The server's history. Raises: Denied, Unreachable."""
    try:
        return await asyncio.to_thread(_ask, access)
    except psycopg.Error as error:
        if error.sqlstate == "42501":
            raise Denied(
                f"PostgreSQL at {access.address}: its history may be read with REPLICATION alone",
                hint="grant it (dbre engine sql postgresql --grants), or give the position with --fork",
            ) from error
        raise FAULTS.translate(error, access) from error


def left_in(text: str) -> tuple[tuple[int, str], ...]:
    """The timelines of a history file, and where each was left. Source: src/backend/access/transam/timeline.c."""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2 and words[0].isdigit():
            found.append((int(words[0]), words[1]))
    return tuple(found)


def _ask(access: Access) -> History:
    conninfo = make_conninfo(
        "",
        host=access.address.host,
        port=access.address.port,
        user=access.user,
        password=access.password.reveal() if access.password else None,
        dbname=access.database or "postgres",
        sslmode=access.tls.value,
        sslrootcert=access.tls_ca_file,
        connect_timeout=max(2, round(access.timeouts.connect_seconds)),
        tcp_user_timeout=round(access.timeouts.statement_seconds * 2000),
        application_name=access.session_name("fork"),
        replication="database",
    )
    with psycopg.Connection.connect(conninfo, autocommit=True) as connection:
        (system, newest), *_ = _rows(connection, _IDENTIFY.text, columns=2)
        if int(newest) == 1:
            return History(system_id=system, left=(), timeline=1)
        ((text,),) = _rows(connection, _HISTORY.text.format(int(newest)), first=1, columns=1)
    return History(system_id=system, left=left_in(text), timeline=int(newest))


def _rows(connection: "psycopg.Connection[tuple[object, ...]]", text: str, *, columns: int, first: int = 0) -> list[list[str]]:
    """The rows of a command of the replication protocol, which knows simple queries only."""
    result = connection.pgconn.exec_(text.encode())
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise psycopg.errors.error_from_result(result)
    return [[_text(result.get_value(row, column)) for column in range(first, first + columns)] for row in range(result.ntuples)]


def _text(value: bytes | None) -> str:
    """Text of a server, which may have several lines."""
    return "\n".join(one_line(one) for one in (value or b"").decode("utf-8", "replace").splitlines())
