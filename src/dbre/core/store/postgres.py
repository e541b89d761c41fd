"""The store in a PostgreSQL database: connections, and the lock against a second control plane."""

from typing import Any

from sqlalchemy import URL, event, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from dbre.core.secrets import Secret, SecretUnavailable
from dbre.core.store.address import PostgresAddress
from dbre.core.store.driver_errors import LOCK_WAIT_SECONDS
from dbre.core.store.errors import ControlPlaneRunning, StoreDenied
from dbre.core.text import printable

__all__ = ["control_plane_session", "holds_control_plane_lock", "postgres_engine", "take_control_plane_lock", "take_write_lock"]

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
IDLE_IN_TRANSACTION_SECONDS = 60
IDLE_WRITER_SECONDS = 10
"""A writer that says nothing for so long is frozen, or cut off: while it has the write lock, everybody's leases run out."""

_POOL = {
    "pool_size": 4,
    "max_overflow": 4,
    "pool_timeout": LOCK_WAIT_SECONDS,
    "pool_pre_ping": True,  # the server may have been restarted since the connection was last used
}

# Two keys of the database's advisory lock space, from "dbre" in ASCII; the second half tells what is locked.
_SPACE = 0x64627265
_CONTROL_PLANE = 1
_WRITER = 2

_TAKE_WRITE_LOCK = text(
    """
    SELECT pg_catalog.pg_advisory_xact_lock(:space, :key),
        pg_catalog.set_config('idle_in_transaction_session_timeout', :idle, true)
    """
)
_TRY_CONTROL_PLANE = text("SELECT pg_catalog.pg_try_advisory_lock(:space, :key) AS taken, pg_catalog.pg_backend_pid() AS pid")
_HOLDER = text(
    """
    SELECT l.pid, a.client_addr::text AS client
    FROM pg_catalog.pg_locks AS l
    LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'advisory'
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND l.classid::bigint = :space
      AND l.objid::bigint = :key
      AND l.granted
    """
)


def postgres_engine(address: PostgresAddress, password: Secret | None, *, purpose: str, lasting: bool = False) -> AsyncEngine:
    """Connections to the database; ``lasting`` is for the one session that holds a lock and is never put back into a pool."""
    url = URL.create(
        "postgresql+psycopg",
        username=address.user,
        host=address.host,
        port=address.port,
        database=address.database,
        query=dict(address.parameters),
    )
    options = {
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "lock_timeout": f"{LOCK_WAIT_SECONDS:g}s",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS}s",
    }
    connect_args = {
        "application_name": f"dbre:{purpose}",
        "connect_timeout": CONNECT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
    }
    pool: dict[str, Any] = {"poolclass": NullPool} if lasting else _POOL
    engine = create_async_engine(url, hide_parameters=True, connect_args=connect_args, **pool)

    @event.listens_for(engine.sync_engine, "do_connect")
    def _log_in(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> None:
        if password is not None:  # revealed here, so that it is in no URL, and a rotated one is used at the next connection
            try:
                parameters["password"] = password.reveal()
            except SecretUnavailable as error:
                raise StoreDenied(
                    f"state store {address}: its password is not to be had: {error.message}", hint=error.hint
                ) from error

    return engine


async def take_write_lock(connection: AsyncConnection) -> None:
    """Wait until no other transaction writes, as BEGIN IMMEDIATE does on SQLite: code written for one store holds on both."""
    await connection.execute(_TAKE_WRITE_LOCK, {"space": _SPACE, "key": _WRITER, "idle": f"{IDLE_WRITER_SECONDS}s"})


async def take_control_plane_lock(connection: AsyncConnection, address: PostgresAddress) -> int:
    """Take the session lock of the only control plane and give the pid of the backend that holds it.

    Raises: ControlPlaneRunning, naming the holder.
    """
    row = (await connection.execute(_TRY_CONTROL_PLANE, {"space": _SPACE, "key": _CONTROL_PLANE})).one()
    if row.taken:
        return int(row.pid)
    holder = await control_plane_session(connection) or "it has just ended"
    raise ControlPlaneRunning(
        f"state store {address} belongs to another control plane: {holder}",
        hint="stop that one first, or give this one a state.url of its own",
        context={"holder": holder},
    )


async def control_plane_session(connection: AsyncConnection) -> str | None:
    """Who holds the lock of the control plane at this moment; None: nobody."""
    row = (await connection.execute(_HOLDER, {"space": _SPACE, "key": _CONTROL_PLANE})).first()
    return None if row is None else printable(f"backend {row.pid}, from {row.client or 'the machine of the server'}")


async def holds_control_plane_lock(connection: AsyncConnection, pid: int) -> bool:
    """Whether the backend ``pid`` holds the control plane's lock at this moment, seen from any session."""
    rows = await connection.execute(_HOLDER, {"space": _SPACE, "key": _CONTROL_PLANE})
    return any(row.pid == pid for row in rows)
