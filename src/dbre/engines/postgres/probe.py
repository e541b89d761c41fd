"""Facet ``probe`` of PostgreSQL: how it keeps a heartbeat."""

import psycopg

from dbre.core.errors import Denied
from dbre.core.stopwatch import Stopwatch
from dbre.core.text import quoted
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.facts import WRITE_HEARTBEAT
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.grants import grant_script
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS, read_privileges
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Access
from dbre.ports.heartbeat_probe import require_columns
from dbre.ports.measurement import Measurement
from dbre.ports.session import Role

__all__ = ["PostgresHeartbeat"]

_COLUMNS = {"id": "text", "sequence": "bigint", "written_at": "timestamp with time zone"}
_CREATED_MEANWHILE = (  # IF NOT EXISTS does not see what another session creates at this moment, and fails in one of these ways
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateObject,
)


class PostgresHeartbeat:
    """Implements ``ports.heartbeat_probe.Heartbeat`` with a row of table ``dbre.heartbeat``.

    Transactions run with the server's own defaults (read-only, ``synchronous_commit``), since a client's would.
    """

    sees_transactions = True

    def __init__(self, access: Access) -> None:
        self._access = access

    async def open(self, access: Access, watch: Stopwatch) -> Connection:
        """Log in; ``access`` may have other timeouts."""
        return await open_connection(access, what="probe", watch=watch)

    async def prepare(self, connection: Connection) -> None:
        """Create the heartbeat table where it is missing and we may. Raises: Denied naming the grant script, UsageError."""
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
        require_columns(_COLUMNS, found, access=self._access, faults=FAULTS)

    def _denied(self, user: str) -> Denied:
        return Denied(
            f"PostgreSQL at {self._access.address}: role {quoted(user)} may neither write dbre.heartbeat nor create it",
            hint="let an administrator run this in the same database:\n" + grant_script(user),
            context={"address": str(self._access.address), "user": user, "grants": grant_script(user)},
        )

    async def see_role(self, connection: Connection, so_far: Measurement) -> None:
        """Ask for the role, once a connection for the system identifier, and whether the heartbeat may be read."""
        limit = _limit(so_far)
        (state,) = await connection.run(named("probe_state"), limit_seconds=limit)
        so_far.role = Role.REPLICA if state.is_in_recovery else Role.PRIMARY
        connection.may_read_heartbeat = state.may_read_heartbeat
        if connection.system_id is None and state.may_read_control:
            (system,) = await connection.run(named("probe_system"), limit_seconds=limit)
            connection.system_id = system.system_id
        so_far.system_id = connection.system_id

    async def write(self, connection: Connection, so_far: Measurement) -> None:
        """Write in a transaction of its own."""
        limit, request = _limit(so_far), so_far.request
        await connection.run(named("begin"), limit_seconds=limit)
        await connection.run(named("heartbeat_write"), request.heartbeat_id, request.sequence, limit_seconds=limit)
        so_far.watch.begin("commit")
        await connection.run(named("commit"), limit_seconds=limit)

    async def read(self, connection: Connection, so_far: Measurement) -> int | None:
        """Read the row of the request's heartbeat, if we may."""
        if not so_far.is_write and not connection.may_read_heartbeat:
            return None
        rows = await connection.run(named("heartbeat_read"), so_far.request.heartbeat_id, limit_seconds=_limit(so_far))
        return rows[0].sequence if rows else None


def _limit(so_far: Measurement) -> float:
    return so_far.request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
