"""``dbre vault``: places where backups lie."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.capabilities.backup.alone.cli import app as alone
from dbre.capabilities.backup.own_state.cli import app as own_state
from dbre.core.view import Column, PluginState, PluginStatus, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.ground import BackupGround
    from dbre.core.errors import DbreError

__all__ = ["app"]

app = typer.Typer(help="Vaults: encrypted, append-only places where backups lie.", no_args_is_help=True)
app.add_typer(alone)
app.add_typer(own_state)

Name = Annotated[str, typer.Argument(metavar="VAULT", help="A vault of dbre.yaml.")]
NoStore = Annotated[bool, typer.Option("--no-store", help="Ask the vault alone: the state store is lost, or elsewhere.")]


@app.callback()
def _group() -> None:
    """Vaults: encrypted, append-only places where backups lie."""


@asynccontextmanager
async def _ground(ctx: typer.Context, *, no_store: bool = False) -> "AsyncIterator[BackupGround]":
    parts = runtime(ctx)
    if no_store:
        yield parts.backups(None)
        return
    async with parts.open_store() as store:
        yield parts.backups(store)


def _bytes(value: object) -> str:
    from dbre.core.units import format_bytes

    return format_bytes(value) if isinstance(value, int) else "-"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _day(value: object) -> str:
    return value[:10] if isinstance(value, str) else "never"


def _joined(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) and value else "-"


@app.command("list")
def list_vaults(ctx: typer.Context) -> View:
    """Vaults of the configuration; nothing is asked of them."""
    from dbre.capabilities.backup.vault.rows import document_row

    found = runtime(ctx).backups(None).vaults
    columns = (
        Column(key="name", title="VAULT"),
        Column(key="kind", title="KIND"),
        Column(key="address", title="WHERE"),
        Column(key="is_offsite", title="OFF-SITE", format=_yes),
        Column(key="object_lock", title="LOCK"),
        Column(key="can_read", title="READS", format=_yes),
        Column(key="can_delete", title="DELETES", format=_yes),
    )
    return View(kind="VaultList", items=[document_row(one) for one in found], columns=columns, empty="no vault is configured")


@app.command()
async def check(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="[VAULT]", help="Only this one.")] = None,
    *,
    no_store: NoStore = False,
) -> View:
    """Ask all vaults at once what they are, what their lock is worth, and what speaks against them."""
    import asyncio

    from dbre.capabilities.backup.vault.opening import vault_named
    from dbre.core.errors import DbreError, ExitCode

    async with _ground(ctx, no_store=no_store) as ground:
        asked = ground.vaults if name is None else (vault_named(ground, name),)
        found = await asyncio.gather(*(_examined(ground, one.name) for one in asked))
    rows = [one for one in found if not isinstance(one, DbreError)]
    errors = [one for one in found if isinstance(one, DbreError)]
    bad = [row for row in rows if row["problems"]]
    columns = (
        Column(key="name", title="VAULT"),
        Column(key="lock", title="LOCK"),
        Column(key="trust", title="SIGNERS"),
        Column(key="sets", title="SETS", right=True),
        Column(key="log_files", title="LOG", right=True),
        Column(key="bytes", title="STORED", format=_bytes, right=True),
        Column(key="free_bytes", title="FREE", format=_bytes, right=True),
        Column(key="escrow_tried_at", title="ESCROW TRIED", format=_day),
        Column(key="problems", title="PROBLEMS", format=_joined),
        Column(key="address", title="WHERE", wide=True),
    )
    state = PluginState.CRITICAL if errors else PluginState.WARNING if bad else PluginState.OK
    return View(
        kind="VaultCheckList",
        items=rows,
        columns=columns,
        errors=errors,
        empty="no vault answers" if errors else "no vault is configured",
        exit_code=errors[0].exit_code if errors else ExitCode.FINDINGS if bad else ExitCode.OK,
        plugin=PluginStatus(state=state, text=f"{len(rows)} vaults answer, {len(bad)} with problems, {len(errors)} do not"),
    )


async def _examined(ground: "BackupGround", name: str) -> "Row | DbreError":
    from dbre.capabilities.backup.vault.escrow import escrow_tried_at
    from dbre.capabilities.backup.vault.opening import open_vault
    from dbre.capabilities.backup.vault.rows import facts_row
    from dbre.core.errors import DbreError

    try:
        async with open_vault(ground, name) as vault:
            tried = await escrow_tried_at(ground, vault.document)
            return {**facts_row(await vault.facts()), "escrow_tried_at": tried}
    except DbreError as error:
        return type(error)(f"vault {name}: {error.message}", hint=error.hint, context=error.context)


@app.command()
async def show(
    ctx: typer.Context,
    name: Name,
    *,
    cluster: Annotated[str | None, typer.Option("--cluster", help="Only this cluster.")] = None,
    no_store: NoStore = False,
) -> View:
    """The sets in a vault, as its own signed index tells."""
    from dbre.capabilities.backup.vault.opening import open_vault
    from dbre.capabilities.backup.vault.rows import log_note, set_row

    async with _ground(ctx, no_store=no_store) as ground, open_vault(ground, name) as vault:
        catalog = await vault.catalog(cluster)
    columns = (
        Column(key="id", title="SET"),
        Column(key="cluster", title="CLUSTER"),
        Column(key="kind", title="KIND"),
        Column(key="state", title="STATE"),
        Column(key="stopped_at", title="TAKEN"),
        Column(key="bytes_stored", title="STORED", format=_bytes, right=True),
        Column(key="stop", title="CONSISTENT FROM"),
        Column(key="hold", title="HELD"),
        Column(key="parent_id", title="STANDS ON", wide=True),
        Column(key="lock_until", title="LOCKED UNTIL", wide=True),
        Column(key="system_id", title="SYSTEM", wide=True),
        Column(key="version_text", title="VERSION", wide=True),
    )
    return View(
        kind="VaultSetList",
        items=[set_row(one) for one in catalog.sets],
        columns=columns,
        empty=f"vault {name} has no set",
        notes=log_note(catalog),
    )


@app.command()
async def verify(
    ctx: typer.Context,
    name: Name,
    *,
    deep: Annotated[bool, typer.Option("--deep", help="Read and decrypt every byte, and check every signature again.")] = False,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Delete what interrupted backups left more than a day ago and no entry names.")
    ] = False,
    no_store: NoStore = False,
) -> View:
    """Compare a vault with its signed index: what is missing, cut off, changed, exchanged, hidden."""
    from dbre.capabilities.backup.catalog.sets import list_sets
    from dbre.capabilities.backup.retention.orphans import UNFINISHED
    from dbre.capabilities.backup.vault.opening import open_vault
    from dbre.capabilities.backup.vault.rows import fault_row, sweep_notes
    from dbre.core.errors import ExitCode, UsageError

    if sweep and no_store:
        raise UsageError("--sweep asks the state store which sets are being made", hint="leave out --no-store")
    notes: tuple[str, ...] = ()
    async with _ground(ctx, no_store=no_store) as ground, open_vault(ground, name) as vault:
        if sweep and ground.store is not None:
            async with ground.store.read() as connection:
                making = await list_sets(connection, states=UNFINISHED)
            notes = sweep_notes(await vault.sweep(unfinished=[one.id for one in making]))
        faults = await vault.verify(deep=deep)
        is_blind = deep and not vault.can_read
    columns = tuple(Column(key=key, title=key.upper()) for key in ("rule", "subject", "detail"))
    state = PluginState.CRITICAL if faults else PluginState.OK
    return View(
        kind="VaultFaultList",
        items=[fault_row(one) for one in faults],
        columns=columns,
        empty=f"vault {name} is what its index says" + ("" if deep else "; contents were not read (--deep)"),
        notes=[*notes, *["no identity here: ciphertext was compared, nothing was decrypted"] * is_blind],
        exit_code=ExitCode.FINDINGS if faults else ExitCode.OK,
        plugin=PluginStatus(state=state, text=f"{len(faults)} faults in vault {name}"),
    )


@app.command()
def key(
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="A new file for the private half; mode 0600.")],
) -> View:
    """Make an age identity: the private half goes to a file, the recipient is shown."""
    from pathlib import Path

    from dbre.capabilities.backup.vault.escrow import make_identity
    from dbre.core.audit.private_file import create_private
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    identity, recipient = make_identity()
    try:
        is_new = create_private(Path(out), f"# public key: {recipient}\n{identity}\n")
    except OSError as error:
        raise UsageError(
            f"{quoted(out)} cannot be made: {error.strerror}", hint="name a file in a directory of yours"
        ) from error
    if not is_new:
        raise UsageError(f"{quoted(out)} is there already", hint="name another file: who loses a key loses what it opens")
    columns = (Column(key="recipient", title="RECIPIENT"), Column(key="identity_file", title="IDENTITY"))
    return View(
        kind="VaultKey",
        items=[{"recipient": recipient, "identity_file": out}],
        columns=columns,
        notes=["who has the file reads every backup that is made for it; keep the escrow one where no machine is"],
    )


@app.command("escrow-drill")
async def escrow_drill(
    ctx: typer.Context,
    name: Name,
    *,
    identity: Annotated[str, typer.Option("--identity", metavar="REFERENCE", help="The escrow identity: file:/media/key.age.")],
    set_id: Annotated[str | None, typer.Option("--set", metavar="SET", help="Default: the newest.")] = None,
    no_store: NoStore = False,
) -> View:
    """Open the newest set, all on which it stands, and the newest log with the escrow identity alone."""
    from dataclasses import asdict

    from dbre.capabilities.backup.vault.escrow import try_escrow
    from dbre.core.secrets import SecretReference

    reference = SecretReference.parse(identity)
    async with _ground(ctx, no_store=no_store) as ground:
        actor = "" if no_store else (await runtime(ctx).principal()).name
        found = await try_escrow(ground, name, reference, set_id=set_id, actor=actor)
    columns = (
        Column(key="vault", title="VAULT"),
        Column(key="recipient", title="RECIPIENT"),
        Column(key="set_ids", title="OPENED", format=_joined),
        Column(key="log_name", title="LOG"),
        Column(key="bytes", title="DECRYPTED", format=_bytes, right=True),
    )
    note = "not noted anywhere: --no-store" if no_store else "noted in the state store and in the audit log"
    items = [asdict(found) | {"set_ids": list(found.set_ids)}]
    return View(kind="EscrowDrill", items=items, columns=columns, notes=[note])


@app.command()
async def copy(
    ctx: typer.Context,
    set_id: Annotated[str, typer.Argument(metavar="SET", help="Its id (dbre vault show).")],
    *,
    source: Annotated[str, typer.Option("--from", metavar="VAULT", help="Where it lies.")],
    target: Annotated[str, typer.Option("--to", metavar="VAULT", help="Where it is to lie too.")],
    with_log: Annotated[bool, typer.Option("--with-log", help="Also the log from its beginning on.")] = False,
) -> View:
    """Copy a set, and all on which it stands, to another vault, and read it back there."""
    import secrets

    from dbre.capabilities.backup.restoring.claims import claimed
    from dbre.capabilities.backup.vault.copying import copy_set
    from dbre.capabilities.backup.vault.noting import note_copies
    from dbre.capabilities.backup.vault.opening import open_vaults
    from dbre.core.errors import UsageError
    from dbre.core.progress import report

    if source == target:
        raise UsageError("--from and --to are the same vault", hint="dbre vault list")
    async with _ground(ctx) as ground, open_vaults(ground, (source, target)) as (one, other):
        place = ground.directory / "vaults" / f"copy-{secrets.token_hex(8)}"
        async with claimed(ground.directory, purpose="copy of a set", sets=[set_id], directories=[place]):
            found = await copy_set(one, other, set_id, staging=place, with_log=with_log, tell=report)
        known = await note_copies(ground.store, target, found) if ground.store is not None else 0
    item = {
        "from": source,
        "to": target,
        "set_ids": list(found.set_ids),
        "log_files": len(found.log_names),
        "bytes_stored": found.bytes_stored,
    }
    columns = (
        Column(key="to", title="VAULT"),
        Column(key="set_ids", title="COPIED", format=_joined),
        Column(key="log_files", title="LOG", right=True),
        Column(key="bytes_stored", title="STORED", format=_bytes, right=True),
    )
    notes = [] if found.set_ids or found.log_names else ["all of it was there already"]
    if known < len(found.chain):
        notes.append("the state store does not know these sets: `dbre vault restore` reads them there, no expiry deletes them")
    return View(kind="VaultCopy", items=[item], columns=columns, notes=notes)
