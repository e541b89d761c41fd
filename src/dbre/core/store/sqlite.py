"""The store in a SQLite file: connections, creation of the file, and the lock against a second control plane."""

import asyncio
import fcntl
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from dbre.core.store.address import SqliteAddress
from dbre.core.store.driver_errors import LOCK_WAIT_SECONDS
from dbre.core.store.errors import ControlPlaneRunning, NotAStore, StoreCorrupt, StoreMissing, StoreNotWritable
from dbre.core.store.sqlite_connection import connect_sqlite
from dbre.core.text import printable
from dbre.core.units import format_bytes

__all__ = [
    "APPLICATION_ID",
    "control_plane_holder",
    "control_plane_lock",
    "make_private_directory",
    "reader_engine",
    "refuse_orphaned_log",
    "require_file",
    "writer_engine",
]

APPLICATION_ID = 0x64627265
"""``dbre`` in ASCII; ``file`` shows it, and a SQLite file of another program is told apart by it."""

_READERS = 8
_LOCK_ATTEMPTS = 5


def writer_engine(address: SqliteAddress, *, foreign_keys: bool = True) -> AsyncEngine:
    """One connection that begins each transaction with BEGIN IMMEDIATE: a writer never fails half-way for want of the lock."""
    return _engine(address, begin="BEGIN IMMEDIATE", pragmas=_writer_pragmas(foreign_keys=foreign_keys), pool_size=1)


def reader_engine(address: SqliteAddress) -> AsyncEngine:
    """Connections that only read; in WAL mode they neither wait for the writer nor make it wait."""
    return _engine(address, begin="BEGIN", pragmas=("query_only = ON",), pool_size=_READERS)


def _writer_pragmas(*, foreign_keys: bool) -> tuple[str, ...]:
    return (
        "journal_mode = WAL",
        "synchronous = FULL",  # NORMAL would lose acknowledged commits with the machine's power
        f"foreign_keys = {'ON' if foreign_keys else 'OFF'}",
    )


def _engine(address: SqliteAddress, *, begin: str, pragmas: tuple[str, ...], pool_size: int) -> AsyncEngine:
    # mode=rw: SQLite must never create the file by itself, for then a mistyped path would look like an empty store.
    url = URL.create("sqlite+aiosqlite", database=f"file:{quote(str(address.path))}", query={"mode": "rw", "uri": "true"})
    engine = create_async_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=LOCK_WAIT_SECONDS,
        pool_reset_on_return=None,  # by ourselves, below
        connect_args={
            "isolation_level": None,  # we begin transactions, not the driver
            "timeout": LOCK_WAIT_SECONDS,
            "async_creator_fn": connect_sqlite,
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _set_up(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "reset")
    def _reset(connection: Any, _record: Any, _state: Any) -> None:
        # A rollback of nothing would cost a visit of the connection's thread after each transaction.
        if connection.driver_connection.in_transaction:
            connection.rollback()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def make_private_directory(address: SqliteAddress) -> None:
    """Make the directory of the file, for its owner only, where it is missing. Raises: StoreNotWritable."""
    try:
        address.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreNotWritable(
            f"directory {printable(str(address.path.parent))} of state store {address} cannot be made: {error.strerror}",
            hint="make it and give it to the user that runs dbre",
        ) from error


def require_file(address: SqliteAddress) -> None:
    """See that the file is there and not empty. Raises: StoreMissing, NotAStore, StoreCorrupt."""
    try:
        size = address.path.stat().st_size
    except (FileNotFoundError, NotADirectoryError) as error:
        refuse_orphaned_log(address)
        raise StoreMissing(
            f"state store {address} does not exist yet",
            hint="`dbre server` makes it, or `dbre db migrate`; if it should exist, check state.url in dbre.yaml",
        ) from error
    except OSError as error:
        raise StoreNotWritable(f"state store {address}: {error.strerror}", hint="run dbre as its owner") from error
    if not address.path.is_file():
        raise NotAStore(f"state store {address} is not a file", hint="name a file: sqlite:///state/dbre.db")
    if size == 0:
        raise StoreCorrupt(
            f"state store {address} is an empty file: it was cut off, or something else made it",
            hint="put a copy made by `dbre db backup` in its place, or delete the file to begin anew",
            context={"path": str(address.path), "size_bytes": 0},
        )


def refuse_orphaned_log(address: SqliteAddress) -> None:
    """Where the file is missing, see that no log is left of it: SQLite would write it into a new one. Raises: StoreCorrupt."""
    log = address.path.with_name(address.path.name + "-wal")
    try:
        size = log.stat().st_size
    except OSError:
        return
    if size:
        raise StoreCorrupt(
            f"state store {address} is gone, but its log {printable(log.name)} is there, {format_bytes(size)} written last",
            hint="put the file back beside its log; to begin anew, or from a copy, move the log aside first",
            context={"path": str(address.path), "log_bytes": size},
        )


@asynccontextmanager
async def control_plane_lock(address: SqliteAddress) -> AsyncIterator[None]:
    """Hold the lock of the only control plane; the kernel lets go of it however this process ends.

    The lock is on a file of its own, which stays: a lock on a file that may be deleted can be held twice.

    Raises: ControlPlaneRunning, naming the holder; StoreNotWritable.
    """
    try:
        descriptor = os.open(address.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreNotWritable(
            f"lock file {printable(str(address.lock_path))} of the state store cannot be opened: {error.strerror}",
            hint="let the user that runs dbre write the directory, on a file system that is mounted for writing",
        ) from error
    try:
        for patience in range(_LOCK_ATTEMPTS):
            if _try_lock(descriptor, fcntl.LOCK_EX):
                break
            if patience:
                await asyncio.sleep(0.05)  # `dbre db status` holds the lock for an instant to see whether it is free
        else:
            holder = _holder(descriptor)
            raise ControlPlaneRunning(
                f"state store {address} belongs to another control plane: {holder}",
                hint="stop that one first, or give this one a state.url of its own",
                context={"holder": holder},
            )
        _sign(descriptor)
        yield
    finally:
        os.close(descriptor)


def control_plane_holder(address: SqliteAddress) -> str | None:
    """Who holds the lock of the control plane at this moment; None: nobody."""
    try:
        descriptor = os.open(address.lock_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return None if _try_lock(descriptor, fcntl.LOCK_SH) else _holder(descriptor)
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # a network file system without locks
        raise StoreNotWritable(
            f"the lock file of the state store cannot be locked: {error.strerror}",
            hint="put the store on a local disk, or into PostgreSQL for a team",
        ) from error
    return True


def _holder(descriptor: int) -> str:
    return printable(os.pread(descriptor, 200, 0).decode(errors="replace").strip()) or "an unknown process"


def _sign(descriptor: int) -> None:
    # For the message above only; on a full disk the lock is as good without a name.
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError:
        return
