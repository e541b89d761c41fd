"""Facet ``succession`` of MariaDB: read_only, GTID positions, whom to follow. It changes things, in sessions of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from asyncmy.errors import MySQLError

from dbre.core.errors import Unsupported
from dbre.core.fleet import Address, TlsMode
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.entry import entry_of
from dbre.engines.mysql.facts import Product
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.gtid import sequences_of
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named
from dbre.engines.mysql.replication import in_new_words
from dbre.engines.mysql.session import is_switched_on
from dbre.engines.mysql.standing import standing_of
from dbre.ports.engine import Access, Facet, NamedQuery, Parameter
from dbre.ports.server_process import until
from dbre.ports.succession import Following, Manner, NoControl, NotDone, NotReplayed, Obstacle, Standing
from dbre.ports.topology import LogPosition

__all__ = ["COMPOSED", "MySqlSuccession"]

_SETTLED_SECONDS = 0.05
_SETTLED_TRIES = 20
_RETRY_SECONDS = 5

COMPOSED = (
    NamedQuery(
        name="succession_redirect",
        facet=Facet.SUCCESSION,
        versions=">=10.5",
        privilege="REPLICATION SLAVE ADMIN",
        text="CHANGE MASTER TO MASTER_HOST = $1, MASTER_PORT = $2, ... MASTER_USE_GTID = slave_pos",
        source="mysql/succession.py:succession_redirect",
        parameters=(Parameter(name="upstream", type="literal"),),
        products=(Product.MARIADB.value,),
    ),
)
"""A statement that takes no bind parameters: its values are literals in a session without backslash escapes."""


class MySqlSuccession:
    """Implements ``ports.succession.SuccessionPort`` for MariaDB; MySQL is told no."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def standing(self) -> Standing:
        """What this server is."""
        async with self._session() as session:
            return await standing_of(session.rows)

    async def checkpoint(self, *, limit_seconds: float) -> None:
        """Nothing: the server keeps running, so that nothing need be written out."""

    async def close_to_writes(self, *, limit_seconds: float) -> LogPosition:
        """Make it read-only, end every client, and see that its position stands still.

        Who has READ_ONLY ADMIN can write nevertheless: then the position moves on, the server is opened again.
        """
        async with self._session(limit_seconds) as session:
            await session.rows("succession_close")
            await self._end_clients(session)
            written = await self._position(session)
            for _ in range(_SETTLED_TRIES):
                await asyncio.sleep(_SETTLED_SECONDS)
                now = await self._position(session)
                if now == written:
                    return now
                written = now
                await self._end_clients(session)
            await session.rows("succession_open")
        raise NotDone(
            f"MariaDB at {self._access.address} is read-only, and somebody writes on: it was opened again",
            hint="take READ_ONLY ADMIN (before 10.11: SUPER) away from applications; see information_schema.USER_PRIVILEGES",
        )

    async def is_closed(self) -> bool:
        """Whether it is read-only, and follows nobody."""
        async with self._session() as session:
            is_follower = bool(await session.rows("upstreams"))
            return is_switched_on((await session.row("succession_node"))["is_read_only"]) and not is_follower

    async def open_to_writes(self) -> None:
        """Undo it."""
        async with self._session() as session:
            await session.rows("succession_open")

    async def reached(self, position: LogPosition) -> bool:
        """Whether every domain has come as far, by what was applied or written here."""
        async with self._session() as session:
            return _has(await session.row("succession_node"), position)

    async def wait_reached(self, position: LogPosition, *, limit_seconds: float) -> LogPosition:
        """Compare positions; MASTER_GTID_WAIT can hang on a transaction that was received in part."""
        found: Row = {}
        async with self._session() as session:

            async def is_there() -> bool:
                nonlocal found
                found = await session.row("succession_node")
                return _has(found, position)

            if await until(is_there, limit_seconds):
                return LogPosition(text=_shown(found["applied"]), sequences=sequences_of(str(found["applied"] or "")))
        raise NotReplayed(
            f"MariaDB at {self._access.address} has applied {_shown(found['applied']) or 'nothing'} after "
            f"{format_duration(limit_seconds)}, and {position.text} was wanted",
            hint="see why: SHOW ALL SLAVES STATUS",
            context={"applied": _shown(found["applied"]), "wanted": position.text},
        )

    async def promote(self, *, limit_seconds: float) -> None:
        """Stop following, forget whom, take writes."""
        async with self._session(limit_seconds) as session:
            if await session.rows("upstreams"):
                await session.rows("succession_stop_following")
                await session.rows("succession_forget_upstream")
            if is_switched_on((await session.row("succession_node"))["is_read_only"]):
                await session.rows("succession_open")

    async def manner(self) -> Manner | None:
        """None: the server shows nobody the password with which it follows."""
        return None

    async def differences(self, other: Access, *, limit: int, limit_seconds: float) -> None:
        """Nothing: the log tells what is lost."""

    async def lets_in(self, following: Following) -> Obstacle | None:
        """Log in as a follower would, and look whether that login may receive the log."""
        return await entry_of(self._access, following)

    async def keep_log_for(self, slot: str) -> bool:  # noqa: ARG002 - the port's signature
        """Nothing: binary logs are kept by age and size."""
        return False

    async def drop_log_for(self, slots: Sequence[str]) -> None:
        """Nothing was kept."""

    async def follow(self, following: Following, *, limit_seconds: float) -> None:
        """Close it, count what it wrote itself as applied, and follow by GTID."""
        async with self._session(limit_seconds) as session:
            await session.rows("succession_close")
            upstreams = [in_new_words(row) for row in await session.rows("upstreams")]
            if not _is_towards(upstreams, following.upstream):
                await self._redirect(session, following, is_follower=bool(upstreams))
            elif any(row["replica_io_running"] == "No" or row["replica_sql_running"] != "Yes" for row in upstreams):
                await session.rows("succession_start_following")
            seen = ""

            async def is_following() -> bool:
                nonlocal seen
                rows = [in_new_words(row) for row in await session.rows("upstreams")]
                seen = "; ".join(printable(str(row.get("last_io_error") or row.get("last_sql_error") or "")) for row in rows)
                states = {(row["replica_io_running"], row["replica_sql_running"]) for row in rows}
                return states == {("Yes", "Yes")} and _is_towards(rows, following.upstream)

            if await until(is_following, limit_seconds):
                return
        raise NotDone(
            f"MariaDB at {self._access.address} does not follow {following.upstream} after "
            f"{format_duration(limit_seconds)}: {seen or 'no error is told'}",
            hint="see SHOW ALL SLAVES STATUS; error 1236 means that it has transactions which its upstream lacks",
        )

    async def hand_over(self, to: Address, *, limit_seconds: float) -> None:  # noqa: ARG002 - the port's signature
        """There is no such command."""
        raise Unsupported(f"MariaDB at {self._access.address} has no command that hands its place to {to}")

    async def aclose(self) -> None:
        """Nothing is kept open."""

    async def _redirect(self, session: "_Session", following: Following, *, is_follower: bool) -> None:
        if following.user is None and not is_follower:
            raise NoControl(
                f"nobody knows as whom {following.name} is to follow {following.upstream}",
                hint="set replication_user and replication_password of the cluster in dbre.yaml",
            )
        if is_follower:
            await session.rows("succession_stop_following")
        else:  # whom it fed as a primary has gone, and is forgotten only at the next event; who has not comes back
            for row in await session.rows("feeds"):
                await self._end(session, row["session_id"])
        node = await session.row("succession_node")
        written, applied = sequences_of(str(node["written"] or "")), sequences_of(str(node["applied"] or ""))
        if following.position is not None and not is_follower:
            await self._begin_from(session, following.position)
        elif any(number > applied.get(domain, 0) for domain, number in written.items()):
            await session.rows("succession_count_from_own")
        await session.rows("succession_plain_quotes")
        await session.compose(_change_master(following, is_encrypted=self._access.tls in _ENCRYPTED))
        await session.rows("succession_start_following")

    async def _begin_from(self, session: "_Session", position: str) -> None:
        """Its files are a copy: what a log of before says, which may lie elsewhere, is of files that are gone."""
        if (await session.row("succession_logged"))["logged"]:
            await session.rows("succession_empty_log")
        await session.rows("succession_begin_from", position)

    async def _end_clients(self, session: "_Session") -> None:
        for row in await session.rows("succession_clients"):
            await self._end(session, row["session_id"])

    async def _end(self, session: "_Session", number: object) -> None:
        with suppress(MySQLError):  # it went by itself; whoever stays is seen by the position
            await session.rows("succession_end_client", int(str(number)))

    async def _position(self, session: "_Session") -> LogPosition:
        text = str((await session.row("succession_node"))["written"] or "")
        return LogPosition(text=_shown(text), sequences=sequences_of(text))

    @asynccontextmanager
    async def _session(self, limit_seconds: float | None = None) -> AsyncIterator["_Session"]:
        access, statement = self._access, self._access.timeouts.statement_seconds
        if limit_seconds is not None:
            access = replace(access, timeouts=replace(access.timeouts, statement_seconds=max(statement, limit_seconds)))
        try:
            connection = await open_connection(access, what="succession")
            try:
                if connection.product is not Product.MARIADB:
                    raise Unsupported(
                        f"MySQL at {access.address}: dbre changes the primary of MariaDB, PostgreSQL and Redis only",
                        hint="use group replication's own: SELECT group_replication_set_as_primary(...)",
                    )
                session = _Session(connection, access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS)
                await session.rows("succession_quiet")
                yield session
            finally:
                connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, access) from error


_ENCRYPTED = (TlsMode.REQUIRE, TlsMode.VERIFY_CA, TlsMode.VERIFY_FULL)


class _Session:
    """Named statements over one connection."""

    def __init__(self, connection: Connection, limit_seconds: float) -> None:
        self._connection = connection
        self._limit = limit_seconds

    async def rows(self, name: str, *parameters: object) -> list[Row]:
        return await ask_named(self._connection, name, *parameters, limit_seconds=self._limit)

    async def row(self, name: str) -> Row:
        (found,) = await self.rows(name)
        return found

    async def compose(self, query: NamedQuery) -> None:
        await self._connection.run(query, limit_seconds=self._limit)


def _has(found: Row, position: LogPosition) -> bool:
    have = [sequences_of(str(found[column] or "")) for column in ("applied", "written")]
    wanted = position.sequences or {}
    return all(max(one.get(domain, 0) for one in have) >= number for domain, number in wanted.items())


def _is_towards(upstreams: Sequence[Row], address: Address) -> bool:
    return bool(upstreams) and all(
        (row["source_host"], int(str(row["source_port"] or 0))) == (address.host, address.port) for row in upstreams
    )


def _change_master(following: Following, *, is_encrypted: bool) -> NamedQuery:
    given = {"MASTER_HOST": _literal(following.upstream.host), "MASTER_PORT": str(following.upstream.port)}
    if following.user is not None:
        given["MASTER_USER"] = _literal(following.user)
        given["MASTER_PASSWORD"] = _literal(following.password.reveal() if following.password else "")
    if is_encrypted:
        given["MASTER_SSL"] = "1"
    given |= {"MASTER_CONNECT_RETRY": str(_RETRY_SECONDS), "MASTER_USE_GTID": "slave_pos"}
    text = "CHANGE MASTER TO " + ", ".join(f"{name} = {value}" for name, value in given.items())
    return replace(COMPOSED[0], text=text, parameters=())


def _literal(text: str) -> str:
    """A literal where no backslash escapes anything."""
    return "'" + text.replace("'", "''") + "'"


def _shown(text: object) -> str:
    return printable(str(text or ""), limit=500)
