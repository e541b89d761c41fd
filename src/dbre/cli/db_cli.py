"""``dbre db``: the state store."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.errors import ExitCode
from dbre.core.units import format_bytes
from dbre.core.view import Column, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.ports.runtime import Runtime

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The state store: status, migration, copy.")


def _size(value: object) -> str:
    return "-" if value is None else format_bytes(int(str(value)))


_STATUS = (
    Column(key="url", title="URL"),
    Column(key="revision", title="SCHEMA"),
    Column(key="head", title="NEEDED"),
    Column(key="control_plane", title="CONTROL PLANE"),
    Column(key="size_bytes", title="SIZE", format=_size),
    Column(key="log_bytes", title="LOG", format=_size),
    Column(key="free_bytes", title="FREE", format=_size),
    Column(key="file_mode", title="MODE"),
    Column(key="file_system", title="FILE SYSTEM"),
    Column(key="server_version", title="VERSION"),
    Column(key="integrity", title="INTEGRITY"),
)


async def _place(here: "Runtime") -> dict[str, Any]:
    from dbre.core.store.document import STATE

    state = here.config.get(STATE)
    return {
        "url": state.url,
        "password": await state.password.resolve() if state.password else None,
        "directory": here.config.directory_of("state.url"),
    }


@app.command()
async def status(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Read all of a SQLite file and look for damage.")] = False,
) -> View:
    """Where the state store is, which schema it has, who runs on it.

    Changes nothing, and works beside a running control plane. If the store could not be used, the exit code is that of the
    reason: 5 where it is missing or of another version, 6 where its server does not answer, 1 where it is damaged.
    """
    from dbre.core.store.status import inspect_store
    from dbre.ports.runtime import runtime

    found = await inspect_store(**await _place(runtime(ctx)), check=check)
    row = {column.key: getattr(found, column.key) for column in _STATUS}
    return View(
        kind="StateStore",
        items=[{**row, "dialect": found.dialect, "is_usable": found.problem is None, "warnings": found.warnings}],
        columns=_STATUS,
        single=True,
        notes=found.warnings,
        errors=[found.problem] if found.problem else [],
        exit_code=found.problem.exit_code if found.problem else ExitCode.OK,
    )


@app.command()
async def migrate(ctx: typer.Context) -> View:
    """Create the state store, or bring its schema up to date.

    Refused while a control plane runs on the store. A SQLite file is copied to FILE.before-NNNN first; the migration is one
    transaction, so that it is done wholly or not at all.
    """
    from dbre.core.store import open_store
    from dbre.core.store.status import inspect_store
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    place = await _place(here)
    before = await inspect_store(**place)
    async with open_store(**place, clock=here.clock, exclusive=True, migrate=True):
        pass
    state = "already_current" if before.revision == before.head else "migrated" if before.revision else "created"
    return View(
        kind="StateStoreMigration",
        items=[{"url": before.url, "status": state, "from_revision": before.revision, "to_revision": before.head}],
        columns=(
            Column(key="url", title="URL"),
            Column(key="status", title="STATUS"),
            Column(key="from_revision", title="FROM"),
            Column(key="to_revision", title="TO"),
        ),
        single=True,
    )


@app.command()
async def backup(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="New file for the copy; it must not exist.")],
) -> View:
    """Copy the SQLite state store to a new file while a control plane runs on it.

    The copy is one consistent moment, checked for damage, readable by its owner only. A store in PostgreSQL is copied with
    pg_dump.
    """
    from dbre.core.errors import Unsupported
    from dbre.core.store.address import SqliteAddress, parse_store_url
    from dbre.core.store.copy import copy_sqlite
    from dbre.ports.runtime import runtime

    place = await _place(runtime(ctx))
    address = parse_store_url(place["url"], directory=place["directory"])
    if not isinstance(address, SqliteAddress):
        raise Unsupported(f"state store {address} is no file", hint="copy it with pg_dump, or with the backups of its server")
    size = await copy_sqlite(address, file)
    return View(
        kind="StateStoreCopy",
        items=[{"url": str(address), "file": str(file), "size_bytes": size}],
        columns=(
            Column(key="url", title="URL"),
            Column(key="file", title="FILE"),
            Column(key="size_bytes", title="SIZE", format=_size),
        ),
        single=True,
    )
