"""The JSON documents in which proofs travel: written for anybody, read strictly."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.core.audit.checkpoint import Checkpoint, read_checkpoint
from dbre.core.audit.checkpoints import Growth
from dbre.core.audit.entries import AuditEntry, read_entry
from dbre.core.audit.errors import NoteInvalid, ProofInvalid
from dbre.core.audit.proofs import verify_inclusion
from dbre.core.audit.signed_note import VerifierKey, decoded, encoded
from dbre.core.audit.tree import HASH_BYTES, leaf_hash

__all__ = [
    "LONGEST_DOCUMENT",
    "EntryProof",
    "growth_document",
    "proof_document",
    "read_growth",
    "read_proof",
]

LONGEST_DOCUMENT = 1_000_000
"""Characters of a document that are read."""

_PROOF = "dbre-audit-proof/v1"
_GROWTH = "dbre-audit-growth/v1"
_LONGEST_PROOF = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof:
    """An entry of the log, and that it was there when the checkpoint was signed."""

    entry: AuditEntry
    checkpoint: Checkpoint


def proof_document(text: str, index: int, proof: Sequence[bytes], checkpoint: Checkpoint) -> dict[str, Any]:
    """An entry with its inclusion proof in the tree of the checkpoint."""
    return {
        "format": _PROOF,
        "index": index,
        "entry": text,
        "leaf_hash": encoded(leaf_hash(text.encode())),
        "proof": [encoded(one) for one in proof],
        "checkpoint": str(checkpoint),
    }


def read_proof(text: str, *keys: VerifierKey) -> EntryProof:
    """Read such a document and check all of it. Raises: ProofInvalid, NoteInvalid, AuditEntryInvalid."""
    found = _read(text, _PROOF, {"index": int, "entry": str, "leaf_hash": str, "proof": list, "checkpoint": str})
    checkpoint = read_checkpoint(found["checkpoint"], *keys)
    entry = read_entry(found["entry"])
    leaf = leaf_hash(found["entry"].encode())
    if entry.index != found["index"] or decoded(found["leaf_hash"]) != leaf:
        raise ProofInvalid("index or leaf hash in the proof are not those of its entry")
    verify_inclusion(_hashes(found["proof"]), leaf=leaf, index=entry.index, size=checkpoint.size, root=checkpoint.root)
    return EntryProof(entry=entry, checkpoint=checkpoint)


def growth_document(growth: Growth) -> dict[str, Any]:
    """A checkpoint for a witness, with the proof that the log has only grown."""
    return {
        "format": _GROWTH,
        "since": growth.since,
        "proof": [encoded(one) for one in growth.proof],
        "checkpoint": str(growth.checkpoint),
    }


def read_growth(text: str, *keys: VerifierKey) -> Growth:
    """Read such a document; only signature and form are checked. Raises: ProofInvalid, NoteInvalid."""
    found = _read(text, _GROWTH, {"since": int, "proof": list, "checkpoint": str})
    checkpoint = read_checkpoint(found["checkpoint"], *keys)
    return Growth(checkpoint=checkpoint, since=found["since"], proof=tuple(_hashes(found["proof"])))


def _read(text: str, form: str, keys: Mapping[str, type]) -> dict[str, Any]:
    if len(text) > LONGEST_DOCUMENT:
        raise ProofInvalid(f"the document is longer than {LONGEST_DOCUMENT:,} characters")
    try:
        found = json.loads(text, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ProofInvalid("the document is not JSON") from error
    if isinstance(found, dict) and "api_version" in found:
        found = found.get("item")  # as -o json prints it
    if not isinstance(found, dict) or found.get("format") != form:
        raise ProofInvalid(f"the document is not in the format {form}")
    if set(found) != {"format", *keys}:
        raise ProofInvalid(f"the document has other keys than format, {', '.join(keys)}")
    for key, kind in keys.items():
        if type(found[key]) is not kind or (kind is int and found[key] < 0):
            raise ProofInvalid(f"{key} in the document is not what it should be")
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProofInvalid("the document names a key twice")
    return found


def _hashes(items: Sequence[Any]) -> list[bytes]:
    if len(items) > _LONGEST_PROOF or not all(isinstance(one, str) for one in items):
        raise ProofInvalid(f"a proof is a list of at most {_LONGEST_PROOF} base64 texts")
    try:
        hashes = [decoded(one) for one in items]
    except NoteInvalid as error:
        raise ProofInvalid("a hash of the proof is not base64") from error
    if any(len(one) != HASH_BYTES for one in hashes):
        raise ProofInvalid(f"a hash of the proof is not {HASH_BYTES} bytes long")
    return hashes
