"""Making checkpoints of the log in the store, and finding them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit import tables
from dbre.core.audit.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from dbre.core.audit.errors import AuditRolledBack, EntryMissing
from dbre.core.audit.reading import consistency_proof, log_size, root_at
from dbre.core.audit.signed_note import SigningKey, VerifierKey
from dbre.core.clock import Clock
from dbre.core.store import Store
from dbre.core.store.notes import defer
from dbre.core.store.upsert import upsert

__all__ = [
    "Growth",
    "checkpoint_covering",
    "checkpoint_now",
    "growth_since",
    "latest_checkpoint",
    "require_growth",
    "stored_notes",
]

_row = tables.checkpoint.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A checkpoint, and the proof that its log begins with one of ``since`` entries; 0: there is nothing to prove."""

    checkpoint: Checkpoint
    since: int
    proof: tuple[bytes, ...]


async def stored_notes(connection: AsyncConnection, *, above: int = -1) -> Sequence[tuple[int, str]]:
    """Size and text of every stored checkpoint of a log longer than ``above``, the shortest first; nothing is checked."""
    rows = await connection.execute(select(_row.size, _row.note).where(_row.size > above).order_by(_row.size, _row.signer))
    return [(row.size, row.note) for row in rows]


async def latest_checkpoint(connection: AsyncConnection, key: VerifierKey) -> Checkpoint | None:
    """The newest stored checkpoint of this key. Raises: NoteInvalid where somebody changed it."""
    newest = _of(key).order_by(_row.size.desc()).limit(1)
    return _read((await connection.execute(newest)).scalar(), key)


async def checkpoint_covering(connection: AsyncConnection, index: int, key: VerifierKey) -> Checkpoint | None:
    """The oldest stored checkpoint of this key over a log with that entry in it. Raises: NoteInvalid."""
    oldest = _of(key).where(_row.size > index).order_by(_row.size).limit(1)
    return _read((await connection.execute(oldest)).scalar(), key)


async def checkpoint_now(store: Store, key: SigningKey, clock: Clock) -> Checkpoint | None:
    """A checkpoint of the log as it is; the newest stored one where nothing was appended since. None: the log is empty.

    The log must be a continuation of what the key signed last: a fork is never signed.

    Raises: AuditRolledBack; NoteInvalid; a StoreError.
    """
    async with store.read() as connection:
        size = await log_size(connection)
        last = await latest_checkpoint(connection, key.verifier)
        if last is not None:
            await require_growth(connection, last, size=size, who=f"the checkpoint of {last.size} entries")
            if last.size == size:
                return last
        if size == 0:
            return None
        root = await root_at(connection, size)
    made = sign_checkpoint(key, size=size, root=root)
    row = {"size": size, "signer": key.verifier.identifier, "at": clock.now(), "note": str(made)}
    await store.grouped_notes(lambda connection: defer(connection, _write, [row]))
    return made


async def require_growth(connection: AsyncConnection, known: Checkpoint, *, size: int, who: str) -> None:
    """See that the log of ``size`` entries begins with what is known of it. Raises: AuditRolledBack."""
    hint = "an older state database was put in its place, or entries were changed; dbre audit verify shows what"
    context = {"size": size, "known_size": known.size}
    if size < known.size:
        raise AuditRolledBack(
            f"the audit log has {size} entries, and {who} says it had {known.size}", hint=hint, context=context
        )
    try:
        root = await root_at(connection, known.size)
    except EntryMissing as error:
        raise AuditRolledBack(f"the audit log lacks entries that {who} covers", hint=hint, context=context) from error
    if root != known.root:
        raise AuditRolledBack(f"the audit log does not begin with what {who} covers", hint=hint, context=context)


async def growth_since(connection: AsyncConnection, since: int, key: VerifierKey) -> Growth | None:
    """The newest stored checkpoint, with a proof for somebody who knows the log of ``since`` entries; None: nothing is stored.

    Where the log is shorter than that, there is no proof, and the checkpoint itself says so.

    Raises: NoteInvalid, EntryMissing.
    """
    newest = await latest_checkpoint(connection, key)
    if newest is None:
        return None
    proof = await consistency_proof(connection, since, newest.size) if 0 < since <= newest.size else []
    return Growth(checkpoint=newest, since=since, proof=tuple(proof))


def _of(key: VerifierKey) -> Any:
    return select(_row.note).where(_row.signer == key.identifier)


def _read(note: str | None, key: VerifierKey) -> Checkpoint | None:
    return None if note is None else read_checkpoint(note, key)


async def _write(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    await upsert(connection, tables.checkpoint, rows, keys=["size", "signer"])
