"""SIGKILL before and after every commit of the journal: every effect happens, none happens again, undo runs backwards."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from crash_child import Failpoints, run_once, scripted
from engine_kit import Bench, Diary, Verified, plan, until
from sqlalchemy import update

from dbre.core.operation import tables
from dbre.core.store import Store

STEPS = ("once:a", "again:b", "once:c-", "once:d")
CHILD = Path(__file__).with_name("crash_child.py")


class Forks:
    """Real processes, each of which runs an operation and is killed."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, operation_id: UUID, number: int, diary: Path, *, fails: bool) -> int:
        """The signal that ended it; 0: it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = f"{operation_id} {number} {diary} {'fails' if fails else 'works'}\n"
        self._process.stdin.write(line.encode())
        await self._process.stdin.drain()
        async with asyncio.timeout(30):
            return int(await self._process.stdout.readline())


@asynccontextmanager
async def forks(place) -> AsyncIterator[Forks]:
    password = place.password.reveal() if place.password else "-"
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), place.url, password, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Forks(process)
    finally:
        process.kill()
        await process.wait()


async def free(store: Store, operation_id: UUID) -> None:
    """Let the lease of the dead run out without waiting for it."""
    row = tables.operation.c
    async with store.begin() as connection:
        await connection.execute(update(tables.operation).where(row.id == operation_id).values(lease_until=0.0))


async def moments(store: Store, tmp_path: Path, *, fails: bool) -> list[str]:
    """Every failpoint of one undisturbed run."""
    diary, points = Diary(tmp_path / "undisturbed"), Failpoints(0)
    operation = scripted(diary, fails=fails)
    await run_once(store, operation, await Bench(store, diary).submit(operation, plan(*STEPS)), points)
    return points.seen


def check(lines: list[str], *, fails: bool) -> None:
    done = [line for line in lines if not line.startswith("undo")]
    undone = [line for line in lines if line.startswith("undo")]
    expected = list(STEPS[:3] if fails else STEPS)
    assert list(dict.fromkeys(done)) == [name.rstrip("-") for name in expected]
    assert all(done.count(name) == 1 for name in done if name != "again:b")  # has a probe: never twice
    assert done.count("again:b") <= 2  # idempotent, killed between effect and record
    assert undone == (["undo again:b", "undo once:a"] if fails else [])


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("fails", [False, True], ids=["forward", "undone"])
async def test_sigkill_at_every_commit_of_the_journal(place, store: Store, tmp_path: Path, *, fails: bool) -> None:
    points = await moments(store, tmp_path, fails=fails)
    assert len(points) == (12 if not fails else 14)
    async with forks(place) as workers:
        for number in range(1, len(points) + 1):
            diary = Diary(tmp_path / f"diary-{number}")
            operation = scripted(diary, fails=fails)
            bench = Bench(store, diary)
            operation_id = await bench.submit(operation, plan(*STEPS))
            assert await workers.run(operation_id, number, diary.path, fails=fails) == signal.SIGKILL, points[number - 1]
            await free(store, operation_id)
            await bench.runner(operation).run(operation_id)
            record = await bench.record(operation_id)
            assert record.state == ("compensated" if fails else "succeeded"), points[number - 1]
            check(diary.lines, fails=fails)
            assert await bench.locks() == []


@pytest.mark.slow
async def test_an_undo_that_is_killed_again_and_again_ends_once(place, store: Store, tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    operation = scripted(diary, fails=True)
    bench = Bench(store, diary)
    operation_id = await bench.submit(operation, plan(*STEPS))
    async with forks(place) as workers:
        assert await workers.run(operation_id, 9, diary.path, fails=True) == signal.SIGKILL
        for number in (2, 3, 4):  # the claim is 1 and 2; 3: before the record of what the takeover did
            await free(store, operation_id)
            if (await bench.record(operation_id)).is_final:
                break
            await workers.run(operation_id, number, diary.path, fails=True)
    await free(store, operation_id)
    await bench.runner(operation).run(operation_id)
    assert (await bench.record(operation_id)).state == "compensated"
    check(diary.lines, fails=True)


async def test_a_worker_takes_over_within_a_second_after_the_lease_of_a_killed_one(place, store: Store, tmp_path: Path) -> None:
    diary = Diary(tmp_path / "diary")
    operation = scripted(diary, fails=False)
    bench = Bench(store, diary)
    operation_id = await bench.submit(operation, plan(*STEPS))
    async with forks(place) as workers:
        assert await workers.run(operation_id, 5, diary.path, fails=False) == signal.SIGKILL
        killed = time.monotonic()
        runner = bench.runner(operation)
        async with asyncio.timeout(10):
            while (record := await runner.run(operation_id)) is None:  # noqa: ASYNC110 - asks as a sweeper does
                await asyncio.sleep(0.05)
    seconds = time.monotonic() - killed
    print(f"taken over and finished {seconds:.2f} s after the kill, under a lease of 2 s")  # noqa: T201 - a measurement
    assert record.state == "succeeded"
    assert seconds < 2 + 1  # the child's lease of 2 s, and one second
    check(diary.lines, fails=False)


@pytest.mark.slow
async def test_a_worker_that_was_stopped_past_its_lease_writes_nothing_and_undoes_nothing(
    place, store: Store, tmp_path: Path
) -> None:
    diary = Diary(tmp_path / "diary")
    operation = scripted(diary, fails=False)
    bench = Bench(store, diary)
    operation_id = await bench.submit(operation, plan(*STEPS))
    password = place.password.reveal() if place.password else "-"
    program = (
        "import asyncio, signal, sys; from pathlib import Path; from uuid import UUID; import crash_child as c\n"
        "from engine_kit import Diary\n"
        "async def main():\n"
        "    secret = c.Secret(sys.argv[2]) if sys.argv[2] != '-' else None\n"
        "    async with c.open_store(sys.argv[1], clock=c.SystemClock(), password=secret) as store:\n"
        "        points = c.Failpoints(3, signal.SIGSTOP)\n"
        "        await c.run_once(store, c.scripted(Diary(Path(sys.argv[3])), fails=False), UUID(sys.argv[4]), points)\n"
        "asyncio.run(main())\n"
    )
    zombie = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, place.url, password, str(diary.path), str(operation_id),
        env={**os.environ, "PYTHONPATH": str(CHILD.parent)}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        await until(lambda: Path(f"/proc/{zombie.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T", 30)
        await _sleeps_while_another_finishes(bench, operation, operation_id, zombie)
    finally:
        if zombie.returncode is None:
            zombie.kill()
            await zombie.wait()
    check(diary.lines, fails=False)


async def _sleeps_while_another_finishes(
    bench: Bench, operation: Verified, operation_id: UUID, zombie: asyncio.subprocess.Process
) -> None:
    await asyncio.sleep(2.2)  # stopped in front of a commit, past its lease of 2 s
    record = await bench.runner(operation).run(operation_id)
    assert record is not None
    assert record.state == "succeeded"
    audited = await bench.audited()
    zombie.send_signal(signal.SIGCONT)
    async with asyncio.timeout(20):
        _, said = await zombie.communicate()
    assert b"LeaseLost" in said
    assert await bench.record(operation_id) == record
    assert await bench.audited() == audited
