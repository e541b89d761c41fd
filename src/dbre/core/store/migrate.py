"""Creating a store, and bringing an older one up to date: in one transaction, wholly or not at all."""

import os

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from dbre.core.store.address import PostgresAddress, SqliteAddress, StoreAddress
from dbre.core.store.copy import copy_sqlite, flush
from dbre.core.store.driver_errors import store_error
from dbre.core.store.errors import SchemaOlder, StoreCorrupt, StoreNotWritable
from dbre.core.store.limits import MIGRATE_SECONDS, limited
from dbre.core.store.postgres import take_write_lock
from dbre.core.store.schema import check_revision, head_revision, read_revision, upgrade
from dbre.core.store.sqlite import reader_engine, refuse_orphaned_log, require_file, writer_engine
from dbre.core.text import printable

__all__ = ["migrate_postgres", "migrate_sqlite"]


async def migrate_sqlite(address: SqliteAddress) -> None:
    """Make the file, or migrate it after a copy to FILE.before-NNNN; the caller holds the control plane's lock.

    Raises: SchemaNewer, NotAStore, StoreCorrupt, StoreFull, StoreNotWritable.
    """
    if not address.path.exists():
        refuse_orphaned_log(address)
        await _create(address)
        return
    require_file(address)
    old = await _revision_of(address)
    try:
        check_revision(old, address)
    except SchemaOlder:
        copy = address.path.with_name(f"{address.path.name}.before-{head_revision()}")
        await copy_sqlite(address, copy, replace=True)
        await _upgrade_sqlite(address)


async def migrate_postgres(engine: AsyncEngine, address: PostgresAddress) -> None:
    """Make or migrate the tables; the caller holds the control plane's lock. Raises: SchemaNewer."""
    async with limited(address, MIGRATE_SECONDS, what="migrating it"), engine.begin() as connection:
        await take_write_lock(connection)
        await _upgrade(connection, address)


async def _create(address: SqliteAddress) -> None:
    # Made under another name and renamed when it is whole: an empty file at the real name is then always damage, and is
    # never mistaken for a store that has yet to be made.
    fresh = SqliteAddress(path=address.path.with_name(address.path.name + ".new"))
    try:
        for leftover in (fresh.path, *(fresh.path.with_name(fresh.path.name + end) for end in ("-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
        os.close(os.open(fresh.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreNotWritable(
            f"state store {address} cannot be made: {error.strerror}",
            hint=f"let the user that runs dbre write the directory {printable(str(address.path.parent))}",
        ) from error
    await _upgrade_sqlite(fresh)
    fresh.path.rename(address.path)
    flush(address.path.parent)


async def _revision_of(address: SqliteAddress) -> str | None:
    engine = reader_engine(address)  # which changes nothing: the file may belong to another program
    try:
        async with engine.connect() as connection, connection.begin():
            return await read_revision(connection, address)
    except DBAPIError as error:
        raise store_error(error, address) from error
    finally:
        await engine.dispose()


async def _upgrade_sqlite(address: SqliteAddress) -> None:
    # Foreign keys are off while tables are rebuilt: dropping the old table would delete the rows that refer to it.
    engine = writer_engine(address, foreign_keys=False)
    try:
        async with engine.begin() as connection:
            await _upgrade(connection, address)
            broken = (await connection.execute(text("PRAGMA foreign_key_check"))).all()
            if broken:
                raise StoreCorrupt(
                    f"state store {address}: {len(broken)} rows would refer to rows that do not exist after the migration",
                    hint="nothing was changed; please report this with the output of `dbre db status`",
                )
    except DBAPIError as error:
        raise store_error(error, address) from error
    finally:
        await engine.dispose()


async def _upgrade(connection: AsyncConnection, address: StoreAddress) -> None:
    revision = await read_revision(connection, address)
    if revision is not None:
        try:
            check_revision(revision, address)
        except SchemaOlder:
            pass
        else:
            return
    await connection.run_sync(upgrade)
