"""What an error of a database driver means for the state store: the one place where driver errors become ours."""

import os
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from dbre.core.errors import StoreError
from dbre.core.store.address import PostgresAddress, SqliteAddress, StoreAddress
from dbre.core.store.errors import (
    ConstraintViolated,
    NotAStore,
    StoreBusy,
    StoreCorrupt,
    StoreDenied,
    StoreFull,
    StoreMissing,
    StoreNotWritable,
    StoreTimeout,
    StoreUnreachable,
)
from dbre.core.text import printable, quoted
from dbre.core.units import format_bytes

__all__ = ["LOCK_WAIT_SECONDS", "sqlite_error", "store_error"]

LOCK_WAIT_SECONDS = 5.0
"""How long a transaction waits for another process to finish writing (SQLite: busy_timeout; PostgreSQL: lock_timeout)."""

_RESTORE_HINT = (
    "stop dbre, move the file and its -wal and -shm files aside (do not delete them), put a copy made by `dbre db backup` "
    "in their place, or start dbre without the file to begin anew"
)


def store_error(error: SQLAlchemyError, address: StoreAddress) -> StoreError:
    """The error to raise in place of a driver's; the caller chains the original as its cause."""
    if isinstance(error, PoolTimeout):
        return StoreBusy(
            f"state store {address}: every connection has been in use for too long", hint="retry; fewer readers at once help"
        )
    original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    cause = getattr(original, "__cause__", None) or original  # SQLAlchemy's asyncio layer emulates the driver's classes
    if isinstance(address, SqliteAddress):
        return sqlite_error(cause, address)
    return _postgres_error(cause, address)


def sqlite_error(error: BaseException, address: SqliteAddress) -> StoreError:
    """The error to raise in place of one from the ``sqlite3`` module."""
    number = getattr(error, "sqlite_errorcode", None) or 0
    name = getattr(error, "sqlite_errorname", None) or type(error).__name__
    subject = f"state store {address}"
    says = f"SQLite says {name}: {printable(str(error))}"
    context = {"path": str(address.path), "sqlite_error": name}
    match number & 0xFF:  # extended codes carry the primary one in the low byte
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_FORMAT:
            return StoreCorrupt(f"{subject} is damaged or is no SQLite database; {says}", hint=_RESTORE_HINT, context=context)
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusy(
                f"{subject} was locked by another process for longer than {LOCK_WAIT_SECONDS:g} s",
                hint="retry; `fuser` on the file names the process that holds it",
                context=context,
            )
        case sqlite3.SQLITE_FULL:
            return _sqlite_full(address, context)
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
            return _not_writable(address, says, context)
        case sqlite3.SQLITE_CANTOPEN:
            return _cannot_open(address, says, context)
        case sqlite3.SQLITE_CONSTRAINT:
            return ConstraintViolated(f"{subject}: {says}", context=context)
        case sqlite3.SQLITE_INTERRUPT:
            return StoreTimeout(f"{subject}: a statement ran longer than its transaction may", hint="retry", context=context)
        case sqlite3.SQLITE_IOERR if _free_bytes(address.path) < 64 * 1024:
            return _sqlite_full(address, context)
    return StoreError(
        f"{subject} failed; {says}",
        hint="`dbre db status` looks at the store; the disk's own log may say more",
        context=context,
    )


def _sqlite_full(address: SqliteAddress, context: dict[str, str]) -> StoreFull:
    free = _free_bytes(address.path)
    return StoreFull(
        f"state store {address} cannot grow: {format_bytes(free)} are free in {printable(str(address.path.parent))}",
        hint="free some space there; nothing was written in part, and dbre goes on by itself",
        context={**context, "free_bytes": free},
    )


def _not_writable(address: SqliteAddress, says: str, context: dict[str, str]) -> StoreNotWritable:
    return StoreNotWritable(
        f"state store {address} is read-only; {says}",
        hint="let the user that runs dbre write the file and its directory, on a file system that is mounted for writing",
        context=context,
    )


def _cannot_open(address: SqliteAddress, says: str, context: dict[str, str]) -> StoreError:
    directory = address.path.parent
    if address.path.is_dir():
        return NotAStore(f"state store {address} is a directory", hint="name a file: sqlite:///state/dbre.db", context=context)
    if address.path.exists() and not os.access(address.path, os.R_OK):
        return StoreDenied(
            f"state store {address} may not be read by user {os.geteuid()}; {says}",
            hint="run dbre as its owner",
            context=context,
        )
    if not os.access(directory, os.W_OK):
        return _not_writable(address, says, context)
    return StoreError(
        f"state store {address} cannot be opened; {says}", hint=f"look at {printable(str(directory))}", context=context
    )


def _free_bytes(path: Path) -> int:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return 1 << 62  # unknown: blame the disk's fullness on nothing
    return found.f_bavail * found.f_frsize


def _postgres_error(error: BaseException, address: PostgresAddress) -> StoreError:
    state = getattr(error, "sqlstate", None)
    diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)  # without DETAIL, which repeats values of rows
    says = printable(str(diagnosis or error).strip(), limit=300)
    subject = f"state store {address}"
    context = {"sqlstate": state}
    if state is None or state[:2] == "08" or state in ("57P01", "57P02", "57P03", "53300"):
        return _no_connection(subject, says, context)
    if state[:2] == "28" or state == "42501":
        return StoreDenied(
            f"{subject} refuses; PostgreSQL says {says}",
            hint="check state.url, state.password and pg_hba.conf",
            context=context,
        )
    if state == "53100":
        return StoreFull(
            f"{subject} has no space left; PostgreSQL says {says}", hint="free space on the server", context=context
        )
    if state == "3D000":
        return StoreMissing(
            f"{subject} does not exist; PostgreSQL says {says}",
            hint=f"createdb {quoted(address.database)}",
            context=context,
        )
    if state == "25006":
        return StoreNotWritable(
            f"{subject} takes no writes; PostgreSQL says {says}", hint="point state.url at the primary", context=context
        )
    if state in ("55P03", "40001", "40P01"):
        return StoreBusy(
            f"{subject} was locked by another session for longer than {LOCK_WAIT_SECONDS:g} s; PostgreSQL says {says}",
            hint="retry; pg_stat_activity shows who holds it",
            context=context,
        )
    if state in ("57014", "25P03", "25P04"):
        return StoreTimeout(f"{subject}: a statement ran too long; PostgreSQL says {says}", hint="retry", context=context)
    if state[:2] == "23":
        return ConstraintViolated(f"{subject}; PostgreSQL says {says}", context=context)
    if state in ("XX001", "XX002"):
        return StoreCorrupt(
            f"{subject} is damaged; PostgreSQL says {says}", hint="restore the database from a backup", context=context
        )
    return StoreError(
        f"{subject} failed; PostgreSQL says {state}: {says}", hint="the server's log may say more", context=context
    )


def _no_connection(subject: str, says: str, context: dict[str, str | None]) -> StoreError:
    # Failures at connect time carry no SQLSTATE in psycopg, only libpq's text.
    if "authentication failed" in says or "no password supplied" in says or "no pg_hba.conf entry" in says:
        return StoreDenied(
            f"{subject} refuses the login; libpq says {says}",
            hint="check state.url, state.password and pg_hba.conf",
            context=context,
        )
    if "database" in says and "does not exist" in says:
        return StoreMissing(
            f"{subject} does not exist; libpq says {says}",
            hint="create the database, owned by the user of state.url",
            context=context,
        )
    return StoreUnreachable(
        f"{subject} does not answer; {says}",
        hint="start the server, or check state.url; dbre retries by itself",
        context=context,
    )
