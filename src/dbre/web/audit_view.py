"""What the pages and the API show of the audit log."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.core.audit.checkpoint import Checkpoint
from dbre.core.audit.checkpoints import checkpoint_covering, latest_checkpoint
from dbre.core.audit.documents import proof_document
from dbre.core.audit.errors import EntryMissing, NoteInvalid, WitnessStateInvalid
from dbre.core.audit.reading import StoredEntry, entry_at, inclusion_proof, log_size
from dbre.core.audit.verification import Verification, verify_log
from dbre.core.audit.witness import witnessed
from dbre.core.errors import Conflict, Refused
from dbre.web.problems import NotFound
from dbre.web.services import Services

__all__ = ["VERIFY_SECONDS", "WHOLE_LOG", "AuditState", "Verified", "audit_state", "entry_of", "proof_of", "verify"]

WHOLE_LOG = "the audit log, which is about the whole fleet"
"""What administrators read; one for a part of the fleet is none here."""

VERIFY_SECONDS = 60.0
"""How long a verification that a page asked for may take; `dbre audit verify` has no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditState:
    """The log as it stands."""

    size: int
    verifier_key: str
    checkpoint: Checkpoint | None  # None: nothing is signed yet
    witness_size: int | None  # entries that the witness knows; None: no witness is configured, or it knows nothing yet
    has_witness: bool
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What came of reading the whole log."""

    verification: Verification
    seconds: float
    at: datetime


async def audit_state(wired: Services) -> AuditState:
    """Look at size, checkpoint and witness. Raises: a StoreError."""
    signer, problems, newest, known = wired.audit.checkpointer, [], None, None
    async with wired.store.read() as connection:
        size = await log_size(connection)
        try:
            newest = await latest_checkpoint(connection, signer.key.verifier)
        except NoteInvalid as error:
            problems.append(f"the newest checkpoint was changed: {error.message}")
    if signer.witness is not None:
        try:
            known = await asyncio.to_thread(witnessed, signer.witness, signer.key.verifier)
        except WitnessStateInvalid as error:
            problems.append(error.message)
    if signer.problem is not None:
        problems.insert(0, f"the log is not signed: {signer.problem.message}")
    return AuditState(
        size=size,
        verifier_key=str(signer.key.verifier),
        checkpoint=newest,
        witness_size=known.size if known else None,
        has_witness=signer.witness is not None,
        problems=tuple(dict.fromkeys(problems)),
    )


async def entry_of(wired: Services, index: int) -> StoredEntry:
    """One entry. Raises: NotFound, AuditEntryInvalid."""
    async with wired.store.read() as connection:
        try:
            return await entry_at(connection, index)
        except EntryMissing as error:
            raise NotFound(error.message) from error


async def proof_of(wired: Services, index: int) -> dict[str, object]:
    """The proof that an entry is in the log. Raises: NotFound; AuditRolledBack where the log cannot be signed."""
    found, signer = await entry_of(wired, index), wired.audit.checkpointer
    for _ in range(2):
        async with wired.store.read() as connection:
            covering = await checkpoint_covering(connection, index, signer.key.verifier)
            if covering is not None:
                elements: Sequence[bytes] = await inclusion_proof(connection, index, covering.size)
                return proof_document(found.text, index, elements, covering)
        await signer.checkpoint_now()
    raise Refused(f"entry {index} is under no checkpoint", hint="dbre audit verify")


async def verify(wired: Services) -> Verified:
    """Read the whole log, as ``dbre audit verify`` does.

    Raises: Conflict while another verification runs; Refused where it takes longer than ``VERIFY_SECONDS``.
    """
    signer, lock = wired.audit.checkpointer, wired.audit.verifying
    if lock.locked():
        raise Conflict("the audit log is being verified for somebody else", hint="try again in a minute")
    known = []
    async with lock:
        if signer.witness is not None:
            seen = await asyncio.to_thread(witnessed, signer.witness, signer.key.verifier)
            known = [(f"witness {signer.witness}", seen)] if seen else []
        begun = wired.clock.monotonic()
        try:
            async with asyncio.timeout(VERIFY_SECONDS):
                found = await verify_log(wired.store, [signer.key.verifier], known=known)
        except TimeoutError as error:
            raise Refused(
                f"the audit log is not read within {VERIFY_SECONDS:.0f} s", hint="dbre audit verify has no such limit"
            ) from error
        return Verified(verification=found, seconds=wired.clock.monotonic() - begun, at=wired.clock.now())
