"""Entries of an index: each says what became of the vault, is signed, and names the SHA-256 of the one before.

An entry is a signed note of C2SP (a line of JSON, an empty line, a signature) and one more line of JSON, the data, whose
SHA-256 the note names. ``head -1`` shows what it is, ``tail -1 | jq`` what it says.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbre.capabilities.backup.vault.errors import IndexBroken
from dbre.capabilities.backup.vault.records import when
from dbre.core.audit.errors import NoteInvalid
from dbre.core.audit.signed_note import Note, SigningKey, VerifierKey
from dbre.core.text import one_line, printable

__all__ = ["LARGEST_ENTRY", "Entry", "EntryKind", "read_entry", "write_entry"]

LARGEST_ENTRY = 64 << 20
FORMAT = "dbre-vault-index/1"
_DASH = "\u2014 "

EntryKind = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry as it was read, its signature checked."""

    vault: str
    system: str
    number: int
    previous: str  # SHA-256 of the whole entry before; empty for the first
    at: str
    kind: EntryKind
    data: Mapping[str, Any]
    sha256: str
    signer: str


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True) + "\n"


def write_entry(
    key: SigningKey,
    *,
    vault: str,
    system: str,
    number: int,
    previous: str,
    at: datetime,
    kind: EntryKind,
    data: Mapping[str, Any],
) -> bytes:
    """An entry as it lies in the vault."""
    body = _line(data)
    head = {
        "format": FORMAT,
        "vault": vault,
        "system": system,
        "number": number,
        "previous": previous,
        "at": when(at),
        "kind": kind,
        "data_sha256": hashlib.sha256(body.encode()).hexdigest(),
    }
    return (str(key.sign(_line(head))) + body).encode()


def read_entry(raw: bytes, *, where: str, trusted: Sequence[VerifierKey]) -> Entry:
    """Read an entry and see that one of the trusted keys signed it. Raises: IndexBroken."""
    try:
        return _read(raw, trusted)
    except (NoteInvalid, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = one_line(str(error) or type(error).__name__)
        raise IndexBroken(
            f"{printable(where)} of the index is not what a trusted key signed: {reason}",
            hint="add the other writer's public key (`dbre audit key`) to the vault's signers, or take it for forged",
        ) from error


def _read(raw: bytes, trusted: Sequence[VerifierKey]) -> Entry:
    text = raw.decode("ascii", errors="strict") if _DASH.encode() not in raw else raw.decode()
    head, _, rest = text.partition("\n\n")
    signatures, _, body = rest.partition("\n{")
    note, body = Note.parse(f"{head}\n\n{signatures}\n"), "{" + body
    signer = _signer(note, trusted)
    said = json.loads(head)
    if said["format"] != FORMAT:
        raise ValueError(f"format {said['format']!r} is not {FORMAT}")
    if hashlib.sha256(body.encode()).hexdigest() != said["data_sha256"]:
        raise ValueError("its data are not those that were signed")
    return Entry(
        vault=str(said["vault"]),
        system=str(said["system"]),
        number=int(said["number"]),
        previous=str(said["previous"]),
        at=str(said["at"]),
        kind=str(said["kind"]),
        data=json.loads(body),
        sha256=hashlib.sha256(raw).hexdigest(),
        signer=str(signer),
    )


def _signer(note: Note, trusted: Sequence[VerifierKey]) -> VerifierKey:
    last: NoteInvalid | None = None
    for key in trusted:
        try:
            key.verify(note)
        except NoteInvalid as error:
            last = error if last is None or "does not fit" in str(error) else last
        else:
            return key
    names = ", ".join(one.name for one in note.signatures)
    raise last if last is not None and len(trusted) == 1 else NoteInvalid(f"signed by {names}, who is not trusted here")
