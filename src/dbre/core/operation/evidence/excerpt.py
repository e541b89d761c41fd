"""What of the audit log goes into a pack: the entries about one operation, each proved to be in a signed tree."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.checkpoint import Checkpoint
from dbre.core.audit.checkpoints import checkpoint_covering
from dbre.core.audit.reading import AuditQuery, StoredEntry, entries, inclusion_proof
from dbre.core.audit.signed_note import VerifierKey
from dbre.core.audit.witness import witnessed
from dbre.core.operation.evidence.documents import pretty

__all__ = ["LogExcerpt", "ProvedEntry", "entries_about", "excerpt_of", "log_files", "signed_over"]

_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvedEntry:
    """One entry of the log with the proof that it is in the tree of the checkpoint."""

    index: int
    entry: bytes  # canonical JSON: what the leaf is the hash of
    path: tuple[bytes, ...]  # of the inclusion proof, the nearest first


@dataclass(frozen=True, slots=True, kw_only=True)
class LogExcerpt:
    """Entries about one operation, and the signed checkpoint that all proofs lead to."""

    entries: tuple[ProvedEntry, ...]
    tree_size: int
    note: bytes  # C2SP signed note
    verifier_key: str


async def entries_about(connection: AsyncConnection, subject: str) -> list[StoredEntry]:
    """Every entry about the subject, the oldest first. Raises: AuditEntryInvalid."""
    found: list[StoredEntry] = []
    before = None
    while page := await entries(connection, AuditQuery(subject=subject, before=before), limit=_PAGE):
        found.extend(page)
        before = page[-1].entry.index
    return found[::-1]


async def signed_over(connection: AsyncConnection, index: int, key: VerifierKey, *, witness: Path | None) -> Checkpoint | None:
    """A checkpoint with that entry in it: the witness's, or the oldest stored, which stays the same. None: make one first.

    Raises: NoteInvalid; WitnessStateInvalid.
    """
    seen = witnessed(witness, key) if witness else None
    return seen if seen and seen.size > index else await checkpoint_covering(connection, index, key)


async def excerpt_of(
    connection: AsyncConnection, found: Sequence[StoredEntry], checkpoint: Checkpoint, key: VerifierKey
) -> LogExcerpt:
    """The entries with their proofs. Raises: EntryMissing."""
    proved = [
        ProvedEntry(
            index=one.entry.index,
            entry=one.text.encode(),
            path=tuple(await inclusion_proof(connection, one.entry.index, checkpoint.size)),
        )
        for one in found
    ]
    return LogExcerpt(entries=tuple(proved), tree_size=checkpoint.size, note=str(checkpoint).encode(), verifier_key=str(key))


def log_files(excerpt: LogExcerpt) -> dict[str, bytes]:
    """The files of a pack that hold the excerpt."""
    proofs = [{"index": one.index, "path": [element.hex() for element in one.path]} for one in excerpt.entries]
    return {
        "audit.jsonl": b"".join(one.entry + b"\n" for one in excerpt.entries),
        "proofs.json": pretty({"tree_size": excerpt.tree_size, "entries": proofs}),
        "checkpoint.txt": excerpt.note,
        "verifier.key": excerpt.verifier_key.encode() + b"\n",
    }
