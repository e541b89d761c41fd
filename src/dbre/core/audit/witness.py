"""A witness: remembers the longest log that it was shown, and signs only one that has grown from it.

It keeps its memory where the log's owner cannot write, best on another machine. A state database that was put back from a
backup is then shorter than what the witness knows, and one that was rewritten does not begin with it.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.checkpoint import Checkpoint, read_checkpoint
from dbre.core.audit.checkpoints import Growth, require_growth
from dbre.core.audit.errors import (
    CheckpointRefused,
    NoteInvalid,
    ProofInvalid,
    SigningKeyInvalid,
    WitnessBusy,
    WitnessStateInvalid,
)
from dbre.core.audit.private_file import create_private, read_private, replace_file
from dbre.core.audit.proofs import verify_consistency
from dbre.core.audit.reading import log_size
from dbre.core.audit.signed_note import Note, SigningKey, VerifierKey
from dbre.core.clock import Clock
from dbre.core.text import printable

__all__ = ["Witness", "require_witnessed", "witnessed"]

_KEY_FILE = "witness.key"
_LOCK_FILE = "witness.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """The witness of one log in one directory."""

    directory: Path
    key: SigningKey
    log_key: VerifierKey

    @classmethod
    def open(cls, directory: Path, log_key: VerifierKey, *, name: str) -> "Witness":
        """Open the directory; it and the witness's own key are made where they are missing.

        Raises: SigningKeyInvalid.
        """
        shown = printable(str(directory))
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = directory / _KEY_FILE
            if not path.exists():
                create_private(path, SigningKey.generate(name, is_witness=True).reveal() + "\n")
            key = SigningKey.parse(read_private(path, what="the witness's key"))
        except OSError as error:
            raise SigningKeyInvalid(
                f"{shown} cannot be used: {error.strerror}", hint="give it to the witness's user"
            ) from error
        if not key.is_witness:
            raise SigningKeyInvalid(f"{shown}/{_KEY_FILE} is not the key of a witness", hint="name another directory")
        return cls(directory=directory, key=key, log_key=log_key)

    def known(self) -> Checkpoint | None:
        """The longest log that was accepted. Raises: WitnessStateInvalid."""
        return witnessed(self.directory, self.log_key)

    def accept(self, growth: Growth, clock: Clock) -> Note:
        """Sign the checkpoint if its log begins with all that is known; it is remembered before the signature is given away.

        Raises: CheckpointRefused for a log that shrunk or forked; ProofInvalid where the proof is missing or begins elsewhere;
        WitnessBusy; WitnessStateInvalid.
        """
        shown = growth.checkpoint
        if shown.origin != self.log_key.name:
            raise NoteInvalid(f"the checkpoint is of {printable(shown.origin)}, not of {self.log_key.name}")
        with self._locked():
            known = self.known()
            if known is not None:
                _require_continuation(known, growth)
            cosigned = self.key.cosign(shown.note, int(clock.now().timestamp()))
            replace_file(_state_file(self.directory, shown.origin), _state(shown, cosigned))
        return cosigned

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self.directory / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise WitnessBusy("another witness works in the same directory", hint="retry") from error
        finally:
            os.close(descriptor)


def _require_continuation(known: Checkpoint, growth: Growth) -> None:
    shown = growth.checkpoint
    context = {"known_size": known.size, "shown_size": shown.size}
    if shown.size < known.size:
        raise CheckpointRefused(
            f"the log {shown.origin} has shrunk from {known.size} to {shown.size} entries: not signed",
            hint="an older state database was put in place; entries above are lost, or kept by somebody else",
            context=context,
        )
    if known.size == 0:
        return
    since = known.size if shown.size == known.size else growth.since
    if since != known.size:
        raise ProofInvalid(
            f"the proof begins at {growth.since} entries, and this witness knows {known.size}",
            hint=f"dbre audit checkpoint --since {known.size}",
        )
    proof = growth.proof if shown.size > known.size else ()
    try:
        verify_consistency(proof, old=known.size, old_root=known.root, new=shown.size, new_root=shown.root)
    except ProofInvalid as error:
        raise CheckpointRefused(
            f"the log {shown.origin} of {shown.size} entries does not begin with the {known.size} known here: not signed",
            hint="entries were changed, or the log was forked; compare with dbre audit verify",
            context=context,
        ) from error


def witnessed(directory: Path, log_key: VerifierKey) -> Checkpoint | None:
    """What a witness in that directory knows of the log; None: nothing yet. Raises: WitnessStateInvalid."""
    path = _state_file(directory, log_key.name)
    try:
        found = json.loads(path.read_text())
        note = found["note"]
        known = read_checkpoint(note, log_key)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, NoteInvalid) as error:
        reason = error.message if isinstance(error, NoteInvalid) else type(error).__name__
        raise WitnessStateInvalid(
            f"{printable(str(path))} cannot be used: {reason}",
            hint="it was changed, or the log has another key; move it aside only if you know why",
        ) from error
    if (found.get("origin"), found.get("size")) != (known.origin, known.size):
        raise WitnessStateInvalid(f"{printable(str(path))} contradicts itself", hint="it was changed by hand")
    return known


async def require_witnessed(connection: AsyncConnection, directory: Path, log_key: VerifierKey) -> Checkpoint | None:
    """See that the log in the store begins with what the witness knows; None: the witness knows nothing yet.

    Raises: AuditRolledBack; WitnessStateInvalid.
    """
    known = witnessed(directory, log_key)
    if known is not None:
        await require_growth(connection, known, size=await log_size(connection), who=f"witness {printable(str(directory))}")
    return known


def _state_file(directory: Path, origin: str) -> Path:
    return directory / f"{hashlib.sha256(origin.encode()).hexdigest()[:32]}.json"


def _state(checkpoint: Checkpoint, cosigned: Note) -> str:
    state: dict[str, Any] = {"origin": checkpoint.origin, "size": checkpoint.size, "note": str(cosigned)}
    return json.dumps(state, indent=2, ensure_ascii=False) + "\n"
