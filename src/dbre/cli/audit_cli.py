"""``dbre audit``: the tamper-evident log of who did what."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.errors import ExitCode, UsageError
from dbre.core.moments import moment_of
from dbre.core.view import Column, Row, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.core.audit.checkpoint import Checkpoint
    from dbre.core.audit.reading import AuditQuery, StoredEntry
    from dbre.core.audit.signed_note import SigningKey, VerifierKey
    from dbre.core.audit.sources import CheckpointSource
    from dbre.core.audit.verification import Verification
    from dbre.core.operation.http_desk import HttpDesk
    from dbre.core.store import Store
    from dbre.ports.runtime import Runtime

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="The audit log: who did what, and proof that nothing was changed.")

_API_PAGE = 500  # entries; the API gives no more at once
_ENTRY_COLUMNS = (
    Column(key="index", title="INDEX", right=True),
    Column(key="at", title="AT"),
    Column(key="action", title="ACTION"),
    Column(key="actor", title="ACTOR"),
    Column(key="subject", title="SUBJECT"),
    Column(key="data", title="DATA", wide=True),
    Column(key="leaf_hash", title="LEAF HASH", wide=True),
)
_FINDING_COLUMNS = (
    Column(key="severity", title="SEVERITY"),
    Column(key="rule", title="RULE"),
    Column(key="subject", title="PLACE"),
    Column(key="summary", title="FINDING"),
    Column(key="fix", title="FIX", wide=True),
)
_CHECKPOINT_COLUMNS = (
    Column(key="origin", title="ORIGIN"),
    Column(key="size", title="SIZE", right=True),
    Column(key="root", title="ROOT"),
)

Keys = Annotated[
    list[str] | None,
    typer.Option("--key", metavar="VERIFIER-KEY", help="Check signatures with this key; repeat for older keys. Default: own."),
]
Out = Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write the document to this file too.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """The store and the keys of a command."""

    runtime: "Runtime"
    store: "Store"
    own: "SigningKey | None"
    keys: "tuple[VerifierKey, ...]"

    @property
    def key(self) -> "VerifierKey":
        """The key of the log at present."""
        if not self.keys:
            raise UsageError(
                "this machine has no key of the audit log, so no signature can be checked",
                hint="`dbre audit key` on the machine of the control plane prints it; give it as --key",
            )
        return self.keys[0]


@asynccontextmanager
async def _opened(ctx: typer.Context, keys: list[str] | None = None, *, create: bool = False) -> AsyncIterator[_Opened]:
    from dbre.core.audit.document import AUDIT
    from dbre.core.audit.keys import signing_key
    from dbre.core.audit.signed_note import VerifierKey
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    given = tuple(VerifierKey.parse(one) for one in keys or ())
    async with here.open_store() as store:
        own = None
        if not given:
            own = await signing_key(here.config.get(AUDIT), store, directory=here.config.directory, create=create)
        yield _Opened(runtime=here, store=store, own=own, keys=given or ((own.verifier,) if own else ()))


@app.command("list")
async def list_(
    ctx: typer.Context,
    action: Annotated[str | None, typer.Option(help="Only this action; operation.* for all of an area.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only what this person or service did.")] = None,
    subject: Annotated[str | None, typer.Option(help="Only what was done to this; cluster/orders* for all below.")] = None,
    since: Annotated[str | None, typer.Option(help="Not older than this: 2h, a day of UTC, or a moment.")] = None,
    until: Annotated[str | None, typer.Option(help="Older than this.")] = None,
    before: Annotated[int | None, typer.Option(min=0, help="Only entries with a smaller index: the next page.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most this many, the newest.")] = 25,
) -> View:
    """Show who did what, the newest first."""
    from dbre.core.audit.reading import AuditQuery, entries
    from dbre.ports.runtime import runtime

    here = runtime(ctx)
    query = AuditQuery(
        action=action,
        actor=actor,
        subject=subject,
        since=moment_of("--since", since, here.clock),
        until=moment_of("--until", until, here.clock),
        before=before,
    )
    async with here.open_remote() as remote:
        rows = await _remote_entries(remote, query, limit) if remote is not None else None
    if rows is None:
        async with here.open_store() as store, store.read() as connection:
            rows = [_entry_row(one) for one in await entries(connection, query, limit)]
    notes = [f"older entries: --before {rows[-1]['index']}"] if len(rows) == limit and rows[-1]["index"] else []
    return View(kind="AuditEntryList", items=rows, columns=_ENTRY_COLUMNS, empty="no entry matches", notes=notes)


@app.command()
async def verify(
    ctx: typer.Context,
    key: Keys = None,
    witness: Annotated[
        list[Path] | None,
        typer.Option(
            "--witness", file_okay=False, help="State directory of a witness to compare with. Default: audit.witness."
        ),
    ] = None,
    since_checkpoint: Annotated[
        str | None,
        typer.Option(metavar="SIZE|latest", help="Read only what came after the checkpoint of this size."),
    ] = None,
    proof: Annotated[
        Path | None,
        typer.Option("--proof", dir_okay=False, exists=True, help="Check this document of `dbre audit prove`, offline."),
    ] = None,
    entry: Annotated[int | None, typer.Option("--entry", min=0, help="With --proof: it must be of this entry.")] = None,
) -> View:
    """Recompute the log and compare it with everything that was signed.

    Every entry, every node of the tree and every checkpoint is checked. What is wrong is told with its place, and the exit code
    is 3. A log that was put back from an old copy, or rewritten by somebody who has the key, is noticed with --witness.
    """
    if proof is not None:
        return await _verify_proof(ctx, proof, entry, key)
    if entry is not None:
        raise UsageError(
            "--entry needs the document of its proof", hint=f"dbre audit prove {entry} --out FILE; add --proof FILE"
        )
    from dbre.core.audit.document import AUDIT
    from dbre.core.audit.verification import verify_log
    from dbre.core.audit.witness import witnessed

    async with _opened(ctx, key) as opened:
        configured = opened.runtime.config.get(AUDIT).witness
        directories = witness or ([configured] if configured else [])
        known = [(f"witness {one}", witnessed(one, opened.key)) for one in directories]
        seen = [(name, checkpoint) for name, checkpoint in known if checkpoint is not None]
        since = await _checkpoint_size(opened, since_checkpoint)
        await _require_key(opened)
        found = await verify_log(opened.store, opened.keys, known=seen, since=since)
    notes = [f"{name} knows nothing of this log yet" for name, checkpoint in known if checkpoint is None]
    return _verification_view(found, notes)


@app.command()
async def prove(
    ctx: typer.Context,
    index: Annotated[int, typer.Argument(min=0, help="Of the entry.")],
    key: Keys = None,
    out: Out = None,
) -> View:
    """Print the proof that an entry is in the log, with the signed checkpoint that it leads to."""
    from dbre.core.audit.documents import proof_document
    from dbre.core.audit.reading import entry_at, inclusion_proof

    async with _opened(ctx, key) as opened:
        async with opened.store.read() as connection:
            found = await entry_at(connection, index)
        checkpoint = await _checkpoint(opened, above=index)
        async with opened.store.read() as connection:
            elements = await inclusion_proof(connection, index, checkpoint.size)
    return _document_view("AuditProof", proof_document(found.text, index, elements, checkpoint), out)


@app.command()
async def checkpoint(
    ctx: typer.Context,
    since: Annotated[
        int, typer.Option("--since", min=0, help="Add the proof for somebody who knows the log of this size.")
    ] = 0,
    key: Keys = None,
    out: Out = None,
) -> View:
    """Sign the log as it is, and print the checkpoint with a proof that the log has only grown.

    Without the signing key, the newest stored checkpoint is printed.
    """
    from dbre.core.audit.checkpoints import growth_since
    from dbre.core.audit.documents import growth_document

    async with _opened(ctx, key, create=True) as opened:
        await _checkpoint(opened, above=-1)
        async with opened.store.read() as connection:
            growth = await growth_since(connection, since, opened.key)
    if growth is None:
        raise UsageError("the audit log is empty")
    return _document_view("AuditCheckpoint", growth_document(growth), out)


@app.command()
async def export(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option("--out", help="Directory to make.")],
    form: Annotated[
        str, typer.Option("--format", metavar="jsonl|tiles", help="A line each entry, or C2SP tlog-tiles.")
    ] = "jsonl",
    key: Keys = None,
) -> View:
    """Write the log up to its newest checkpoint as files, and check it on the way."""
    from dbre.core.audit.export import ExportForm, export_log

    if form not in set(ExportForm):
        raise UsageError(f"--format {form} is not known", hint="write jsonl or tiles")
    async with _opened(ctx, key) as opened:
        await _checkpoint(opened, above=-1)
        done = await export_log(opened.store, opened.key, form=ExportForm(form), out=out)
    row = {**_checkpoint_row(done.checkpoint), "files_count": done.files_count, "directory": str(out)}
    columns = (*_CHECKPOINT_COLUMNS, Column(key="files_count", title="FILES"), Column(key="directory", title="DIRECTORY"))
    return View(kind="AuditExport", items=[row], columns=columns, single=True)


@app.command("key")
async def show_key(ctx: typer.Context) -> View:
    """Print the verifier key, for those who check signatures elsewhere; the signing key is made where there is none yet."""
    async with _opened(ctx, create=True) as opened:
        key = opened.key
    row = {"origin": key.name, "verifier_key": str(key)}
    columns = (Column(key="origin", title="ORIGIN"), Column(key="verifier_key", title="VERIFIER KEY"))
    return View(kind="AuditKey", items=[row], columns=columns, single=True, text=f"{key}\n")


@app.command()
async def witness(
    ctx: typer.Context,
    state_dir: Annotated[Path, typer.Option("--state-dir", file_okay=False, help="Where it remembers what it signed.")],
    key: Annotated[str, typer.Option("--key", metavar="VERIFIER-KEY", help="Of the log, from `dbre audit key`.")],
    origin: Annotated[str | None, typer.Option("--origin", help="Of the log; must be the name in the key.")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="URL|FILE|-", help="A control plane, or a document. Default: the state store."),
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", metavar="REFERENCE", help="For a URL: env:NAME or file:/path.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Of the witness, when its key is made.")] = "dbre-witness",
) -> View:
    """Look at the log once, and sign its checkpoint if it has only grown since the last look.

    Run it each minute by a timer, as another user or on another machine: what it remembers must not be where the log's owner
    can write. A log that has shrunk or forked is refused with exit code 5, and what was remembered stays.
    """
    from dbre.core.audit.signed_note import VerifierKey
    from dbre.core.audit.witness import Witness
    from dbre.ports.runtime import runtime

    log_key = VerifierKey.parse(key)
    if origin not in (None, log_key.name):
        raise UsageError(f"--origin {origin} is not the name in the key, {log_key.name}")
    one = Witness.open(state_dir, log_key, name=name)
    known = one.known()
    async with _source(ctx, source, token, log_key) as asked:
        growth = await asked.growth(known.size if known else 0)
    if growth is None:
        raise UsageError("the log has no checkpoint yet", hint="`dbre server` signs it, or `dbre audit checkpoint`")
    cosigned = one.accept(growth, runtime(ctx).clock)
    row = {
        **_checkpoint_row(growth.checkpoint),
        "known_size": known.size if known else None,
        "witness_key": str(one.key.verifier),
        "note": str(cosigned),
    }
    columns = (*_CHECKPOINT_COLUMNS, Column(key="known_size", title="BEFORE"), Column(key="witness_key", title="WITNESS KEY"))
    return View(kind="AuditWitness", items=[row], columns=columns, single=True)


@asynccontextmanager
async def _source(
    ctx: typer.Context, source: str | None, token: str | None, key: "VerifierKey"
) -> "AsyncIterator[CheckpointSource]":
    from dbre.core.audit.sources import DocumentSource, HttpSource, StoreSource
    from dbre.core.secrets import SecretReference
    from dbre.ports.runtime import runtime

    if source is None:
        async with runtime(ctx).open_store() as store:
            yield StoreSource(store, key)
    elif source.startswith(("http://", "https://")):
        secret = await SecretReference.parse(token).resolve() if token else None
        yield HttpSource(source, key, token=secret)
    else:
        yield DocumentSource(source, key)


async def _checkpoint(opened: _Opened, *, above: int) -> "Checkpoint":
    """A checkpoint of a log with entry ``above`` in it: the newest, or one made now by whoever has the key."""
    from dbre.core.audit.checkpoints import checkpoint_now, latest_checkpoint

    if opened.own is not None:
        newest = await checkpoint_now(opened.store, opened.own, opened.runtime.clock)
    else:
        async with opened.store.read() as connection:
            newest = await latest_checkpoint(connection, opened.key)
    if newest is None or newest.size <= above:
        raise UsageError("no checkpoint covers this part of the audit log yet", hint="`dbre server` signs it each second")
    return newest


async def _require_key(opened: _Opened) -> None:
    """Where there are signatures, something to check them with is needed. Raises: UsageError."""
    from dbre.core.audit.checkpoints import stored_notes

    async with opened.store.read() as connection:
        if await stored_notes(connection):
            _ = opened.key


async def _checkpoint_size(opened: _Opened, asked: str | None) -> int:
    from dbre.core.audit.checkpoints import stored_notes

    if asked is None:
        return 0
    async with opened.store.read() as connection:
        sizes = [size for size, _ in await stored_notes(connection)]
    if asked == "latest" and sizes:
        return sizes[-1]
    if asked.isdecimal() and int(asked) in sizes:
        return int(asked)
    near = [size for size in sizes if asked.isdecimal() and size <= int(asked)]
    hint = f"the nearest below is {near[-1]}" if near else "without --since-checkpoint all is read"
    raise UsageError(f"no checkpoint of size {asked} is stored", hint=hint)


async def _verify_proof(ctx: typer.Context, path: Path, index: int | None, keys: list[str] | None) -> View:
    from dbre.core.audit.documents import LONGEST_DOCUMENT, read_proof
    from dbre.core.audit.signed_note import VerifierKey

    with path.open(errors="replace") as file:
        text = file.read(LONGEST_DOCUMENT + 1)
    if keys:
        proved = read_proof(text, *(VerifierKey.parse(one) for one in keys))
    else:
        async with _opened(ctx) as opened:
            proved = read_proof(text, opened.key)
    if index not in (None, proved.entry.index):
        raise UsageError(f"the document proves entry {proved.entry.index}, not {index}")
    row = {"index": proved.entry.index, "entry": _fields(proved.entry), **_checkpoint_row(proved.checkpoint)}
    columns = (Column(key="index", title="INDEX"), *_CHECKPOINT_COLUMNS, Column(key="entry", title="ENTRY"))
    return View(kind="AuditProofVerification", items=[row], columns=columns, single=True)


def _verification_view(found: "Verification", notes: list[str]) -> View:
    from dbre.core.checks import Severity, exit_code_of
    from dbre.core.text import counted

    count = found.size - found.checked_from
    rows = [
        {"severity": str(one.severity), "rule": one.rule, "subject": one.subject, "summary": one.summary, "fix": one.fix}
        for one in found.findings
    ]
    looked = f"{count} {'entry' if count == 1 else 'entries'} read"
    signed = (
        f"{counted(found.checkpoints_count, 'checkpoint')} compared; {found.size - found.signed_size} entries not signed yet"
    )
    if found.omitted_findings_count:
        notes.append(f"{found.omitted_findings_count} more findings are not shown")
    return View(
        kind="AuditFindingList",
        items=rows,
        columns=_FINDING_COLUMNS,
        empty=f"the log is whole: {looked}, {signed}",
        notes=[*notes, *([f"{looked}, {signed}"] if rows else [])],
        exit_code=exit_code_of(found.findings, fail_on=Severity.WARNING) if rows else ExitCode.OK,
    )


def _document_view(kind: str, document: dict[str, Any], out: Path | None) -> View:
    import json

    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if out is not None:
        try:
            out.write_text(text)
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {error.strerror}") from error
    return View(kind=kind, items=[document], single=True, text=text)


def _fields(entry: Any) -> Row:
    return {name: getattr(entry, name) for name in ("index", "at", "action", "actor", "subject", "data")}


def _entry_row(stored: "StoredEntry") -> Row:
    return {**_fields(stored.entry), "leaf_hash": stored.leaf.hex()}


async def _remote_entries(remote: "HttpDesk", query: "AuditQuery", limit: int) -> list[Row]:
    """Page by page, as the control plane gives them."""
    from base64 import b64decode

    from dbre.core.moments import moment_from

    rows: list[Row] = []
    before = query.before
    moments = {key: at.isoformat() for key, at in (("since", query.since), ("until", query.until)) if at is not None}
    asked = {"action": query.action, "actor": query.actor, "subject": query.subject} | moments
    while len(rows) < limit:
        page = min(limit - len(rows), _API_PAGE)
        found = await remote.items("/audit/entries", **asked, before=before, limit=page)
        fields = ("index", "action", "actor", "subject", "data")
        for one in found:
            row = {key: one.get(key) for key in fields}
            leaf = b64decode(str(one.get("leaf_hash", ""))).hex()
            rows.append(row | {"at": moment_from(one.get("at")), "leaf_hash": leaf})
        if len(found) < page:
            break
        before = int(str(rows[-1]["index"]))
    return rows


def _checkpoint_row(checkpoint: "Checkpoint") -> Row:
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
