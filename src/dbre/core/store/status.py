"""What is known of a state store without opening it for use; works on one that is missing, damaged or of another version."""

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dbre.core.errors import StoreError
from dbre.core.secrets import Secret
from dbre.core.store.address import PostgresAddress, SqliteAddress, StoreAddress, parse_store_url
from dbre.core.store.errors import StoreCorrupt
from dbre.core.store.limits import OPEN_SECONDS, limited
from dbre.core.store.mounts import file_system_type, place_warnings
from dbre.core.store.postgres import control_plane_session, postgres_engine
from dbre.core.store.schema import check_revision, head_revision, read_revision
from dbre.core.store.sqlite import control_plane_holder, reader_engine, require_file
from dbre.core.text import printable

__all__ = ["StoreStatus", "inspect_store"]


@dataclass(slots=True, kw_only=True)
class StoreStatus:
    """A look at a state store; ``problem`` is what opening it would raise."""

    url: str
    dialect: str
    head: str  # the revision that this dbre needs
    revision: str | None = None
    control_plane: str | None = None  # who runs on it now; None: nobody
    size_bytes: int | None = None
    log_bytes: int | None = None  # SQLite: the write-ahead log beside the file
    free_bytes: int | None = None  # SQLite: on its file system
    file_mode: str | None = None  # SQLite: "0600"
    file_system: str | None = None
    server_version: str | None = None  # of SQLite or PostgreSQL
    integrity: str | None = None  # SQLite: "ok" or the first damage; None: not checked
    warnings: list[str] = field(default_factory=list)
    problem: StoreError | None = None


async def inspect_store(
    url: str, *, password: Secret | None = None, directory: Path | None = None, check: bool = False
) -> StoreStatus:
    """Look at a store; ``check`` reads all of a SQLite file for damage. Raises: StoreUrlInvalid; all else is a ``problem``."""
    address = parse_store_url(url, directory=directory)
    dialect = "sqlite" if isinstance(address, SqliteAddress) else "postgresql"
    status = StoreStatus(url=str(address), dialect=dialect, head=head_revision())
    try:
        if isinstance(address, SqliteAddress):
            _look_at_file(status, address)
            require_file(address)
            engine = reader_engine(address)
        else:
            engine = postgres_engine(address, password, purpose="status", lasting=True)
        await _look_inside(status, engine, address, check=check)
    except StoreError as error:
        status.problem = error
    return status


def _look_at_file(status: StoreStatus, address: SqliteAddress) -> None:
    status.control_plane = control_plane_holder(address)
    status.file_system = file_system_type(address.path.parent)
    status.warnings.extend(place_warnings(address.path))
    try:
        free = os.statvfs(address.path.parent)
        status.free_bytes = free.f_bavail * free.f_frsize
        found = address.path.stat()
    except OSError:
        return  # require_file says what is wrong
    status.size_bytes = found.st_size
    status.file_mode = f"{stat.S_IMODE(found.st_mode):04o}"
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        status.warnings.append(
            f"{printable(str(address.path))} has mode {status.file_mode}: other users may read or write it; chmod 0600"
        )
    log = address.path.with_name(address.path.name + "-wal")
    status.log_bytes = log.stat().st_size if log.exists() else 0


async def _look_inside(status: StoreStatus, engine: AsyncEngine, address: StoreAddress, *, check: bool) -> None:
    # A check reads the whole file, however long that takes.
    seconds = None if check and isinstance(address, SqliteAddress) else OPEN_SECONDS
    try:
        async with limited(address, seconds, what="looking at it"), engine.connect() as connection, connection.begin():
            if isinstance(address, PostgresAddress):
                await _look_at_server(status, connection)
            else:
                status.server_version = str((await connection.execute(text("SELECT sqlite_version()"))).scalar_one())
            status.revision = await read_revision(connection, address)
            if check and isinstance(address, SqliteAddress):
                status.integrity = printable(str((await connection.execute(text("PRAGMA quick_check(1)"))).scalar_one()))
    finally:
        await engine.dispose()
    check_revision(status.revision, address)
    if status.integrity not in (None, "ok"):
        raise StoreCorrupt(
            f"state store {address} is damaged: {status.integrity}",
            hint="stop dbre, keep the file aside and put a copy made by `dbre db backup` in its place",
        )


async def _look_at_server(status: StoreStatus, connection: AsyncConnection) -> None:
    statement = text(
        """
        SELECT pg_catalog.current_setting('server_version') AS version,
               pg_catalog.pg_database_size(pg_catalog.current_database()) AS size
        """
    )
    row = (await connection.execute(statement)).one()
    status.server_version, status.size_bytes = str(row.version), int(row.size)
    status.control_plane = await control_plane_session(connection)
