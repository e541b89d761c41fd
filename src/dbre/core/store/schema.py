"""The version of the schema: what the code knows, what the store has, and the way from one to the other.

Alembic is imported only to migrate. Revisions are the four digits that begin the names of the files in ``migrations/versions``;
the history is linear, so their order is that of the numbers (a test compares it with Alembic's own reading).
"""

import re
from functools import cache
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.store.address import SqliteAddress, StoreAddress
from dbre.core.store.errors import NotAStore, SchemaNewer, SchemaOlder, StoreMissing
from dbre.core.store.sqlite import APPLICATION_ID
from dbre.core.text import printable

__all__ = ["VERSION_TABLE", "check_revision", "head_revision", "known_revisions", "read_revision", "upgrade"]

VERSION_TABLE = "dbre_schema"
"""Where Alembic keeps the revision; not its usual name, because a PostgreSQL database may be shared with other programs."""

_MIGRATIONS = Path(__file__).parent / "migrations"
_FILE = re.compile(r"(\d{4})_\w+\.py")


@cache
def known_revisions() -> tuple[str, ...]:
    """Every revision that this dbre knows, the oldest first."""
    names = sorted(path.name for path in (_MIGRATIONS / "versions").iterdir())
    return tuple(match[1] for match in map(_FILE.fullmatch, names) if match)


def head_revision() -> str:
    """The revision that the code of this dbre is written for."""
    return known_revisions()[-1]


async def read_revision(connection: AsyncConnection, address: StoreAddress) -> str | None:
    """The revision of the store; None where it has no tables yet.

    Raises: NotAStore where a SQLite file belongs to another program.
    """
    tables = await connection.run_sync(_table_names)
    if VERSION_TABLE in tables:
        row = (await connection.execute(text("SELECT version_num FROM dbre_schema"))).first()
        return None if row is None else str(row.version_num)
    if isinstance(address, SqliteAddress) and tables:
        shown = printable(", ".join(tables), limit=80)
        raise NotAStore(
            f"{address} is a SQLite database of another program: it has the tables {shown}",
            hint="give dbre a file of its own in state.url",
            context={"path": str(address.path)},
        )
    return None


def _table_names(connection: Connection) -> list[str]:
    return inspect(connection).get_table_names()


def check_revision(revision: str | None, address: StoreAddress) -> None:
    """Let only the revision pass that this code is written for.

    Raises: StoreMissing, SchemaOlder or SchemaNewer, each saying how to go on.
    """
    head = head_revision()
    if revision == head:
        return
    if revision is None:
        raise StoreMissing(
            f"state store {address} has no tables of dbre yet",
            hint="`dbre server` makes them, or `dbre db migrate`; if they should exist, check state.url in dbre.yaml",
        )
    context = {"revision": revision, "head": head}
    if revision in known_revisions():
        raise SchemaOlder(
            f"state store {address} has schema {revision}; this dbre needs {head}",
            hint="run `dbre db migrate` (or start `dbre server`, which migrates); a copy of the old file is kept",
            context=context,
        )
    raise SchemaNewer(
        f"state store {address} has schema {printable(revision, limit=40)}; this dbre knows none after {head}",
        hint="use the newer dbre that wrote it, or put the copy made before the upgrade (FILE.before-NNNN) in its place",
        context=context,
    )


def upgrade(connection: Connection) -> None:
    """Bring the schema to the head inside the transaction of ``connection``: wholly or not at all."""
    # Imported here, because alembic costs 0.2 s of CPU and only a migration needs it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
