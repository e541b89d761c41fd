"""Journals of operations that ended long ago are folded, and read as before, on both stores."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from engine_kit import Bench, Diary, Scripted, plan
from sqlalchemy import func, insert, select, text, update

from dbre.core.audit.model import AuditDraft
from dbre.core.audit.signed_note import SigningKey
from dbre.core.operation import tables
from dbre.core.operation.archive import JOURNAL
from dbre.core.operation.context import StepContext
from dbre.core.operation.documents import operation_document
from dbre.core.operation.evidence import verify
from dbre.core.operation.evidence.pack import EvidenceSource, make_pack
from dbre.core.operation.journal import subject_of
from dbre.core.operation.model import Resolution
from dbre.core.operation.resolving import resolve_in
from dbre.core.operation.retention import Retention
from dbre.core.store import Store
from dbre.core.store.errors import StoreCorrupt

DAYS = timedelta(days=90)


@pytest.fixture
def bench(store: Store, tmp_path: Path) -> Bench:
    return Bench(store, Diary(tmp_path / "diary"))


def retention(bench: Bench) -> Retention:
    return Retention(bench.store, bench.clock, keep_detail=DAYS)


async def odd(context: StepContext) -> Mapping[str, Any]:
    await context.note("caf\u00e9 \u2192 \x1b[2J")
    await context.progress(1, 2, "rows")
    return {"system_identifier": 2**63 + 1, "name": "a\x00b\ud800", "ratio": 0.1, "nothing": None, "nested": [{"x": [1.0]}]}


async def resolved(bench: Bench) -> UUID:
    """One that a person settled, with a row in each table of the journal; ended just now."""
    operation = Scripted(bench.diary, {"again:a": odd, "blind:b": lose})
    operation_id = await bench.submit(operation, plan("again:a", "blind:b", "once:c"))
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state == "needs_operator"
    at = bench.clock.now()
    decision = {
        "gate": "mood",
        "verdict": "hold",
        "reason": "r\u00e9ason",
        "evidence": {"n": 2**70},
        "moment": "start",
        "step": None,
    }
    rows = {
        tables.approval: {"approver": "bob", "plan_hash": record.plan_hash, "comment": None},
        tables.gate_override: {"gate": "mood", "by": "root", "reason": "outage", "ticket": "T-1"},
        tables.gate_decision: decision | {"is_overridden": True},
    }
    async with bench.store.begin() as connection:
        for table, row in rows.items():
            await connection.execute(insert(table).values(operation_id=operation_id, at=at, **row))
        for action, actor in (("operation.approved", "bob"), ("gate.overridden", "root")):
            await bench.journal().note(connection, AuditDraft(action=action, actor=actor, subject=subject_of(operation_id)))
        await resolve_in(connection, bench.journal(), record, Resolution.DONE, by="root", reason="seen")
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state == "succeeded"
    return operation_id


async def lose(_: StepContext) -> Mapping[str, Any]:
    raise ConnectionResetError("gone")


async def age(bench: Bench, operation_id: UUID, by: timedelta) -> None:
    async with bench.store.begin() as connection:
        own = tables.operation.c
        ended = (await connection.execute(select(own.ended_at).where(own.id == operation_id))).scalar_one()
        await connection.execute(update(tables.operation).where(own.id == operation_id).values(ended_at=ended - by))


async def counted(bench: Bench, operation_id: UUID) -> list[int]:
    async with bench.store.read() as connection:
        found = [table for table, _ in JOURNAL.values()] + [tables.archive]
        counts = [select(func.count()).select_from(one).where(one.c.operation_id == operation_id) for one in found]
        return [(await connection.execute(count)).scalar_one() for count in counts]


async def test_an_old_operation_reads_as_before_and_its_rows_are_gone(bench: Bench) -> None:
    operation_id = await resolved(bench)
    await age(bench, operation_id, DAYS + timedelta(minutes=1))
    source = EvidenceSource(store=bench.store, key=SigningKey(name="dbre.example/log", seed=b"1" * 32), clock=bench.clock)
    before, pack = await bench.record(operation_id), await make_pack(source, operation_id)
    assert verify.report(verify.Pack(verify.unpack(pack[0])))[0]
    assert [len(one) for one in (before.approvals, before.overrides, before.gates, before.resolutions)] == [1, 1, 1, 1]
    audited = await bench.audited()
    assert await counted(bench, operation_id) == [3, 1, 1, 1, 1, 0]
    assert await retention(bench).archive() == 1
    assert await counted(bench, operation_id) == [0, 0, 0, 0, 0, 1]
    after = await bench.record(operation_id)
    assert after == before
    assert operation_document(after) == operation_document(before)
    assert await make_pack(source, operation_id) == pack
    assert await bench.audited() == audited
    assert await retention(bench).archive() == 0


async def test_what_is_young_or_not_final_stays(bench: Bench) -> None:
    young = await resolved(bench)
    await age(bench, young, DAYS - timedelta(minutes=1))
    operation = Scripted(bench.diary, {"blind:x": lose})
    open_ids = [await bench.submit(operation, plan(name), not_before=None) for name in ("blind:x", "once:y")]
    await bench.runner(operation).run(open_ids[0])
    async with bench.store.begin() as connection:  # even where a moment of an end was written by mistake
        chosen = tables.operation.c.id.in_(open_ids)
        await connection.execute(update(tables.operation).where(chosen).values(ended_at=bench.clock.now() - 2 * DAYS))
    before = [await bench.record(one) for one in (young, *open_ids)]
    assert [one.state for one in before] == ["succeeded", "needs_operator", "queued"]
    assert await retention(bench).archive() == 0
    assert [await bench.record(one) for one in (young, *open_ids)] == before


async def test_many_are_folded_in_batches_by_the_index_and_one_that_fails_leaves_its_rows(bench: Bench) -> None:
    operation = Scripted(bench.diary)
    ids = [await bench.submit(operation, plan(f"once:{number}", target=f"cluster/{number}")) for number in range(22)]
    for one in ids:
        await bench.runner(operation).run(one)
        await age(bench, one, 2 * DAYS)
    async with bench.store.begin() as connection:  # its document is there: the insert fails, and nothing is removed
        await connection.execute(insert(tables.archive).values(operation_id=ids[0], at=bench.clock.now(), document=b"x"))
    with suppress(Exception):
        await retention(bench).archive()
    assert await counted(bench, ids[1]) == [1, 0, 0, 0, 0, 0]
    async with bench.store.begin() as connection:
        await connection.execute(text("DELETE FROM operation_archive"))
    assert await retention(bench).archive() == 22
    async with bench.store.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(tables.step))).scalar_one() == 0
    assert all([(await bench.record(one)).steps[0].result == {"wrote": f"once:{n}"} for n, one in enumerate(ids)])


async def test_a_damaged_archive_is_told_of(bench: Bench) -> None:
    operation_id = await resolved(bench)
    await age(bench, operation_id, 2 * DAYS)
    await retention(bench).archive()
    for document in (b"", b"nonsense"):
        async with bench.store.begin() as connection:
            await connection.execute(update(tables.archive).values(document=document))
        with pytest.raises(StoreCorrupt, match="cannot be read"):
            await bench.record(operation_id)


async def test_it_looks_within_the_hour(store: Store) -> None:
    """Run by a clock of its own."""
    slept: list[float] = []

    class Clock:
        def now(self) -> Any:
            return Bench(store, Diary(Path("unused"))).clock.now()

        async def sleep(self, seconds: float) -> None:
            slept.append(seconds)
            if len(slept) == 4:
                raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await Retention(store, Clock(), keep_detail=DAYS).run()  # type: ignore[arg-type] # all that it uses
    assert 300 < slept[0] < 800
    assert all(3000 < one < 3900 for one in slept[1:])
