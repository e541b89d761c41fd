"""What is left of a recovery whose process was killed."""

import asyncio
import os
import sys
from pathlib import Path

_CHILD = Path(__file__).with_name("recover_child.py")
_LIMIT_SECONDS = 90.0


def living_in(directory: Path) -> list[int]:
    """Processes that work in a directory, or name it in their words."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where, words = os.readlink(process / "cwd"), (process / "cmdline").read_bytes()  # noqa: PTH115
        except OSError:  # gone meanwhile
            continue
        if Path(where).is_relative_to(directory) or os.fsencode(directory) in words:
            found.append(int(process.name))
    return found


async def wait_until_empty(directory: Path) -> None:
    async with asyncio.timeout(_LIMIT_SECONDS):
        while living_in(directory):  # noqa: ASYNC110 - the kernel does it
            await asyncio.sleep(0.05)


async def kill_while_recovered(engine: str, directory: Path, cache: Path) -> int:
    """Recover in another process, kill that, and wait until nobody lives there; how many did."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(_CHILD), engine, str(directory), str(cache), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            assert await child.stdout.readline() == b"up\n"
        number = len(set(living_in(directory)) - {child.pid})
    finally:
        child.kill()
        await child.wait()
    await wait_until_empty(directory)
    return number
