"""Processes that are killed: one that imports everything once, and forks for each line that it is given."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any


class Forks:
    """What a test holds."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def run(self, value: dict[str, Any]) -> int:
        """The signal that ended the fork; 0: it came to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(value, default=str).encode() + b"\n")
        await self._process.stdin.drain()
        async with asyncio.timeout(120):
            return int(await self._process.stdout.readline())


@asynccontextmanager
async def forks_of(script: Path) -> AsyncIterator[Forks]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Forks(process)
    finally:
        process.kill()
        await process.wait()


def serve(run: Callable[[dict[str, Any]], Coroutine[Any, Any, None]]) -> None:
    """What the script does."""
    for line in sys.stdin:
        value = json.loads(line)
        child = os.fork()
        if child == 0:
            asyncio.run(run(value))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else -os.WEXITSTATUS(status), flush=True)  # noqa: T201
