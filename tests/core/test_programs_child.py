"""Programs that run on: waited for more than once, however long their lines are, and never left behind."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from dbre.core.programs.account import Account
from dbre.core.programs.run import spawn

OURSELVES = Account(name="us", uid=os.geteuid(), gid=os.getegid(), switch=False)


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
