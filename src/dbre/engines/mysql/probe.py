"""Facet ``probe`` of MySQL and MariaDB: one measurement from a client's point of view, phase by phase."""

import asyncio
import dataclasses

from asyncmy.errors import MySQLError

from dbre.core.errors import Denied, Unsupported, UsageError
from dbre.core.fleet import EndpointPurpose
from dbre.core.stopwatch import Stopwatch
from dbre.engines.mysql.connection import Connection, open_connection
from dbre.engines.mysql.facts import WRITE_HEARTBEAT
from dbre.engines.mysql.faults import classify, error_number, network_code, translate
from dbre.engines.mysql.grants import grant_script
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named, read_privileges
from dbre.engines.mysql.session import role_of
from dbre.ports.engine import Access, Blame, Timeouts
from dbre.ports.probe import Outcome, Phases, ProbeReading, ProbeRequest
from dbre.ports.session import Role

__all__ = ["MySqlProbe"]

_COLUMNS = {"id": "varchar", "sequence": "bigint", "written_at": "datetime"}
_PRIVILEGE_MISSING = {1044, 1142, 1227}
_NO_HEARTBEAT = {1044, 1049, 1142, 1146}  # not granted, or not yet created: reading works, there is only nothing to compare
_WANTED_ROLE = {
    EndpointPurpose.WRITE: Role.PRIMARY,
    EndpointPurpose.READ: Role.PRIMARY,
    EndpointPurpose.REPLICA: Role.REPLICA,
}


@dataclasses.dataclass(slots=True)
class _Measurement:
    """What is known so far, so that a probe that is cut off still tells it."""

    watch: Stopwatch
    role: Role | None = None
    heartbeat_sequence: int | None = None

    def reading(self, outcome: Outcome, code: str | None = None, reason: str | None = None) -> ProbeReading:
        spent = {f"{phase}_seconds": seconds for phase, seconds in self.watch.seconds().items()}
        return ProbeReading(
            outcome=outcome,
            code=code,
            reason=reason,
            phases=Phases(**spent, total_seconds=self.watch.total_seconds()),
            role=self.role,
            heartbeat_sequence=self.heartbeat_sequence,
        )


class MySqlProbe:
    """Implements ``ports.probe``: one kept connection, outside any pool, and one more while a fresh one is measured."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._kept: Connection | None = None
        self._kept_for: float | None = None  # the statement limit that the kept connection has

    async def prepare(self) -> None:
        """Create the heartbeat table where it is missing and we may; a replica gets it from its primary.

        Raises: Denied naming the grant script, Unreachable.
        """
        timeouts = self._access.timeouts
        limit = timeouts.connect_seconds + timeouts.statement_seconds
        try:
            async with asyncio.timeout(limit):
                connection = await open_connection(self._access, what="probe")
                try:
                    await self._prepare(connection)
                finally:
                    connection.abort()
        except (MySQLError, OSError) as error:
            raise translate(error, self._access, limit_seconds=limit) from error

    async def _prepare(self, connection: Connection) -> None:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        held = await read_privileges(connection, limit_seconds=limit)
        (state,) = await ask_named(connection, "probe_state", limit_seconds=limit)
        rows = await ask_named(connection, "heartbeat_columns", limit_seconds=limit)
        if not rows and role_of(state) is Role.PRIMARY:
            try:
                await ask_named(connection, "heartbeat_schema", limit_seconds=limit)
                await ask_named(connection, "heartbeat_table", limit_seconds=limit)
            except MySQLError as error:
                if error_number(error) in _PRIVILEGE_MISSING:
                    raise self._denied() from error
                raise
            rows = await ask_named(connection, "heartbeat_columns", limit_seconds=limit)
        if WRITE_HEARTBEAT not in held and role_of(state) is Role.PRIMARY:
            raise self._denied()
        found = {row["column_name"]: row["column_type"] for row in rows}
        if found and not _COLUMNS.items() <= found.items():
            raise UsageError(
                f"MySQL at {self._access.address}: table dbre.heartbeat is not dbre's",
                hint="rename it: dbre needs the columns " + ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items()),
                context={"address": str(self._access.address), "columns": found},
            )

    def _denied(self) -> Denied:
        user = self._access.user or "the login"
        return Denied(
            f"MySQL at {self._access.address}: user {user!r} may neither write dbre.heartbeat nor create it",
            hint="let an administrator run this on the primary:\n" + grant_script(user),
            context={"address": str(self._access.address), "user": self._access.user, "grants": grant_script(user)},
        )

    async def measure(self, request: ProbeRequest) -> ProbeReading:
        """Measure once, within ``deadlines.total_seconds``; a failure is a reading.

        A kept connection that the server has closed since the last slot is opened anew within this slot, as a client's pool
        would; one that breaks under a statement is BAD.
        """
        so_far = _Measurement(Stopwatch())
        connection: Connection | None = None
        is_sound = False
        try:
            async with asyncio.timeout(request.deadlines.total_seconds):
                connection = await self._connection(request, so_far.watch)
                reading = await self._ask(connection, request, so_far)
                is_sound = True
        except (UsageError, Unsupported) as error:
            reading = so_far.reading(Outcome.EXCLUDED, "client_error", error.message)
        except (MySQLError, OSError) as error:
            reading = self._failure(error, request, so_far, is_login=connection is None)
        finally:
            # After an error a transaction may still be open: the next slot begins with a clean connection.
            if connection is not None and (request.fresh or not is_sound):
                connection.abort()
        return reading

    async def aclose(self) -> None:
        """Close the kept connection without waiting for the server."""
        if self._kept is not None:
            self._kept.abort()
            self._kept = None

    async def _connection(self, request: ProbeRequest, watch: Stopwatch) -> Connection:
        deadlines = request.deadlines
        is_fitting = self._kept_for == deadlines.statement_seconds
        if not request.fresh and self._kept is not None and is_fitting and self._kept.is_usable:
            return self._kept
        timeouts = Timeouts(
            connect_seconds=deadlines.connect_seconds,
            statement_seconds=deadlines.statement_seconds,
            lock_seconds=min(self._access.timeouts.lock_seconds, deadlines.statement_seconds / 2),
        )
        connection = await open_connection(dataclasses.replace(self._access, timeouts=timeouts), what="probe", watch=watch)
        if not request.fresh:
            await self.aclose()
            self._kept, self._kept_for = connection, deadlines.statement_seconds
        return connection

    async def _ask(self, connection: Connection, request: ProbeRequest, so_far: _Measurement) -> ProbeReading:
        limit = request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
        so_far.watch.begin("query")
        (state,) = await ask_named(connection, "probe_state", limit_seconds=limit)
        so_far.role = role_of(state)
        wanted = _WANTED_ROLE[request.purpose]
        if so_far.role is not wanted:
            return so_far.reading(Outcome.BAD, "wrong_role", f"the server is a {so_far.role}, and a {wanted} is needed")
        if request.purpose is EndpointPurpose.WRITE:
            await self._write(connection, request, so_far.watch)
            seen = so_far.heartbeat_sequence = await self._read(connection, request)
            if seen is None or seen < request.sequence:
                return so_far.reading(Outcome.BAD, "lost_write", f"committed sequence {request.sequence}, read back {seen}")
        else:
            try:
                so_far.heartbeat_sequence = await self._read(connection, request)
            except MySQLError as error:
                if error_number(error) not in _NO_HEARTBEAT:
                    raise
        return so_far.reading(Outcome.GOOD)

    async def _write(self, connection: Connection, request: ProbeRequest, watch: Stopwatch) -> None:
        limit = request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
        await ask_named(connection, "begin", limit_seconds=limit)
        await ask_named(connection, "heartbeat_write", request.heartbeat_id, request.sequence, limit_seconds=limit)
        watch.begin("commit")
        await ask_named(connection, "commit", limit_seconds=limit)
        watch.begin("query")

    async def _read(self, connection: Connection, request: ProbeRequest) -> int | None:
        limit = request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
        rows = await ask_named(connection, "heartbeat_read", request.heartbeat_id, limit_seconds=limit)
        return int(rows[0]["sequence"]) if rows else None

    def _failure(self, error: BaseException, request: ProbeRequest, so_far: _Measurement, *, is_login: bool) -> ProbeReading:
        verdict = classify(error)
        blame = verdict.blame if verdict else Blame.BAD
        code = (verdict.code if verdict else None) or network_code(error)
        described = translate(error, self._access, limit_seconds=request.deadlines.total_seconds)
        # If the probe's own login is refused, nobody knows that clients can log in: that is no excuse (slo: what burns).
        is_excused = blame is Blame.EXCLUDED and not is_login
        outcome = Outcome.EXCLUDED if is_excused else Outcome.BAD
        return so_far.reading(outcome, code, described.message)
