"""Operations that never ran, a log in memory with a Merkle tree written the slow way, and packs of both."""

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

from dbre.core.audit.signed_note import SigningKey
from dbre.core.operation.evidence.documents import story_files
from dbre.core.operation.evidence.excerpt import LogExcerpt, ProvedEntry, log_files
from dbre.core.operation.evidence.pack import program_files
from dbre.core.operation.evidence.sealing import seal
from dbre.core.operation.fingerprint import result_hash
from dbre.core.operation.model import Approval, GateRecord, OperationRecord, Override, StepRecord
from dbre.core.operation.plan import Change, Plan, PlannedOperation, Step, canonical
from dbre.core.operation.states import OperationState, StepPhase, StepState

BEGIN = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
ID = UUID("0192f3c1-0000-7000-8000-000000000001")
SUBJECT = f"operation/{ID}"


def make_key(name: str = "dbre.example/log", seed: int = 1, *, is_witness: bool = False) -> SigningKey:
    """A key; each seed gives another."""
    return SigningKey(name=name, seed=bytes([seed]) * 32, is_witness=is_witness)


WITNESS = make_key("witness.example", 9, is_witness=True)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The definition of RFC 6962, 2.1, word for word."""
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + tree_root(leaves[:middle]) + tree_root(leaves[middle:])).digest()


def tree_path(index: int, leaves: Sequence[bytes]) -> tuple[bytes, ...]:
    """The definition of RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return ()
    middle = 1 << (len(leaves) - 1).bit_length() - 1
    if index < middle:
        return (*tree_path(index, leaves[:middle]), tree_root(leaves[middle:]))
    return (*tree_path(index - middle, leaves[middle:]), tree_root(leaves[:middle]))


def make_record(state: OperationState = OperationState.SUCCEEDED, *, note: str = "reloaded") -> OperationRecord:
    """Two parameters changed on one instance, with an approval, a gate that was overridden and a note."""
    plan = Plan(
        target="cluster/orders",
        summary="set 1 parameter on 1 instance of orders",
        steps=(Step("change:orders-1", input={"work_mem": "64MB"}, undo="revert"), Step("reload:orders-1")),
        changes=(Change(subject="orders-1: work_mem", before="4MB", after="64MB"),),
        observed={"orders-1": {"work_mem": "4MB", "load": 0.25}},
    )
    planned = PlannedOperation(kind="settings.apply", definition_version=1, input={"cluster": "orders"}, plan=plan)
    steps = tuple(
        StepRecord(
            seq=seq, phase=StepPhase.DO, name=step.name, state=StepState.DONE, attempt=1, owner="w1", tries=1,
            started_at=BEGIN + timedelta(seconds=seq), ended_at=BEGIN + timedelta(seconds=seq + 0.5),
            result={"work_mem": "64MB"}, error=None, is_recovered=False, progress=None, notes=(note,),
        )
        for seq, step in enumerate(plan.steps)
    )  # fmt: skip
    gate = GateRecord(
        gate="freeze-window", verdict="refuse", reason="frozen until 08:00", evidence={"until": "08:00"}, moment="start",
        step=None, at=BEGIN, is_overridden=True,
    )  # fmt: skip
    return OperationRecord(
        id=ID, planned=planned, plan_hash=planned.hash, state=state, requested_by="ada", reason="ticket 7", attempt=1,
        owner=None, zone=None, priority=4, dedup_key=None, parent_id=None, created_at=BEGIN, not_before=None, deadline=None,
        started_at=BEGIN, ended_at=BEGIN + timedelta(seconds=2) if state is OperationState.SUCCEEDED else None,
        cancel_requested_by=None, abort_reason=None, hold=None, tuning={}, error=None, outcome={"work_mem": "64MB"},
        steps=steps, approvals=(Approval(approver="grace", plan_hash=planned.hash, at=BEGIN, comment="fine"),),
        overrides=(Override(gate="freeze-window", by="ada", reason="outage", ticket=None, at=BEGIN),), gates=(gate,),
    )  # fmt: skip


def steps_done(record: OperationRecord) -> list[dict[str, object]]:
    """What the log says of the ends of steps."""
    return [
        {"step": one.name, "seq": one.seq, "phase": one.phase.value, "result_hash": result_hash(one.result or {})}
        for one in record.steps
    ]


def entries_about(record: OperationRecord) -> list[dict[str, object]]:
    """What the log would hold: submitted, approved, overridden, and each change of state."""
    told: list[tuple[str, str, dict[str, object]]] = [
        ("operation.planned", "ada", {"plan_hash": record.plan_hash}),
        ("gate.overridden", "ada", {"gate": "freeze-window"}),
        ("operation.approved", "grace", {"plan_hash": record.plan_hash}),
    ]
    told += [("operation.step_done", "w1", done) for done in steps_done(record)]
    path = ["awaiting_approval", "queued", "running", "verifying", "succeeded"]
    told += [(f"operation.{new}", "w1", {"from": old}) for old, new in pairwise(path[: path.index(record.state.value) + 1])]
    return [{"action": action, "actor": actor, "at": "2026-11-21T03:00:00Z", "data": data} for action, actor, data in told]


def make_excerpt(record: OperationRecord, key: SigningKey, *, others: int = 3, witness: SigningKey | None = None) -> LogExcerpt:
    """The entries of a record among those of other operations, in a signed tree."""
    rows: list[tuple[bool, dict[str, object]]] = []
    for one in entries_about(record):
        rows += [(False, {"action": "identity.login", "subject": "x"})] * others + [(True, one | {"subject": SUBJECT})]
    rows += [(False, {"action": "identity.login", "subject": "x"})] * others
    leaves = [canonical(row | {"index": index}) for index, (_, row) in enumerate(rows)]
    note = key.sign(f"{key.name}\n{len(leaves)}\n{base64.b64encode(tree_root(leaves)).decode()}\n")
    note = witness.cosign(note, 1_795_000_000) if witness else note
    proved = [
        ProvedEntry(index=index, entry=leaves[index], path=tree_path(index, leaves))
        for index, (is_ours, _) in enumerate(rows)
        if is_ours
    ]
    return LogExcerpt(entries=tuple(proved), tree_size=len(leaves), note=str(note).encode(), verifier_key=str(key.verifier))


def make_files(record: OperationRecord, excerpt: LogExcerpt) -> dict[str, bytes]:
    """All files but manifest and statement."""
    return {**story_files(record), "plan.json": canonical(record.planned.document()), **log_files(excerpt), **program_files()}


def make_pack(
    record: OperationRecord | None = None, key: SigningKey | None = None, *, witness: SigningKey | None = WITNESS
) -> bytes:
    """A sound pack."""
    record, key = record or make_record(), key or make_key()
    return seal(make_files(record, make_excerpt(record, key, witness=witness)), key)


def changed(files: dict[str, bytes], name: str, change: Callable[[dict[str, object]], object]) -> dict[str, bytes]:
    """The files with one JSON document changed."""
    document = json.loads(files[name])
    change(document)
    return {**files, name: json.dumps(document).encode()}


def running(record: OperationRecord) -> OperationRecord:
    """The same operation, not ended yet."""
    return replace(record, state=OperationState.RUNNING, ended_at=None)
