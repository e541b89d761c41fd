"""``dbre vault restore-state``: what dbre knew comes back from a vault, with nothing else left."""

from typing import Annotated

import typer

from dbre.core.view import Column, View
from dbre.ports.runtime import runtime

__all__ = ["app"]

app = typer.Typer()


@app.command("restore-state")
async def restore_state(
    ctx: typer.Context,
    vault: Annotated[str | None, typer.Argument(metavar="[VAULT]", help="A vault of dbre.yaml; none with --path.")] = None,
    *,
    target: Annotated[str, typer.Option("--to", metavar="FILE", help="A new file (or directory, for a PostgreSQL store).")],
    path: Annotated[
        str | None, typer.Option("--path", metavar="DIR", help="A vault in a directory; needs no dbre.yaml.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", metavar="FILE", help="File of an age identity that reads it.")
    ] = None,
    signer: Annotated[
        str | None, typer.Option("--signer", metavar="KEY", help="With --path: believe only this key (dbre audit key).")
    ] = None,
    set_id: Annotated[str | None, typer.Option("--set", metavar="SET", help="Default: the newest.")] = None,
) -> View:
    """Bring our own state store back from a vault alone, every byte compared.

    With --path nothing else is needed: no state store, no configuration. A SQLite store is a file that `dbre server` starts
    with; a store in PostgreSQL comes as the directory of its dump, for pg_restore.
    """
    from pathlib import Path

    from dbre.capabilities.backup.own_state.alone import ground_alone
    from dbre.capabilities.backup.own_state.restoring import restore_state as restore
    from dbre.capabilities.backup.vault.given import document_of_path
    from dbre.capabilities.backup.vault.opening import vault_named
    from dbre.core.errors import UsageError
    from dbre.core.secrets import SecretReference

    if (vault is None) == (path is None):
        raise UsageError("one vault is needed", hint="VAULT of dbre.yaml, or --path DIR of a directory")
    parts = runtime(ctx)
    reference = SecretReference.parse(f"file:{Path(identity).absolute()}") if identity is not None else None  # noqa: ASYNC240 -- asks for the working directory only
    if path is not None:
        if reference is None:
            raise UsageError("--path needs --identity", hint="the file that `dbre vault key` made, or the escrow one")
        directory = Path(path).absolute()  # noqa: ASYNC240 -- likewise
        ground = ground_alone(parts.engines, parts.clock, directory)
        document = document_of_path(directory, reference, signers=[signer] if signer is not None else [])
    else:
        ground = parts.backups(None)
        document = vault_named(ground, vault or "")
        document = document.model_copy(update={"identity": reference}) if reference is not None else document
    where = Path(target).absolute()  # noqa: ASYNC240 -- likewise
    found = await restore(ground, document, where, set_id=set_id)
    row = {
        "file": str(where),
        "set": found.copy.id,
        "engine": found.copy.engine,
        "taken_at": found.copy.started_at,
        "size_bytes": found.bytes,
        "older_copies": found.older,
    }
    columns = (
        Column(key="file", title="FILE"),
        Column(key="taken_at", title="AS OF"),
        Column(key="set", title="SET"),
        Column(key="engine", title="KIND"),
        Column(key="older_copies", title="OLDER COPIES", right=True),
    )
    notes = ["what happened after that moment is not in it; the signing key of the audit log is a file of its own"]
    return View(kind="StateRestore", items=[row], columns=columns, notes=notes)
