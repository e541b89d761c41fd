"""Puts everything that is known of an operation into one file, which anybody can check offline."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, BinaryIO
from uuid import UUID

from sqlalchemy import select

from dbre.core.audit.checkpoints import checkpoint_now
from dbre.core.audit.signed_note import SigningKey
from dbre.core.clock import Clock
from dbre.core.operation import tables
from dbre.core.operation.evidence.delivery import write_file
from dbre.core.operation.evidence.documents import story_files
from dbre.core.operation.evidence.excerpt import entries_about, excerpt_of, log_files, signed_over
from dbre.core.operation.evidence.sealing import EvidenceUnsound, seal
from dbre.core.operation.journal import subject_of
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.reading import load
from dbre.core.store import Store

__all__ = ["EvidenceSource", "PackSummary", "SloSnapshot", "make_pack", "program_files", "write_pack"]

SloSnapshot = Callable[[OperationRecord], Awaitable[Mapping[str, Any] | None]]
"""Gives the service level objectives of the target before and after the operation; None: there are none."""

_TRIES = 3  # an operation that runs gets entries between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceSource:
    """Where the facts come from, and who signs them."""

    store: Store
    key: SigningKey  # of the audit log
    clock: Clock
    witness: Path | None = None  # state directory of a witness, whose cosignature then goes into the pack
    slo: SloSnapshot | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackSummary:
    """What was written."""

    operation_id: UUID
    state: str
    is_complete: bool  # False: the operation has not ended
    size_bytes: int
    sha256: str
    entries: int  # of the audit log
    verifier_key: str  # to give to readers by another way than the pack


async def write_pack(
    source: EvidenceSource, operation_id: UUID, out: Path | BinaryIO, *, overwrite: bool = False
) -> PackSummary:
    """Write the pack of an operation; for one that has ended, the same bytes each time.

    Raises: NoSuchOperation; EvidenceUnsound where the store is damaged; UsageError where the file exists; EvidenceNotWritten.
    """
    data, summary = await make_pack(source, operation_id)
    if isinstance(out, Path):
        await asyncio.to_thread(write_file, data, out, overwrite=overwrite)
    else:
        await asyncio.to_thread(out.write, data)
    return summary


async def make_pack(source: EvidenceSource, operation_id: UUID) -> tuple[bytes, PackSummary]:
    """The bytes of the pack, and what they are. Raises: NoSuchOperation, EvidenceUnsound, AuditRolledBack; a StoreError."""
    for _ in range(_TRIES):
        found = await _gathered(source, operation_id)
        if found is not None:
            break
        await checkpoint_now(source.store, source.key, source.clock)
    else:
        raise EvidenceUnsound(f"no checkpoint covers the log of operation {operation_id}", hint="dbre audit verify")
    record, documents, entries = found
    if source.slo is not None and (slo := await source.slo(record)) is not None:
        documents |= story_files(record, slo=slo)
    data = await asyncio.to_thread(seal, documents, source.key)
    return data, PackSummary(
        operation_id=operation_id,
        state=record.state.value,
        is_complete=record.is_final,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        entries=entries,
        verifier_key=str(source.key.verifier),
    )


async def _gathered(source: EvidenceSource, operation_id: UUID) -> tuple[OperationRecord, dict[str, bytes], int] | None:
    """All from one snapshot of the store; None: its newest entry is not covered by a checkpoint yet."""
    key = source.key.verifier
    async with source.store.read() as connection:
        record = await load(connection, operation_id)
        plan = select(tables.operation.c.plan).where(tables.operation.c.id == operation_id)
        plan_bytes = str((await connection.execute(plan)).scalar_one()).encode()
        about = await entries_about(connection, subject_of(operation_id))
        if not about:
            raise EvidenceUnsound(f"the audit log has no entry about operation {operation_id}", hint="dbre audit verify")
        checkpoint = await signed_over(connection, about[-1].entry.index, key, witness=source.witness)
        if checkpoint is None:
            return None
        excerpt = await excerpt_of(connection, about, checkpoint, key)
    return record, {**story_files(record), "plan.json": plan_bytes, **log_files(excerpt), **program_files()}, len(about)


def program_files() -> dict[str, bytes]:
    """What makes a pack explain and check itself."""
    here = files(__package__)
    return {"README.txt": (here / "readme.txt").read_bytes(), "verify.py": (here / "verify.py").read_bytes()}
