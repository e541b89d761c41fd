"""Verifying the whole log: every entry, every node, every checkpoint; with the place of each thing that is wrong."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from dbre.core.audit.checkpoint import Checkpoint, read_checkpoint
from dbre.core.audit.checkpoints import stored_notes
from dbre.core.audit.entries import AuditEntry, read_entry
from dbre.core.audit.errors import AuditEntryInvalid, EntryMissing, NoteInvalid
from dbre.core.audit.reading import frontier_at, log_size
from dbre.core.audit.rows import RawRow, lowest_index, raw_rows
from dbre.core.audit.signed_note import VerifierKey
from dbre.core.audit.tree import HASH_BYTES, Frontier, leaf_hash
from dbre.core.checks import Finding, Severity
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["Verification", "verify_log"]

_CHUNK = 1000  # rows read in one transaction and checked without giving way to others
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_FINDINGS = 1000


@dataclass(slots=True, kw_only=True)
class Verification:
    """What was looked at, and what is wrong with it."""

    size: int  # entries that the log should have: up to the last one found
    checked_from: int = 0
    root: bytes = b""
    checkpoints_count: int = 0
    signed_size: int = 0  # entries under the newest valid checkpoint
    findings: list[Finding] = field(default_factory=list)
    omitted_findings_count: int = 0


async def verify_log(
    store: Store, keys: Sequence[VerifierKey], *, known: Sequence[tuple[str, Checkpoint]] = (), since: int = 0
) -> Verification:
    """Recompute the log and compare it with everything that was ever signed of it.

    ``known`` are checkpoints from elsewhere, a witness for example, with the name of who keeps them. With ``since`` only what
    was appended after the checkpoint of that size is read; the part before stands for itself by that checkpoint.

    Raises: a StoreError.
    """
    async with store.read() as connection:
        size = await log_size(connection)
        notes = await stored_notes(connection, above=since - 1)
        try:
            frontier = await frontier_at(connection, since)
        except EntryMissing:
            frontier = _unknown(since)
        lowest = await lowest_index(connection)
    result = Verification(size=size, checked_from=since)
    verifier = _Verifier(result, frontier)
    verifier.take_checkpoints(notes, keys, known)
    if lowest < 0:
        verifier.find("audit.entry_misplaced", f"audit/entry/{lowest}", f"a row has index {lowest}, before the first entry")
    start = since
    while start < size:
        async with store.read() as connection:
            rows = await raw_rows(connection, start=start, limit=min(_CHUNK, size - start))
        if not rows:
            break
        await asyncio.to_thread(verifier.check_rows, rows)
        start = rows[-1].index + 1
    verifier.finish()
    return result


class _Verifier:
    """Two trees are grown: from the entries, and, once one of them differs, from the leaf hashes that were stored with them.

    A checkpoint that fits the second but not the first tells that an entry was changed, and that its old hash is authentic; one
    that fits neither tells that history was rewritten.
    """

    def __init__(self, result: Verification, frontier: Frontier) -> None:
        self._result = result
        self._computed = frontier
        self._stored: Frontier | None = None
        self._broken_at: int | None = None  # the first missing entry: no tree can be grown past it
        self._checkpoints: list[tuple[str, Checkpoint]] = []
        self._matching_size = 0

    def take_checkpoints(
        self, notes: Sequence[tuple[int, str]], keys: Sequence[VerifierKey], known: Sequence[tuple[str, Checkpoint]]
    ) -> None:
        """Read what was signed, and compare it with the log as it is before the first row."""
        for size, note in notes:
            try:
                one = read_checkpoint(note, *keys)
            except NoteInvalid as error:
                self.find("audit.checkpoint_invalid", f"audit/checkpoint/{size}", f"checkpoint of size {size}: {error.message}")
                continue
            if one.size != size:
                self.find("audit.checkpoint_invalid", f"audit/checkpoint/{size}", f"its note is of {one.size} entries")
            self._checkpoints.append(("the state store", one))
        self._result.checkpoints_count = len(self._checkpoints)
        self._checkpoints += known
        self._checkpoints.sort(key=lambda one: one[1].size, reverse=True)
        self._compare()

    def check_rows(self, rows: Sequence[RawRow]) -> None:
        """Check the next rows."""
        for row in rows:
            if row.index != self._computed.size:
                self._miss(self._computed.size, row.index)
            self._check_row(row)
            self._compare()

    def finish(self) -> None:
        """Look at what lies beyond the last row."""
        result = self._result
        result.root = self._computed.root()
        if self._checkpoints:  # those that were not reached; the longest is the first
            keeper, one = self._checkpoints[0]
            self.find(
                "audit.log_truncated",
                f"audit/entry/{result.size}-{one.size - 1}",
                f"the log ends after {result.size} entries; {keeper} has a signed checkpoint of {one.size}",
            )
        if not result.signed_size and result.size and not result.findings:
            self.find(
                "audit.unsigned",
                "audit/checkpoint",
                f"none of the {result.size} entries is under a checkpoint: a log rewritten as a whole would not be noticed",
                severity=Severity.WARNING,
            )

    def _check_row(self, row: RawRow) -> None:
        place = f"audit/entry/{row.index}"
        raw = row.entry if isinstance(row.entry, bytes) else b""
        for rule, reason in _faults_of(row, raw):
            self.find(rule, place, f"entry {row.index}: {reason}")
        nodes = row.nodes if isinstance(row.nodes, bytes) else b""
        leaf, stored_leaf = leaf_hash(raw), nodes[:HASH_BYTES]
        if leaf != stored_leaf:
            self.find("audit.entry_changed", place, f"entry {row.index} is not what its leaf hash was made of")
            if self._stored is None:
                self._stored = self._computed.copy()
        computed = b"".join(self._computed.append(leaf))
        expected = [computed]
        if self._stored is not None:
            expected.append(b"".join(self._stored.append(stored_leaf.ljust(HASH_BYTES, b"\0"))))
        if nodes not in expected and self._broken_at is None:
            self.find("audit.node_changed", place, f"the hashes stored with entry {row.index} do not follow from the entries")

    def _compare(self) -> None:
        """Compare with the checkpoints of the size that is reached."""
        size = self._computed.size
        while self._checkpoints and self._checkpoints[-1][1].size <= size:
            keeper, one = self._checkpoints.pop()
            if one.size < size or self._broken_at is not None:
                continue  # before what is looked at, or above a gap that was told of
            if one.root == self._computed.root():
                self._matching_size = size
            elif self._stored is None or one.root != self._stored.root():
                self.find(
                    "audit.history_rewritten",
                    f"audit/entry/{self._matching_size}-{size - 1}",
                    f"the log of {size} entries does not have the root that was signed ({keeper})",
                    evidence={"matching_size": self._matching_size, "checkpoint_size": size},
                )
            self._result.signed_size = size

    def _miss(self, start: int, end: int) -> None:
        what = f"entry {start} is" if end - start == 1 else f"entries {start} to {end - 1} are"
        self.find("audit.entry_missing", f"audit/entry/{start}-{end - 1}", f"{what} missing")
        self._broken_at = start if self._broken_at is None else self._broken_at
        self._computed = _unknown(end)
        self._stored = None

    def find(
        self,
        rule: str,
        subject: str,
        summary: str,
        *,
        severity: Severity = Severity.CRITICAL,
        evidence: dict[str, object] | None = None,
    ) -> None:
        """Add a finding."""
        if len(self._result.findings) >= _MOST_FINDINGS:
            self._result.omitted_findings_count += 1
            return
        fix = "compare with a copy of the state store, and find out who could write to it"
        if severity is Severity.WARNING:
            fix = "run `dbre server`, which signs the log each second"
        finding = Finding(rule=rule, severity=severity, subject=subject, summary=summary, evidence=evidence or {}, fix=fix)
        self._result.findings.append(finding)


def _unknown(size: int) -> Frontier:
    """A frontier that can grow, and whose root fits no checkpoint."""
    return Frontier(size, [bytes(HASH_BYTES)] * size.bit_count())


def _faults_of(row: RawRow, raw: bytes) -> Iterator[tuple[str, str]]:
    """What is wrong with a row in itself: rule and reason."""
    try:
        entry = read_entry(raw.decode())
    except (AuditEntryInvalid, UnicodeDecodeError) as error:
        yield "audit.entry_unreadable", getattr(error, "message", "it is not UTF-8")
        return
    if entry.index != row.index:
        yield "audit.entry_misplaced", f"it says that it is entry {entry.index}"
    for name, stored, wanted in _copies(row, entry):
        if stored != wanted:
            shown = printable(stored.decode(errors="replace") if isinstance(stored, bytes) else str(stored), limit=100)
            yield "audit.copy_changed", f"its column {name} is {shown}, which the entry does not say"


def _copies(row: RawRow, entry: AuditEntry) -> Iterator[tuple[str, Any, Any]]:
    yield "at", row.at, (entry.at - _EPOCH) // timedelta(microseconds=1)
    yield "action", row.action, entry.action.encode()
    yield "actor", row.actor, entry.actor.encode()
    yield "subject", row.subject, entry.subject.encode()
