"""Packs from a real state store with a real audit log, on both databases."""

import json
import stat
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from evidence_kit import BEGIN, ID, SUBJECT, make_key, make_record, steps_done
from sqlalchemy import insert, text, update

from dbre.core.audit.checkpoints import checkpoint_now, growth_since
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.audit.witness import Witness
from dbre.core.clock import SystemClock
from dbre.core.errors import UsageError
from dbre.core.events import EventLog
from dbre.core.operation import tables
from dbre.core.operation.errors import NoSuchOperation
from dbre.core.operation.evidence import verify
from dbre.core.operation.evidence.delivery import EvidenceNotWritten
from dbre.core.operation.evidence.pack import EvidenceSource, make_pack, write_pack
from dbre.core.operation.evidence.sealing import EvidenceUnsound
from dbre.core.operation.journal import Journal
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.plan import canonical
from dbre.core.operation.states import OperationState
from dbre.core.store import Store

KEY = make_key()
CLOCK = SystemClock()
AUDIT = AuditLog(CLOCK)
PLANTED = "hunter2-s3cr3t"
LEAKS = (
    f"connection to postgresql://dbre:{PLANTED}@db/orders failed",
    f"ALTER ROLE dbre PASSWORD '{PLANTED}'",
    f"requirepass={PLANTED}",
    f"Authorization: Bearer {PLANTED}",
)


RESULT = {"output": LEAKS[1], "password": PLANTED, "secrets": [{"a": PLANTED}], "system_identifier": 2**63}


async def put(store: Store, record: OperationRecord) -> None:
    """Store an operation as the desk and the runner would, with what leaks in every text that others write."""
    columns = {
        name: getattr(record, name)
        for name in (
            "id", "plan_hash", "requested_by", "attempt", "zone", "priority", "dedup_key", "parent_id", "created_at",
            "not_before", "deadline", "started_at", "tuning",
        )
    }  # fmt: skip
    document = record.planned.document()
    steps = [
        {
            "operation_id": record.id, "seq": one.seq, "phase": one.phase.value, "name": one.name, "state": one.state.value,
            "attempt": 1, "owner": "w1", "tries": 1, "started_at": one.started_at, "ended_at": one.ended_at,
            "input_hash": "0" * 64, "result": RESULT,
            "error": {"message": LEAKS[0]}, "is_recovered": False, "progress": None, "notes": list(LEAKS),
        }
        for one in record.steps
    ]  # fmt: skip
    async with store.begin() as connection:
        await connection.execute(
            insert(tables.operation).values(
                **columns, kind="settings.apply", definition_version=1, target_key=document["target"],
                state="awaiting_approval", plan=canonical(document).decode(), reason=LEAKS[0], error={"message": LEAKS[1]},
                outcome={"seen": LEAKS[2]},
                abort_reason=LEAKS[3],
            )
        )  # fmt: skip
        await connection.execute(insert(tables.step), steps)
        approval = {"approver": "grace", "plan_hash": record.plan_hash, "at": BEGIN, "comment": LEAKS[2]}
        await connection.execute(insert(tables.approval).values(operation_id=record.id, **approval))
        override = {"gate": "freeze-window", "by": "ada", "reason": LEAKS[3], "ticket": None, "at": BEGIN}
        await connection.execute(insert(tables.gate_override).values(operation_id=record.id, **override))
        decision = {"gate": "slo", "verdict": "hold", "reason": LEAKS[0], "evidence": {"dsn": PLANTED}, "moment": "start"}
        await connection.execute(
            insert(tables.gate_decision).values(operation_id=record.id, at=BEGIN, is_overridden=False, step=None, **decision)
        )
        await AUDIT.record(
            connection,
            AuditDraft(action="operation.planned", actor="ada", subject=SUBJECT, data={"plan_hash": record.plan_hash}),
            AuditDraft(action="gate.overridden", actor="ada", subject=SUBJECT, data={"gate": "freeze-window"}),
            AuditDraft(action="operation.approved", actor="grace", subject=SUBJECT, data={"plan_hash": record.plan_hash}),
            *(
                AuditDraft(action="operation.step_done", actor="w1", subject=SUBJECT, data=done)
                for done in steps_done(replace(record, steps=tuple(replace(one, result=RESULT) for one in record.steps)))
            ),
        )


async def move(store: Store, record: OperationRecord, *states: OperationState) -> OperationRecord:
    journal = Journal(AUDIT, EventLog(CLOCK), CLOCK)
    for state in states:
        async with store.begin() as connection:
            await journal.move(connection, record, state, actor="w1")
        await AUDIT.append(store, AuditDraft(action="identity.login", actor="eve", subject="identity/eve"))
        record = replace(record, state=state)
    return record


RAN = (OperationState.QUEUED, OperationState.RUNNING, OperationState.VERIFYING, OperationState.SUCCEEDED)


@pytest.fixture
async def source(store: Store) -> EvidenceSource:
    record = replace(make_record(), state=OperationState.AWAITING_APPROVAL)
    await put(store, record)
    await move(store, record, *RAN)
    return EvidenceSource(store=store, key=KEY, clock=CLOCK)


async def test_a_pack_of_the_store_proves_itself_and_stays_the_same(source: EvidenceSource, tmp_path: Path) -> None:
    data, summary = await make_pack(source, ID)
    files = verify.unpack(data)
    assert verify.report(verify.Pack(files, verify.verifier_key(str(KEY.verifier)))) == (
        True,
        verify.report(verify.Pack(files))[1],
    )
    assert (summary.state, summary.is_complete, summary.entries, summary.size_bytes) == ("succeeded", True, 9, len(data))
    assert json.loads(files["plan.json"])["observed"] == json.loads(files["snapshots.json"])["before"]
    for number in range(5):  # the log goes on, with checkpoints
        await AUDIT.append(source.store, AuditDraft(action="identity.login", actor=f"u{number}", subject="identity/u"))
        await checkpoint_now(source.store, KEY, CLOCK)
    assert await make_pack(source, ID) == (data, summary)


async def test_no_planted_secret_leaves_the_store(source: EvidenceSource) -> None:
    async def slo(_record: OperationRecord) -> Mapping[str, Any]:
        return {"before": {"note": LEAKS[0]}, "after": {"token": PLANTED}}

    files = verify.unpack((await make_pack(replace(source, slo=slo), ID))[0])
    assert "slo.json" in files
    for name, data in files.items():
        assert PLANTED.encode() not in data, name
    assert sum(data.count(b"***") for data in files.values()) >= 30


async def test_a_running_operation_gives_a_pack_that_says_so(store: Store) -> None:
    record = replace(make_record(), state=OperationState.AWAITING_APPROVAL)
    await put(store, record)
    await move(store, record, OperationState.QUEUED, OperationState.RUNNING)
    data, summary = await make_pack(EvidenceSource(store=store, key=KEY, clock=CLOCK), ID)
    assert (summary.state, summary.is_complete) == ("running", False)
    assert verify.report(verify.Pack(verify.unpack(data)))[0]


async def test_the_cosignature_of_a_witness_goes_into_the_pack(source: EvidenceSource, tmp_path: Path) -> None:
    witness = Witness.open(tmp_path / "witness", KEY.verifier, name="witness.example")
    await checkpoint_now(source.store, KEY, CLOCK)
    async with source.store.read() as connection:
        growth = await growth_since(connection, 0, KEY.verifier)
    assert growth is not None
    witness.accept(growth, CLOCK)
    data, _ = await make_pack(replace(source, witness=tmp_path / "witness"), ID)
    cosigner = verify.verifier_key(str(witness.key.verifier))
    assert verify.report(verify.Pack(verify.unpack(data), witness=cosigner))[0]
    assert not verify.report(verify.Pack(verify.unpack((await make_pack(source, ID))[0]), witness=cosigner))[0]


async def test_the_file_is_private_whole_and_never_in_the_place_of_another(source: EvidenceSource, tmp_path: Path) -> None:
    out = tmp_path / "pack.zip"
    summary = await write_pack(source, ID, out)
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert out.stat().st_size == summary.size_bytes
    with pytest.raises(UsageError, match="exists"):
        await write_pack(source, ID, out)
    out.write_bytes(b"old")
    out.chmod(0o644)
    await write_pack(source, ID, out, overwrite=True)
    assert (out.stat().st_size, stat.S_IMODE(out.stat().st_mode)) == (summary.size_bytes, 0o600)
    (tmp_path / "dangling.zip").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="exists"):
        await write_pack(source, ID, tmp_path / "dangling.zip")
    with pytest.raises(EvidenceNotWritten, match="No such file"):
        await write_pack(source, ID, tmp_path / "nowhere" / "pack.zip")
    assert not list(tmp_path.glob(".dbre-*"))
    buffer = BytesIO()
    await write_pack(source, ID, buffer)
    assert buffer.getvalue() == out.read_bytes()


async def test_a_damaged_store_gives_no_pack(source: EvidenceSource) -> None:
    with pytest.raises(NoSuchOperation):
        await make_pack(source, UUID(int=7))
    async with source.store.begin() as connection:
        await connection.execute(update(tables.operation).values(plan=text("replace(plan, '64MB', '1GB')")))
    with pytest.raises(EvidenceUnsound, match="has the hash"):
        await make_pack(source, ID)


async def test_a_result_that_was_changed_behind_the_back_of_dbre_gives_no_pack(source: EvidenceSource) -> None:
    assert json.loads(verify.unpack((await make_pack(source, ID))[0])["steps.jsonl"].splitlines()[0])["result"] == {
        "output": "ALTER ROLE dbre PASSWORD ***", "password": "***", "secrets": "***", "system_identifier": str(2**63)
    }  # fmt: skip
    async with source.store.begin() as connection:
        await connection.execute(update(tables.step).where(tables.step.c.seq == 1).values(result={**RESULT, "output": "fine"}))
    with pytest.raises(EvidenceUnsound, match=r"the result of reload:orders-1 \(do\) is not the one that the log fixed"):
        await make_pack(source, ID)


async def test_a_rewritten_log_gives_no_pack(source: EvidenceSource) -> None:
    await checkpoint_now(source.store, KEY, CLOCK)
    async with source.store.begin() as connection:
        await connection.execute(text("UPDATE audit_entry SET entry = replace(entry, 'grace', 'trace')"))
    with pytest.raises(EvidenceUnsound, match="not in the log"):
        await make_pack(source, ID)


async def test_an_operation_without_entries_gives_no_pack(store: Store) -> None:
    record = make_record()
    async with store.begin() as connection:
        await connection.execute(
            insert(tables.operation).values(
                id=ID, kind="x", definition_version=1, target_key="t", plan=canonical(record.planned.document()).decode(),
                plan_hash=record.plan_hash, state="queued", attempt=0, priority=4, requested_by="ada",
                created_at=datetime.now(UTC), tuning={},
            )
        )  # fmt: skip
    with pytest.raises(EvidenceUnsound, match="no entry"):
        await make_pack(EvidenceSource(store=store, key=KEY, clock=CLOCK), ID)
