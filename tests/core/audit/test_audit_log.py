"""Appending: with what is recorded or not at all, by many at once, whatever fails in between."""

import asyncio
import json
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from audit_kit import draft, numbers, read_all, require_sound
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.core.audit.entries import LONGEST_ENTRY_BYTES, prepare, read_entry
from dbre.core.audit.errors import AuditEntryInvalid, EntryMissing
from dbre.core.audit.log import TOPIC, AuditLog
from dbre.core.audit.proofs import verify_consistency, verify_inclusion
from dbre.core.audit.reading import AuditQuery, consistency_proof, entries, entry_at, inclusion_proof, root_at
from dbre.core.clock import SystemClock
from dbre.core.store import Store, open_store
from dbre.testing.clock import FakeClock

HOSTILE = "O'Brien\x1b[2J\n<script>\u202e\ud800\x00\U0001f4a5"


@pytest.fixture
def log() -> AuditLog:
    # A clock that stands still: two attempts at the same entry are alike byte for byte, the hardest case for any memory.
    return AuditLog(FakeClock())


async def test_an_entry_says_what_was_done_by_whom_to_what_and_when(store: Store) -> None:
    at = datetime(2026, 11, 21, 4, 0, 0, 123456, tzinfo=UTC)
    await AuditLog(FakeClock(at)).append(store, draft(7, data={"b": 1, "a": [None, True, 1.5, "ä"], "number": 7}))
    (found,) = await read_all(store)
    assert found.entry.at == at
    assert (found.entry.index, found.entry.action, found.entry.actor, found.entry.subject) == (
        0,
        "test.done",
        "anna",
        "cluster/c7",
    )
    assert found.entry.data == {"a": [None, True, 1.5, "ä"], "b": 1, "number": 7}
    assert list(json.loads(found.text)) == ["action", "actor", "at", "data", "index", "subject"]
    assert read_entry(found.text) == found.entry


async def test_entries_are_committed_with_what_they_record_or_not_at_all(store: Store, log: AuditLog) -> None:
    async def fail() -> None:
        async with store.begin() as connection:
            await log.record(connection, draft(1), draft(2))
            raise ZeroDivisionError

    signals = store.listen(TOPIC)
    with pytest.raises(ZeroDivisionError):
        await fail()
    assert (await numbers(store), signals.is_set()) == ([], False)
    async with store.begin() as connection:
        await log.record(connection, draft(3))
        async with connection.begin_nested():
            await log.record(connection, draft(4))
        undone = await connection.begin_nested()
        await log.record(connection, draft(5))
        await undone.rollback()
        await log.record(connection, draft(6))
    assert (await numbers(store), signals.is_set()) == ([3, 4, 6], True)
    await require_sound(store)


async def test_many_callers_at_once_make_one_log_without_gap_or_fork(store: Store, log: AuditLog, place) -> None:
    async with place.open() as other:

        async def caller(number: int) -> None:
            for turn in range(5):
                await log.append((store, other)[number % 2], draft(number * 10 + turn))

        await asyncio.gather(*(caller(number) for number in range(24)))
    found = await numbers(store)
    assert sorted(found) == sorted(number * 10 + turn for number in range(24) for turn in range(5))
    for number in range(24):  # each caller's own order is kept
        own = [one for one in found if one // 10 == number]
        assert own == sorted(own)
    await require_sound(store)


async def test_a_draft_that_cannot_be_an_entry_fails_its_caller_alone(store: Store, log: AuditLog) -> None:
    bad = [draft(1, action="Not dotted"), draft(2, data={"x": float("nan")}), draft(3, data={"x": object()})]
    found = await asyncio.gather(*(log.append(store, one) for one in [draft(0), *bad, draft(4)]), return_exceptions=True)
    assert [type(one).__name__ for one in found] == ["NoneType", "ValueError", "ValueError", "ValueError", "NoneType"]
    assert await numbers(store) == [0, 4]


async def test_hostile_text_is_recorded_and_read_back_strictly(store: Store, log: AuditLog) -> None:
    await log.append(
        store, draft(1, actor=HOSTILE, subject=HOSTILE * 100, data={HOSTILE: [HOSTILE, 2**70, -(2**70)], "number": 1})
    )
    (found,) = await read_all(store)
    text = HOSTILE.replace("\ud800", "\ufffd")
    assert found.entry.actor == text.replace("\x00", "\ufffd")
    assert found.entry.data[text] == [text, str(2**70), str(-(2**70))]
    assert len(found.entry.subject) < 1000
    assert "sha256:" in found.entry.subject
    async with store.read() as connection:
        assert len(await entries(connection, AuditQuery(actor=found.entry.actor))) == 1
    await require_sound(store)


async def test_data_that_does_not_fit_is_recorded_by_its_hash(store: Store, log: AuditLog) -> None:
    await log.append(store, draft(1, data={"output": "\u20ac" * LONGEST_ENTRY_BYTES}), draft(2, data={"output": "x" * 65_000}))
    large, fits = await read_all(store)
    assert set(large.entry.data) == {"omitted_bytes", "omitted_sha256"}
    assert large.entry.data["omitted_bytes"] == 3 * LONGEST_ENTRY_BYTES + 13
    assert 65_000 < len(fits.text.encode()) <= LONGEST_ENTRY_BYTES


JSON_VALUES = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)


NESTED = st.recursive(
    JSON_VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=6
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=9), NESTED, max_size=4))
def test_whatever_data_is_given_the_entry_is_canonical(data: dict[str, object]) -> None:
    text = prepare(draft(data=data), datetime(2026, 1, 1, tzinfo=UTC)).text(2**53 - 1)
    assert read_entry(text).index == 2**53 - 1
    assert len(text.encode()) <= LONGEST_ENTRY_BYTES


GOOD = prepare(draft(1), datetime(2026, 1, 1, tzinfo=UTC)).text(1)


@pytest.mark.parametrize(
    "bad",
    [
        GOOD.replace(",", ", ", 1),
        GOOD.replace('"index":1', '"index":1,"index":1'),
        GOOD.replace('"index":1', '"index":1,"more":1'),
        GOOD.replace('"index":1', '"index":1.0'),
        GOOD.replace('"index":1', '"index":-1'),
        GOOD.replace('"index":1', '"index":true'),
        GOOD.replace('{"number":1}', "[]"),
        GOOD.replace('{"number":1}', '{"number":1,"number":2}'),
        GOOD.replace('{"number":1}', '{"number":NaN}'),
        GOOD.replace('{"number":1}', '{"number":1e400}'),
        GOOD.replace('{"number":1}', '{"number":"\\ud800"}'),
        GOOD.replace('{"number":1}', "[" * 100_000),
        GOOD.replace("000000Z", "000Z"),
        GOOD.replace("2026-01-01", "2026-01-32"),
        GOOD.replace('"anna"', '"\\u0061nna"'),
        GOOD + "\n",
        "null",
        "",
    ],
)
def test_anything_but_the_one_canonical_form_is_refused(bad: str) -> None:
    with pytest.raises(AuditEntryInvalid):
        read_entry(bad)


async def test_proofs_of_any_past_size_come_from_the_store_and_verify(store: Store, log: AuditLog) -> None:
    await log.append(store, *(draft(number) for number in range(77)))
    leaves = [one.leaf for one in await read_all(store)]
    async with store.read() as connection:
        roots = {size: await root_at(connection, size) for size in range(1, 78)}
        for size in (1, 2, 3, 50, 64, 76, 77):
            for index in range(0, size, 7):
                proof = await inclusion_proof(connection, index, size)
                verify_inclusion(proof, leaf=leaves[index], index=index, size=size, root=roots[size])
            for old in range(1, size + 1, 5):
                growth = await consistency_proof(connection, old, size)
                verify_consistency(growth, old=old, old_root=roots[old], new=size, new_root=roots[size])
        with pytest.raises(EntryMissing):
            await inclusion_proof(connection, 70, 78)
        with pytest.raises(EntryMissing, match="has 77 entries"):
            await entry_at(connection, 77)
        assert (await entry_at(connection, 76)).entry.data == {"number": 76}


async def test_entries_are_found_by_who_what_and_when_a_page_at_a_time(store: Store) -> None:
    clock = FakeClock()
    log = AuditLog(clock)
    moments = []
    for number in range(10):
        moments.append(clock.now())
        kind = "operation.submitted" if number % 2 else "identity.login"
        await log.append(store, draft(number, action=kind, actor=("anna", "ben_", "ben%")[number % 3]))
        await clock.advance(60)

    async def found(**query: object) -> list[int]:
        async with store.read() as connection:
            return [one.entry.index for one in await entries(connection, AuditQuery(**query))]

    assert await found(action="operation.*") == [9, 7, 5, 3, 1]
    assert await found(action="identity.login", actor="anna") == [6, 0]
    assert await found(actor="ben_") == [7, 4, 1]
    assert await found(actor="ben%*") == [8, 5, 2]
    assert await found(subject="cluster/c4") == [4]
    assert await found(since=moments[3], until=moments[5]) == [4, 3]
    assert await found(before=3) == [2, 1, 0]


WORKS = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from(["keep", "fail", "undo", "cancel", "append"])), min_size=1, max_size=12
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(WORKS, min_size=1, max_size=3))
def test_the_log_holds_exactly_what_was_committed_whatever_fails_beside_it(
    migrated_file: Path, rounds: list[list[tuple[int, str]]]
) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "dbre.db"
        shutil.copy(migrated_file, path)
        asyncio.run(_play(path, rounds))


async def _play(path: Path, rounds: list[list[tuple[int, str]]]) -> None:
    """Each round's works wait together; a model says which of their entries must be there."""
    log = AuditLog(FakeClock())
    async with open_store(f"sqlite:///{path}", clock=SystemClock()) as store:
        expected: list[int] = []
        for number, works in enumerate(rounds):
            tasks = []
            for place, (count, kind) in enumerate(works):
                own = [1000 * number + 10 * place + one for one in range(count)]
                tasks.append(asyncio.create_task(_act(store, log, own, kind)))
                expected += own[:1] if kind == "undo" else own if kind in ("keep", "append") else []
            await asyncio.sleep(0)
            for task, (_, kind) in zip(tasks, works, strict=True):
                if kind == "cancel":
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            found = await numbers(store)
            # A cancelled work was either not begun, or is there as a whole.
            cancelled = {
                1000 * number + 10 * place + one
                for place, (count, kind) in enumerate(works)
                if kind == "cancel"
                for one in range(count)
            }
            assert sorted(set(found) - cancelled) == sorted(set(expected) - cancelled)
            expected = found
            await require_sound(store)


async def _act(store: Store, log: AuditLog, own: list[int], kind: str) -> None:
    async def work(connection: AsyncConnection) -> None:
        await log.record(connection, draft(own[0]))
        nested = await connection.begin_nested()
        await log.record(connection, *(draft(one) for one in own[1:]))
        if kind == "undo":
            await nested.rollback()
        else:
            await nested.commit()
        if kind == "fail":
            raise ZeroDivisionError

    if kind == "append":
        await log.append(store, *(draft(one) for one in own))
    else:
        await store.grouped(work)


WRITER = """
import asyncio, sys
from dbre.core.audit.log import AuditLog
from dbre.core.audit.model import AuditDraft
from dbre.core.clock import SystemClock
from dbre.core.secrets import Secret
from dbre.core.store import open_store

async def main():
    log = AuditLog(SystemClock())
    async with open_store(sys.argv[1], clock=SystemClock(), password=Secret(sys.argv[2])) as store:
        async def caller(number):
            for turn in range(100000):
                one = number * 1000000 + turn
                await log.append(store, AuditDraft(action="test.done", actor="a", subject="s", data={"number": one}))
                print(one, flush=True)
        await asyncio.gather(*(caller(number) for number in range(int(sys.argv[3]), int(sys.argv[3]) + 16)))

asyncio.run(main())
"""


async def test_sigkill_loses_nothing_acknowledged_and_the_tree_goes_on(store: Store, log: AuditLog, place) -> None:
    acknowledged: set[int] = set()
    for turn in range(2):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, place.url, place.password.reveal() if place.password else "-", str(100 * turn + 1),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(30):
            acknowledged.add(int(await process.stdout.readline()))
            await asyncio.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            rest = await process.stdout.read()
            await process.wait()
        acknowledged |= {int(line) for line in rest.split(b"\n")[:-1] if line}
        async with store.begin():
            pass  # PostgreSQL has noticed the death of the writer by the time that the lock is free
        found = await numbers(store)
        assert acknowledged <= set(found)
        await require_sound(store)
