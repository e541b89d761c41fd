"""Facet ``succession`` of PostgreSQL: checkpoints, promotion, whom to follow. It changes things, in sessions of its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from psycopg import sql

from dbre.core.errors import Unsupported
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.core.text import printable
from dbre.core.units import format_bytes, format_duration
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.conninfo import conninfo_for, leads_to
from dbre.engines.postgres.entry import entry_of
from dbre.engines.postgres.facts import REDIRECT
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS
from dbre.engines.postgres.queries import named
from dbre.engines.postgres.standing import standing_of
from dbre.ports.engine import Access, Facet, NamedQuery, Parameter
from dbre.ports.server_process import until
from dbre.ports.succession import Following, Manner, NotDone, NotReplayed, Obstacle, Standing
from dbre.ports.topology import LogPosition

__all__ = ["COMPOSED", "PostgresSuccession"]

_ORIGIN = "postgres/succession.py"

COMPOSED = (
    NamedQuery(
        name="succession_checkpoint",
        facet=Facet.SUCCESSION,
        versions=">=15",
        privilege="pg_checkpoint",
        text="CHECKPOINT",
        source=f"{_ORIGIN}:succession_checkpoint",
    ),
    NamedQuery(
        name="succession_redirect",
        facet=Facet.SUCCESSION,
        versions=">=15",
        privilege=REDIRECT,
        text="ALTER SYSTEM SET $1 TO $2",
        source=f"{_ORIGIN}:succession_redirect",
        parameters=(Parameter(name="name", type="identifier"), Parameter(name="value", type="literal")),
    ),
)
"""Statements that cannot be prepared: a command, and one whose name and value psycopg composes as identifier and literal."""


class PostgresSuccession:
    """Implements ``ports.succession.SuccessionPort``; one session is kept, for promoting must not wait for a login."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._kept: Connection | None = None
        self._lock = asyncio.Lock()

    async def standing(self) -> Standing:
        """What this server is."""
        return await standing_of(self._rows)

    async def checkpoint(self, *, limit_seconds: float) -> None:
        """CHECKPOINT; on a standby a restartpoint. What was written meanwhile is written by the second, short one."""
        patient = replace(self._access, timeouts=replace(self._access.timeouts, statement_seconds=limit_seconds))
        async with self._session(patient) as connection:
            for _ in range(2):
                await connection.run(COMPOSED[0], limit_seconds=limit_seconds + STATEMENT_GRACE_SECONDS)

    async def close_to_writes(self, *, limit_seconds: float) -> LogPosition:  # noqa: ARG002 - the port's signature
        """Not possible: whoever may change the setting that makes transactions read-only may change it back."""
        raise Unsupported(
            f"PostgreSQL at {self._access.address} cannot be closed to writes for certain while it runs",
            hint="stop its process: the inventory says how with control of the instance",
        )

    async def is_closed(self) -> bool:
        """Never."""
        return False

    async def open_to_writes(self) -> None:
        """Nothing: it was never closed."""

    async def reached(self, position: LogPosition) -> bool:
        """Whether this standby has replayed it; one that was promoted keeps what it had replayed."""
        found = await self._row("succession_progress")
        return _has(found, position)

    async def wait_reached(self, position: LogPosition, *, limit_seconds: float) -> LogPosition:
        """Look every few milliseconds: these are milliseconds in which nobody can write."""
        found: Any = None

        async def is_there() -> bool:
            nonlocal found
            found = await self._row("succession_progress")
            return _has(found, position)

        if not await until(is_there, limit_seconds):
            missing = (position.offset or 0) - (found.replayed_offset or 0)
            unreceived = (position.offset or 0) - (found.received_offset or 0)
            why = "replay is paused" if found.is_paused else f"{format_bytes(max(0, unreceived))} were never received"
            raise NotReplayed(
                f"PostgreSQL at {self._access.address} has not replayed {position.text} after "
                f"{format_duration(limit_seconds)}: {format_bytes(max(0, missing))} are missing; {why}",
                context={"missing_bytes": max(0, missing), "position": position.text},
            )
        return LogPosition(text=str(found.replayed_text), offset=found.replayed_offset)

    async def promote(self, *, limit_seconds: float) -> None:
        """pg_promote, and look every few milliseconds whether recovery has ended."""
        if not (await self._row("succession_progress")).is_in_recovery:
            return
        await self._row("succession_promote")

        async def is_primary() -> bool:
            return not (await self._row("succession_progress")).is_in_recovery

        if not await until(is_primary, limit_seconds):
            raise NotDone(
                f"PostgreSQL at {self._access.address} is still a standby {format_duration(limit_seconds)} after pg_promote",
                hint="see its log; a slot synchronisation worker that waits for a dead primary holds a promotion up",
            )

    async def manner(self) -> Manner | None:
        """Its ``primary_conninfo``, which a promotion leaves in place."""
        found = await self._row("succession_manner")
        return Manner(text=Secret(found.conninfo), slot=found.slot or None) if found.conninfo else None

    async def differences(self, other: Access, *, limit: int, limit_seconds: float) -> None:
        """Nothing: the log tells what is lost."""

    async def lets_in(self, following: Following) -> Obstacle | None:
        """Log in for replication as a follower would, and leave again."""
        return await entry_of(self._access, following)

    async def keep_log_for(self, slot: str) -> bool:
        """A physical slot that reserves from now on; a standby can have one, too."""
        found = next((one for one in await self._rows("succession_slots") if one.name == slot), None)
        if found is not None and (found.is_active or not found.is_lost):
            return False
        if found is not None:  # max_slot_wal_keep_size was reached: nobody is ever served by it again
            await self._row("succession_drop", slot)
        await self._row("succession_keep", slot)
        return True

    async def drop_log_for(self, slots: Sequence[str]) -> None:
        """Drop physical slots that nobody uses."""
        for one in await self._rows("succession_slots"):
            if one.name in slots and not one.is_active:
                await self._row("succession_drop", one.name)

    async def follow(self, following: Following, *, limit_seconds: float) -> None:
        """Change ``primary_conninfo`` and reload: since version 13 the receiver goes over without a restart."""
        if not (await self._row("succession_progress")).is_in_recovery:
            raise Unsupported(
                f"PostgreSQL at {self._access.address} is a primary, and follows only after a restart as a standby",
                hint="stop it, and start it as a follower",
            )
        wanted, now = conninfo_for(following).reveal(), await self._row("succession_manner")
        if not leads_to(now.conninfo, wanted) or (now.slot or None) != following.slot:
            async with self._session(self._access) as connection:
                limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
                for name, value in (("primary_conninfo", wanted), ("primary_slot_name", following.slot or "")):
                    await connection.run(_redirect(name, value), limit_seconds=limit)
                await connection.run(named("succession_reload"), limit_seconds=limit)
        await self._wait_receiving(following.upstream, limit_seconds)

    async def hand_over(self, to: Address, *, limit_seconds: float) -> None:  # noqa: ARG002 - the port's signature
        """There is no such command."""
        raise Unsupported(f"PostgreSQL at {self._access.address} has no command that hands its place to {to}")

    async def aclose(self) -> None:
        """Close the session; waits for nobody."""
        if self._kept is not None:
            self._kept.abort()
            self._kept = None

    async def _wait_receiving(self, upstream: Address, limit_seconds: float) -> None:
        seen = "no receiver runs"

        async def is_receiving() -> bool:
            nonlocal seen
            rows = await self._rows("succession_receiver")
            if rows:
                seen = f"its receiver is {printable(rows[0].status)} from {printable(rows[0].host or '')}:{rows[0].port}"
            # The one of before streams on for a moment after the reload, often from the same port of another machine.
            return any(one.status == "streaming" and (one.host, one.port) == (upstream.host, upstream.port) for one in rows)

        if not await until(is_receiving, limit_seconds):
            raise NotDone(
                f"PostgreSQL at {self._access.address} does not receive from {upstream} after "
                f"{format_duration(limit_seconds)}: {seen}",
                hint="see its log, and that pg_hba.conf of the upstream lets replication in",
            )

    async def _row(self, name: str, *parameters: object) -> Any:
        (found,) = await self._rows(name, *parameters)
        return found

    async def _rows(self, name: str, *parameters: object) -> Sequence[Any]:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        async with self._lock:
            try:
                if self._kept is None or not self._kept.is_usable:
                    await self.aclose()
                    self._kept = await open_connection(self._access, what="succession")
                return await self._kept.run(named(name, version=self._kept.version), *parameters, limit_seconds=limit)
            except FAULTS.raised as error:
                await self.aclose()
                raise FAULTS.translate(error, self._access) from error

    @asynccontextmanager
    async def _session(self, access: Access) -> AsyncIterator[Connection]:
        try:
            connection = await open_connection(access, what="succession")
            try:
                yield connection
            finally:
                connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, access) from error


def _has(found: Any, position: LogPosition) -> bool:
    return found.replayed_offset is not None and position.offset is not None and found.replayed_offset >= position.offset


def _redirect(name: str, value: str) -> NamedQuery:
    text = sql.SQL("ALTER SYSTEM SET {name} TO {value}").format(name=sql.Identifier(name), value=sql.Literal(value))
    return replace(COMPOSED[1], text=text.as_string(None), parameters=())
