"""Facet ``probe`` of PostgreSQL: one measurement from a client's point of view, phase by phase."""

import asyncio
import dataclasses

import psycopg

from dbre.core.errors import DbreError, Denied, UsageError
from dbre.core.fleet import EndpointPurpose
from dbre.core.stopwatch import Stopwatch
from dbre.core.text import printable
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.facts import WRITE_HEARTBEAT
from dbre.engines.postgres.faults import classify, clean, network_code, translate
from dbre.engines.postgres.grants import grant_script
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS, read_privileges
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Access, Blame, Timeouts
from dbre.ports.probe import Outcome, Phases, ProbeReading, ProbeRequest
from dbre.ports.session import Role

__all__ = ["PostgresProbe"]

_COLUMNS = {"id": "text", "sequence": "bigint", "written_at": "timestamp with time zone"}
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
    system_id: str | None = None
    heartbeat_sequence: int | None = None

    def reading(self, outcome: Outcome, code: str | None = None, reason: str | None = None) -> ProbeReading:
        return ProbeReading(
            outcome=outcome,
            code=code,
            reason=reason,
            phases=self._phases(),
            role=self.role,
            heartbeat_sequence=self.heartbeat_sequence,
            system_id=self.system_id,
        )

    def _phases(self) -> Phases:
        spent = {f"{phase}_seconds": seconds for phase, seconds in self.watch.seconds().items()}
        return Phases(**spent, total_seconds=self.watch.total_seconds())


_CREATED_MEANWHILE = (  # IF NOT EXISTS does not see what another session creates at this moment, and fails in one of these ways
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
)


class PostgresProbe:
    """Implements ``ports.probe``: one kept connection, outside any pool, and one more while a fresh one is measured.

    Transactions run with the server's own defaults (read-only, ``synchronous_commit``), since a client's would.
    """

    def __init__(self, access: Access) -> None:
        self._access = access
        self._kept: Connection | None = None
        self._kept_for: float | None = None  # the statement limit that the kept connection's session has

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
        except (psycopg.Error, OSError) as error:
            raise translate(error, self._access, limit_seconds=limit) from error

    async def _prepare(self, connection: Connection) -> None:
        limit = self._access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        held = await read_privileges(connection, limit_seconds=limit)
        (state,) = await connection.run(named("probe_state"), limit_seconds=limit)
        if WRITE_HEARTBEAT not in held and not state.is_in_recovery:
            for statement in ("heartbeat_schema", "heartbeat_table"):
                try:
                    await connection.run(named(statement), limit_seconds=limit)
                except _CREATED_MEANWHILE:
                    continue
                except psycopg.errors.InsufficientPrivilege as error:
                    raise self._denied(connection.user) from error
            if WRITE_HEARTBEAT not in await read_privileges(connection, limit_seconds=limit):
                raise self._denied(connection.user)
        rows = await connection.run(named("heartbeat_columns"), limit_seconds=limit)
        found = {row.column_name: row.column_type for row in rows}
        if found and not _COLUMNS.items() <= found.items():
            raise UsageError(
                f"PostgreSQL at {self._access.address}: table dbre.heartbeat is not dbre's",
                hint="rename it: dbre needs the columns " + ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items()),
                context={"address": str(self._access.address), "columns": found},
            )

    def _denied(self, user: str) -> Denied:
        return Denied(
            f"PostgreSQL at {self._access.address}: role {printable(user)!r} may neither write dbre.heartbeat nor create it",
            hint="let an administrator run this in the same database:\n" + grant_script(user),
            context={"address": str(self._access.address), "user": user, "grants": grant_script(user)},
        )

    async def measure(self, request: ProbeRequest) -> ProbeReading:
        """Measure once, within ``deadlines.total_seconds``; a failure is a reading.

        A kept connection that the server has closed since the last slot is opened anew within this slot, as a client's pool
        would; one that breaks under a statement is BAD.
        """
        so_far = _Measurement(Stopwatch())
        connection: Connection | None = None
        try:
            async with asyncio.timeout(request.deadlines.total_seconds):
                connection = await self._connection(request, so_far.watch)
                reading = await self._ask(connection, request, so_far)
        except (psycopg.Error, OSError, DbreError) as error:
            reading = self._failure(error, request, so_far)
        finally:
            if connection is not None and (request.fresh or not connection.is_usable):
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
        (state,) = await connection.run(named("probe_state"), limit_seconds=limit)
        so_far.role = Role.REPLICA if state.is_in_recovery else Role.PRIMARY
        if connection.system_id is None and state.may_read_control:
            (system,) = await connection.run(named("probe_system"), limit_seconds=limit)
            connection.system_id = system.system_id
        so_far.system_id = connection.system_id
        wanted = _WANTED_ROLE[request.purpose]
        if so_far.role is not wanted:
            return so_far.reading(Outcome.BAD, "wrong_role", f"the server is a {so_far.role}, and a {wanted} is needed")
        if request.purpose is EndpointPurpose.WRITE:
            await self._write(connection, request, so_far)
            if so_far.heartbeat_sequence is None or so_far.heartbeat_sequence < request.sequence:
                seen = so_far.heartbeat_sequence
                return so_far.reading(Outcome.BAD, "lost_write", f"committed sequence {request.sequence}, read back {seen}")
        elif state.may_read_heartbeat:
            await self._read(connection, request, so_far)
        return so_far.reading(Outcome.GOOD)

    async def _write(self, connection: Connection, request: ProbeRequest, so_far: _Measurement) -> None:
        limit = request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
        await connection.run(named("begin"), limit_seconds=limit)
        await connection.run(named("heartbeat_write"), request.heartbeat_id, request.sequence, limit_seconds=limit)
        so_far.watch.begin("commit")
        await connection.run(named("commit"), limit_seconds=limit)
        so_far.watch.begin("query")
        await self._read(connection, request, so_far)

    async def _read(self, connection: Connection, request: ProbeRequest, so_far: _Measurement) -> None:
        limit = request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
        rows = await connection.run(named("heartbeat_read"), request.heartbeat_id, limit_seconds=limit)
        so_far.heartbeat_sequence = rows[0].sequence if rows else None

    def _failure(self, error: BaseException, request: ProbeRequest, so_far: _Measurement) -> ProbeReading:
        if isinstance(error, DbreError):  # raised before anything was sent: a secret that is gone, a certificate not named
            return so_far.reading(Outcome.EXCLUDED, error.code, clean(error.message))
        verdict = classify(error)
        blame = verdict.blame if verdict else Blame.BAD
        code = (verdict.code if verdict else None) or network_code(error)
        described = translate(error, self._access, limit_seconds=request.deadlines.total_seconds)
        outcome = Outcome.EXCLUDED if blame is Blame.EXCLUDED else Outcome.BAD
        return so_far.reading(outcome, code, described.message)
