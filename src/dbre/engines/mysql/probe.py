"""Facet ``probe`` of MySQL and MariaDB: how they keep a heartbeat."""

from asyncmy.errors import MySQLError

from dbre.core.errors import Denied
from dbre.core.stopwatch import Stopwatch
from dbre.engines.mysql.connection import Connection, open_connection
from dbre.engines.mysql.facts import WRITE_HEARTBEAT
from dbre.engines.mysql.faults import FAULTS, error_number
from dbre.engines.mysql.grants import grant_script
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named, read_privileges
from dbre.engines.mysql.session import role_of
from dbre.ports.engine import Access
from dbre.ports.heartbeat_probe import require_columns
from dbre.ports.measurement import Measurement
from dbre.ports.session import Role

__all__ = ["MySqlHeartbeat"]

_COLUMNS = {"id": "varchar", "sequence": "bigint", "written_at": "datetime"}
_PRIVILEGE_MISSING = {1044, 1142, 1227}
_NO_HEARTBEAT = {1044, 1049, 1142, 1146}  # not granted, or not yet created: reading works, there is only nothing to compare


class MySqlHeartbeat:
    """Implements ``ports.heartbeat_probe.Heartbeat`` with a row of table ``dbre.heartbeat``."""

    sees_transactions = False

    def __init__(self, access: Access) -> None:
        self._access = access

    async def open(self, access: Access, watch: Stopwatch) -> Connection:
        """Log in; ``access`` may have other timeouts."""
        return await open_connection(access, what="probe", watch=watch)

    async def prepare(self, connection: Connection) -> None:
        """Create the heartbeat table where it is missing and we may. Raises: Denied naming the grant script, UsageError."""
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
        require_columns(_COLUMNS, found, access=self._access, faults=FAULTS)

    def _denied(self) -> Denied:
        user = self._access.user or "the login"
        return Denied(
            f"MySQL at {self._access.address}: user {user!r} may neither write dbre.heartbeat nor create it",
            hint="let an administrator run this on the primary:\n" + grant_script(user),
            context={"address": str(self._access.address), "user": self._access.user, "grants": grant_script(user)},
        )

    async def see_role(self, connection: Connection, so_far: Measurement) -> None:
        """Ask for the role; there is no system identifier that every login may read."""
        (state,) = await ask_named(connection, "probe_state", limit_seconds=_limit(so_far))
        so_far.role = role_of(state)

    async def write(self, connection: Connection, so_far: Measurement) -> None:
        """Write in a transaction of its own."""
        limit, request = _limit(so_far), so_far.request
        await ask_named(connection, "begin", limit_seconds=limit)
        await ask_named(connection, "heartbeat_write", request.heartbeat_id, request.sequence, limit_seconds=limit)
        so_far.watch.begin("commit")
        await ask_named(connection, "commit", limit_seconds=limit)

    async def read(self, connection: Connection, so_far: Measurement) -> int | None:
        """Read the row of the request's heartbeat."""
        try:
            rows = await ask_named(connection, "heartbeat_read", so_far.request.heartbeat_id, limit_seconds=_limit(so_far))
        except MySQLError as error:
            if so_far.is_write or error_number(error) not in _NO_HEARTBEAT:
                raise
            return None
        return int(rows[0]["sequence"]) if rows else None


def _limit(so_far: Measurement) -> float:
    return so_far.request.deadlines.statement_seconds + STATEMENT_GRACE_SECONDS
