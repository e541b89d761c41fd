"""What is read of a server before it is dumped: its databases, and what the login may not see of them."""

from dataclasses import dataclass, replace
from typing import Any

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.engines.postgres.backup.asking import Questions, ask
from dbre.engines.postgres.backup.source import Source, read_source
from dbre.ports.engine import Access

__all__ = ["Database", "DumpSource", "read_dump_source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database that is dumped. ``contents`` is the row of ``dump_contents``; None: the login may not enter."""

    name: str
    bytes: int | None
    contents: Any

    @property
    def extensions(self) -> tuple[str, ...]:
        """Each with its version."""
        return tuple(self.contents.extensions or ()) if self.contents is not None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DumpSource:
    """One server."""

    server: Source
    login: Any  # the row of ``dump_login``
    databases: tuple[Database, ...]
    tablespaces: tuple[str, ...]
    preload: tuple[str, ...]


async def read_dump_source(access: Access, *, what: str, chosen: tuple[str, ...] = ()) -> DumpSource:
    """Ask the server, and each database over a connection of its own.

    Raises: UsageError for a chosen database that it lacks; Unreachable, Denied, Unsupported.
    """

    async def look(questions: Questions) -> tuple[Source, Any, list[Any], list[Any], list[Any]]:
        return (
            await read_source(questions),
            await questions.row("dump_login"),
            await questions.rows("dump_databases"),
            await questions.rows("dump_tablespaces"),
            await questions.rows("backup_settings"),
        )

    async def contents(questions: Questions) -> Any:
        return await questions.row("dump_contents")

    server, login, rows, tablespaces, settings = await ask(access, look, what=what)
    missing = sorted(set(chosen) - {row.name for row in rows})
    if missing:
        raise UsageError(
            f"{access.address} has no database {', '.join(quoted(one, limit=80) for one in missing)} that could be dumped",
            hint="name databases that allow connections, or none for all",
        )
    found = []
    for row in rows:
        if not chosen or row.name in chosen:
            inside = await ask(replace(access, database=row.name), contents, what=what) if row.may_connect else None
            found.append(Database(name=row.name, bytes=row.bytes, contents=inside))
    preload = next((row.setting for row in settings if row.name == "shared_preload_libraries"), "")
    return DumpSource(
        server=server,
        login=login,
        databases=tuple(found),
        tablespaces=tuple(row.name for row in tablespaces),
        preload=tuple(word.strip() for word in preload.split(",") if word.strip()),
    )
