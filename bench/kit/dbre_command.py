"""``dbre`` as a user starts it: asked once for items, or left running, here or in a network namespace."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ANSWER_SECONDS = 120.0
_END_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command said."""

    code: int
    items: list[dict[str, Any]]
    complaints: str


async def answer(config: Path, words: Sequence[str]) -> Answer:
    """Ask once, and give the items. Raises: TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *_command(config, [*words, "-o", "json"]),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=config.parent,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            told, complaints = await process.communicate()
    except BaseException:
        process.kill()
        raise
    try:
        document = json.loads(told)
    except ValueError:
        document = {}
    items = document.get("items", [document] if document else [])
    return Answer(code=process.returncode or 0, items=items, complaints=complaints.decode(errors="replace"))


@contextmanager
def started(config: Path, words: Sequence[str], *, namespace: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs until the block ends, and writes beside the configuration.

    In a session of its own, as under systemd: Linux shares CPUs between sessions first (sched_autogroup).
    """
    inside = ["ip", "netns", "exec", namespace] if namespace is not None else []
    with (config.parent / f"{words[-1]}.log").open("ab") as log:
        process = subprocess.Popen(
            [*inside, *_command(config, words)], stdout=log, stderr=log, cwd=config.parent, start_new_session=True
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _command(config: Path, words: Sequence[str]) -> list[str]:
    return [sys.executable, "-P", "-m", "dbre", "-c", str(config), *words]
