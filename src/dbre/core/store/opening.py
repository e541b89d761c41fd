"""From a URL to an open store: the lock, the migration, the check of the schema, in this order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from dbre.core.clock import Clock
from dbre.core.secrets import Secret
from dbre.core.store.address import PostgresAddress, SqliteAddress, StoreAddress, parse_store_url
from dbre.core.store.control_plane import postgres_lease
from dbre.core.store.errors import StoreCorrupt
from dbre.core.store.limits import OPEN_SECONDS, limited
from dbre.core.store.migrate import migrate_postgres, migrate_sqlite
from dbre.core.store.mounts import place_warnings
from dbre.core.store.postgres import postgres_engine
from dbre.core.store.schema import check_revision, read_revision
from dbre.core.store.sqlite import control_plane_lock, make_private_directory, reader_engine, require_file, writer_engine
from dbre.core.store.store import Store
from dbre.core.text import printable

__all__ = ["open_store"]

_CHECKED_BYTES = 128 * 2**20  # a file up to this size is read whole for damage before a control plane works with it


@asynccontextmanager
async def open_store(
    url: str,
    *,
    clock: Clock,
    exclusive: bool = False,
    migrate: bool = False,
    password: Secret | None = None,
    directory: Path | None = None,
) -> AsyncIterator[Store]:
    """Open the state store.

    ``exclusive`` is for the control plane: there is one a store, and it may lose the claim (``Store.control_plane_lost``).
    ``migrate`` creates the store and brings an older schema up to date; a SQLite file is copied to FILE.before-NNNN first.
    ``directory`` is what a relative SQLite path starts from: that of the configuration file.

    Raises: a StoreError; see ``dbre.core.store.errors``.
    """
    address = parse_store_url(url, directory=directory)
    async with AsyncExitStack() as stack:
        if isinstance(address, SqliteAddress):
            store = await _open_sqlite(stack, address, exclusive=exclusive, migrate=migrate)
        else:
            store = await _open_postgres(stack, address, password, clock, exclusive=exclusive, migrate=migrate)
        yield store


async def _open_sqlite(stack: AsyncExitStack, address: SqliteAddress, *, exclusive: bool, migrate: bool) -> Store:
    if exclusive or migrate:
        make_private_directory(address)
    if exclusive:
        await stack.enter_async_context(control_plane_lock(address))
        if migrate:
            await migrate_sqlite(address)
    elif migrate:
        async with control_plane_lock(address):  # a running control plane must not find another schema under its feet
            await migrate_sqlite(address)
    require_file(address)
    writer, reader = writer_engine(address), reader_engine(address)
    stack.push_async_callback(writer.dispose)  # closed last, because the last to close folds the log into the file
    stack.push_async_callback(reader.dispose)
    await _check(reader, address)
    if exclusive and address.path.stat().st_size <= _CHECKED_BYTES:
        await _refuse_damage(reader, address)
    return Store(address, writer=writer, reader=reader, warnings=place_warnings(address.path))


async def _open_postgres(
    stack: AsyncExitStack,
    address: PostgresAddress,
    password: Secret | None,
    clock: Clock,
    *,
    exclusive: bool,
    migrate: bool,
) -> Store:
    engine = postgres_engine(address, password, purpose="state-store")
    stack.push_async_callback(engine.dispose)
    lease = await stack.enter_async_context(postgres_lease(address, password, clock)) if exclusive else None
    if migrate:
        if exclusive:
            await migrate_postgres(engine, address)
        else:
            async with postgres_lease(address, password, clock):
                await migrate_postgres(engine, address)
    await _check(engine, address)
    return Store(address, writer=engine, reader=engine, lease=lease)


async def _check(engine: AsyncEngine, address: StoreAddress) -> None:
    async with limited(address, OPEN_SECONDS, what="opening it"), engine.connect() as connection, connection.begin():
        revision = await read_revision(connection, address)
    check_revision(revision, address)


async def _refuse_damage(engine: AsyncEngine, address: SqliteAddress) -> None:
    """A control plane on a damaged file would watch and page nobody. Raises: StoreCorrupt."""
    async with limited(address, OPEN_SECONDS, what="checking it"), engine.connect() as connection, connection.begin():
        verdict = str((await connection.execute(text("PRAGMA quick_check(1)"))).scalar_one())
    if verdict != "ok":
        raise StoreCorrupt(
            f"state store {address} is damaged: {printable(verdict)}",
            hint="keep the file aside and put an older copy in its place (dbre db backup makes them)",
        )
