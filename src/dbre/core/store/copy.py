"""An online copy of a SQLite store: consistent while a control plane writes."""

import asyncio
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from dbre.core.errors import UsageError
from dbre.core.store.address import SqliteAddress
from dbre.core.store.driver_errors import LOCK_WAIT_SECONDS, sqlite_error
from dbre.core.store.errors import StoreCorrupt, StoreFull, StoreNotWritable
from dbre.core.store.sqlite import require_file
from dbre.core.text import printable
from dbre.core.units import format_bytes

__all__ = ["copy_sqlite", "flush"]


async def copy_sqlite(address: SqliteAddress, target: Path, *, replace: bool = False) -> int:
    """Copy the store to a new file that only its owner can read, check it, and give its size in bytes.

    The copy appears under its name when it is whole. It runs in a thread, because SQLite's backup API waits for the disk.

    Raises: UsageError where the target exists, StoreCorrupt where the copy fails its check, StoreFull, StoreNotWritable.
    """
    return await asyncio.to_thread(_copy, address, target, replace=replace)


def _copy(address: SqliteAddress, target: Path, *, replace: bool) -> int:
    if target.exists() and not replace:
        raise UsageError(f"{printable(str(target))} exists already", hint="name a file that does not")
    require_file(address)
    part = target.with_name(target.name + ".part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreNotWritable(
            f"{printable(str(part))} cannot be made: {error.strerror}", hint="name another directory"
        ) from error
    try:
        _copy_pages(address, part)
        flush(part)
        part.rename(target)
        flush(target.parent)
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:  # of the copy: the store is only read
            free = shutil.disk_usage(part.parent).free
            raise StoreFull(
                f"{printable(str(part))} cannot grow: {format_bytes(free)} are free there",
                hint="free some space there, or name a file on another disk",
                context={"path": str(part), "free_bytes": free},
            ) from error
        raise sqlite_error(error, address) from error
    except OSError as error:
        raise StoreNotWritable(
            f"{printable(str(part))} cannot be written: {error.strerror}", hint="name another directory"
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return target.stat().st_size


def flush(path: Path) -> None:
    """Wait until a file, or the names in a directory, would survive the loss of power."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_pages(address: SqliteAddress, part: Path) -> None:
    with (
        closing(_connect(address.path, "rw")) as source,
        closing(_connect(part, "rw")) as copy,
    ):
        source.execute("PRAGMA query_only = ON")
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file without companions: it can be moved about safely
        verdict = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise StoreCorrupt(
            f"state store {address} is damaged: {printable(verdict)}", hint="keep the file aside and restore an older copy"
        )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", uri=True, timeout=LOCK_WAIT_SECONDS, isolation_level=None)
