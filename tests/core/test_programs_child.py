"""Programs that run on: waited for more than once, however long their lines are, and never left behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run, spawn

OURSELVES = Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)


async def dies(number: int) -> None:
    """Wait until a process is dead; perhaps not yet buried by who inherited it."""
    status = Path(f"/proc/{number}/status")
    for _ in range(1200):
        if not status.exists() or "\nState:\tZ" in status.read_text():
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{number} lives")


async def test_a_wait_that_was_given_up_can_be_begun_again(tmp_path: Path) -> None:
    lines, is_begun = list[str](), asyncio.Event()

    def note(line: str) -> None:
        lines.append(line)
        is_begun.set()

    script = "trap '' INT; trap 'echo ended; exit 0' TERM; echo begun; while :; do sleep 0.1; done"
    async with spawn(["sh", "-c", script], account=OURSELVES, directory=tmp_path, on_line=note) as child:
        await is_begun.wait()
        child.signal(signal.SIGINT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await child.wait()
        child.signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await child.wait() == 0
    assert lines == ["begun", "ended"]


async def test_a_line_without_end_neither_blocks_the_program_nor_ends_the_reading(tmp_path: Path) -> None:
    lines: list[str] = []
    script = "head -c 5000000 /dev/zero | tr '\\0' x; echo; echo after; printf rest"
    async with spawn(["sh", "-c", script], account=OURSELVES, directory=tmp_path, on_line=lines.append) as child:
        async with asyncio.timeout(60):
            assert await child.wait() == 0
    assert sum(len(line) for line in lines if set(line) <= {"x"}) == 5_000_000
    assert lines[-2:] == ["after", "rest"]


@pytest.mark.parametrize("is_left", [True, False])
async def test_what_a_program_puts_into_the_background_stays_only_where_that_is_its_task(is_left: bool, tmp_path: Path) -> None:
    script = "sleep 300 </dev/null >/dev/null 2>&1 & echo $!"
    done = await run(["sh", "-c", script], account=OURSELVES, directory=tmp_path, leaves_servers=is_left)
    number = int(done.stdout)
    if is_left:
        os.kill(number, signal.SIGKILL)  # it was there
        return
    await dies(number)


async def test_a_server_in_the_background_of_a_program_that_failed_is_killed_with_it(tmp_path: Path) -> None:
    script = f"sleep 300 </dev/null >/dev/null 2>&1 & echo $! > {tmp_path}/number; exit 3"
    with pytest.raises(ProgramFailed, match="ended with 3"):
        await run(["sh", "-c", script], account=OURSELVES, directory=tmp_path, leaves_servers=True)
    await dies(int((tmp_path / "number").read_text()))
