"""A fault proxy as people run it: a process of its own, with its API."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.fleet import Address
from dbre.lab.server import LabServer

_PATIENCE_SECONDS = 60.0
_LISTENS = re.compile(r"listens on (?:http://)?(127\.0\.0\.1):(\d+)")


@dataclass(frozen=True)
class StandingProxy:
    address: Address
    api: Address
    token_file: Path


@asynccontextmanager
async def standing_proxy(server: LabServer, directory: Path) -> AsyncIterator[StandingProxy]:
    """``dbre chaos proxy run`` before a server."""
    token = directory / "token"
    words = ["chaos", "proxy", "run", "--listen", "127.0.0.1:0", "--to", str(server.address), "--engine", server.engine]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "dbre", *words, "--name", "pg", "--api", "127.0.0.1:0", "--api-token", str(token),
        stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found: list[Address] = []
        async with asyncio.timeout(_PATIENCE_SECONDS):
            while len(found) < 2 and (line := await process.stderr.readline()):
                found += [Address(host, int(port)) for host, port in _LISTENS.findall(line.decode())]
        yield StandingProxy(address=found[1], api=found[0], token_file=token)
    finally:
        process.terminate()
        await process.wait()
