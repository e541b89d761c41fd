"""The power of a node of a Patroni lab, as a fence of kind command has it, and the supervisor that starts the node again."""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.lab.server import LabServer

__all__ = ["ended", "power_fence", "power_on"]

_BOOT_SECONDS = 10.0
_LOOK_SECONDS = 2.0
# Each process of a node works in its directory, or below. The account that fences may not read where this file lies.
_FIND = """found() { find /proc -maxdepth 2 -name cwd -lname "$1*" 2>/dev/null | cut -d/ -f3; }
"""
_OFF = _FIND + 'while pids=$(found "$1") && [ -n "$pids" ]; do kill -KILL $pids 2>/dev/null; done; exit 0'
_IS_OFF = _FIND + '[ -z "$(found "$1")" ]'


def power_fence(directory: Path) -> str:
    """A rung for the configuration of a lab in that directory: whoever is fenced loses its Patroni, too."""
    node = f"{directory}/{{instance}}/"
    off, is_off = (["/bin/sh", "-c", text, "power", node] for text in (_OFF, _IS_OFF))
    return json.dumps({"kind": "command", "fence": off, "confirm": is_off, "limit": "10s"})


async def power_on(servers: Sequence[LabServer]) -> None:
    """Start a node that was turned off, a while later, as its supervisor does once the machine boots."""
    off_since: dict[str, float] = {}
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for one in servers:
            if one.is_running:
                off_since.pop(one.name, None)
            elif time.monotonic() - off_since.setdefault(one.name, time.monotonic()) > _BOOT_SECONDS:
                await one.start()


async def ended(task: asyncio.Task[None]) -> None:
    """Whatever it was doing; what went wrong with it is told."""
    task.cancel()
    for one in await asyncio.gather(task, return_exceptions=True):
        if isinstance(one, Exception):
            print(f"a node was not started: {one}", file=sys.stderr, flush=True)
