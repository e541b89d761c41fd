"""A checkpoint: the signed statement that a log had so many entries and this root. Source: https://c2sp.org/tlog-checkpoint."""

import re
from dataclasses import dataclass

from dbre.core.audit.errors import NoteInvalid
from dbre.core.audit.signed_note import Note, SigningKey, VerifierKey, decoded, encoded
from dbre.core.audit.tree import HASH_BYTES

__all__ = ["Checkpoint", "read_checkpoint", "sign_checkpoint"]

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What was signed, and the note that proves it."""

    origin: str
    size: int
    root: bytes
    note: Note

    def __str__(self) -> str:
        return str(self.note)


def sign_checkpoint(key: SigningKey, *, size: int, root: bytes) -> Checkpoint:
    """State it with the key of the log, whose name is the origin."""
    note = key.sign(f"{key.name}\n{size}\n{encoded(root)}\n")
    return Checkpoint(origin=key.name, size=size, root=root, note=note)


def read_checkpoint(text: str, *keys: VerifierKey) -> Checkpoint:
    """Read a checkpoint that one of the keys signed; a key signs only for the log that bears its name.

    Raises: NoteInvalid.
    """
    note = Note.parse(text)
    lines = note.text.removesuffix("\n").split("\n")
    if len(lines) < 3 or not all(lines) or not _NUMBER.fullmatch(lines[1]):
        raise NoteInvalid("a checkpoint is an origin, a size and a root, a line each")
    root = decoded(lines[2])
    if len(root) != HASH_BYTES:
        raise NoteInvalid(f"the root in the checkpoint has {len(root)} bytes, not {HASH_BYTES}")
    own = [key for key in keys if key.name == lines[0]]
    if not own:
        raise NoteInvalid("the checkpoint is of a log whose key is not known here")
    _require_signature(note, own)
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, note=note)


def _require_signature(note: Note, keys: list[VerifierKey]) -> None:
    for key in keys[:-1]:
        try:
            key.verify(note)
        except NoteInvalid:
            continue
        return
    keys[-1].verify(note)
