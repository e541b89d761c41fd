"""Facet ``probe`` for every engine that can keep a heartbeat: deadlines, the kept connection and verdicts, defined once."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from dbre.core.errors import DbreError, UsageError
from dbre.core.pool import Pooled
from dbre.core.stopwatch import Stopwatch
from dbre.core.text import one_line
from dbre.ports.engine import Access, Blame, Timeouts
from dbre.ports.faults import Faults
from dbre.ports.measurement import Measurement
from dbre.ports.probe import Outcome, ProbeReading, ProbeRequest

__all__ = ["Heartbeat", "HeartbeatProbe", "require_columns"]

Connection = TypeVar("Connection", bound=Pooled)


class Heartbeat(Protocol[Connection]):
    """What an engine does on behalf of its probe; errors of its driver and network may leave every method."""

    @property
    def sees_transactions(self) -> bool:
        """Whether a connection with an open transaction is not usable: then it may outlive an error of the server."""
        ...

    async def open(self, access: Access, watch: Stopwatch) -> Connection:
        """Log in within the access's connect timeout; ``watch`` counts the phases ``dns``, ``connect``, ``tls``, ``auth``."""
        ...

    async def prepare(self, connection: Connection) -> None:
        """Make a place for heartbeats where there is none and we may. Raises: Denied naming the grant script, UsageError."""
        ...

    async def see_role(self, connection: Connection, so_far: Measurement) -> None:
        """Find out ``so_far.role``, and ``system_id`` where the server tells one."""
        ...

    async def write(self, connection: Connection, so_far: Measurement) -> None:
        """Store the request's sequence unless a newer one is there; a commit of its own is phase ``commit``."""
        ...

    async def read(self, connection: Connection, so_far: Measurement) -> int | None:
        """The newest sequence; None where there is none, or where it only may not be seen and was not just written."""
        ...


class HeartbeatProbe(Generic[Connection]):
    """Implements ``ports.probe``: one kept connection, outside any pool, and one more while a fresh one is measured."""

    def __init__(self, access: Access, *, heartbeat: Heartbeat[Connection], faults: Faults) -> None:
        self._access = access
        self._heartbeat = heartbeat
        self._faults = faults
        self._failures: tuple[type[Exception], ...] = (*faults.raised, DbreError)
        self._kept: Connection | None = None
        self._kept_for: float | None = None  # the statement limit that the kept connection's session has

    async def prepare(self) -> None:
        """Make a place for heartbeats where there is none and we may; a replica gets it from its primary.

        Raises: Denied naming the grant script, UsageError where the place is somebody else's, Unreachable.
        """
        timeouts = self._access.timeouts
        limit = timeouts.connect_seconds + timeouts.statement_seconds
        try:
            async with asyncio.timeout(limit):
                connection = await self._heartbeat.open(self._access, Stopwatch())
                try:
                    await self._heartbeat.prepare(connection)
                finally:
                    connection.abort()
        except self._faults.raised as error:
            raise self._faults.translate(error, self._access, limit_seconds=limit) from error

    async def measure(self, request: ProbeRequest) -> ProbeReading:
        """Measure once, within ``deadlines.total_seconds``; a failure is a reading.

        A kept connection that the server has closed since the last slot is opened anew within this slot, as a client's pool
        would; one that breaks under a statement is BAD.
        """
        so_far = Measurement(request=request)
        connection: Connection | None = None
        is_sound = False
        try:
            async with asyncio.timeout(request.deadlines.total_seconds):
                connection = await self._connection(so_far)
                reading = await self._ask(connection, so_far)
                is_sound = True
        except self._failures as error:
            reading = self._failure(error, so_far, is_login=connection is None)
        finally:
            # After an error a transaction may still be open: the next slot begins with a clean connection.
            is_clean = is_sound or self._heartbeat.sees_transactions
            if connection is not None and (request.fresh or not is_clean or not connection.is_usable):
                connection.abort()
        return reading

    async def aclose(self) -> None:
        """Close the kept connection without waiting for the server."""
        if self._kept is not None:
            self._kept.abort()
            self._kept = None

    async def _connection(self, so_far: Measurement) -> Connection:
        request, deadlines = so_far.request, so_far.request.deadlines
        is_fitting = self._kept_for == deadlines.statement_seconds
        if not request.fresh and self._kept is not None and is_fitting and self._kept.is_usable:
            return self._kept
        timeouts = Timeouts(
            connect_seconds=deadlines.connect_seconds,
            statement_seconds=deadlines.statement_seconds,
            lock_seconds=min(self._access.timeouts.lock_seconds, deadlines.statement_seconds / 2),
        )
        connection = await self._heartbeat.open(replace(self._access, timeouts=timeouts), so_far.watch)
        if not request.fresh:
            await self.aclose()
            self._kept, self._kept_for = connection, deadlines.statement_seconds
        return connection

    async def _ask(self, connection: Connection, so_far: Measurement) -> ProbeReading:
        so_far.watch.begin("query")
        await self._heartbeat.see_role(connection, so_far)
        wrong = so_far.wrong_role()
        if wrong is not None:
            return wrong
        if so_far.is_write:
            await self._heartbeat.write(connection, so_far)
            so_far.watch.begin("query")
        so_far.heartbeat_sequence = await self._heartbeat.read(connection, so_far)
        return so_far.lost_write() or so_far.reading(Outcome.GOOD)

    def _failure(self, error: Exception, so_far: Measurement, *, is_login: bool) -> ProbeReading:
        described = self._faults.translate(error, self._access, limit_seconds=so_far.request.deadlines.total_seconds)
        if described is error:  # raised before anything was sent: a secret that is gone, a CA file that cannot be read
            return so_far.reading(Outcome.EXCLUDED, "client_error", one_line(described.message))
        verdict = self._faults.classify(error)
        # If the probe's own login is refused, nobody knows that clients can log in: that is no excuse (slo: what burns).
        is_excused = verdict is not None and verdict.blame is Blame.EXCLUDED and (self._faults.judges_logins or not is_login)
        outcome = Outcome.EXCLUDED if is_excused else Outcome.BAD
        return so_far.reading(outcome, self._faults.code(error), described.message)


def require_columns(wanted: Mapping[str, str], found: Mapping[str, str], *, access: Access, faults: Faults) -> None:
    """Make sure that a table of that name is dbre's; one that is not there yet comes from the primary.

    Both map the name of a column to its type. Raises: UsageError.
    """
    if found and not wanted.items() <= found.items():
        raise UsageError(
            f"{faults.product} at {access.address}: table dbre.heartbeat is not dbre's",
            hint="rename it: dbre needs the columns " + ", ".join(f"{name} {kind}" for name, kind in wanted.items()),
            context={"address": str(access.address), "columns": dict(found)},
        )
