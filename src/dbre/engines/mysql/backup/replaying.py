"""Binary logs are replayed into a server: mariadb-binlog turns them into statements, one session of mariadb runs them all."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path

from dbre.core.programs.run import clean_environment
from dbre.core.programs.starting import start
from dbre.core.text import printable
from dbre.engines.mysql.backup.programs import BINLOG, CLIENT, require_tool
from dbre.ports.backup.errors import RecoveryFailed
from dbre.ports.backup.model import Place

__all__ = ["replay"]

_TAIL = 2000
_PACKET_BYTES = 2**30  # the largest that a server takes


async def replay(
    files: Sequence[Path], *, start: int, stop: int | None, login: Path, place: Place, version: str | None
) -> None:
    """Replay from ``start`` in the first file up to ``stop`` in the last, or its end.

    Both programs end with the task. Raises: RecoveryFailed with what either of them said.
    """
    reader = await require_tool(BINLOG, place, version=version)
    writer = await require_tool(CLIENT, place)
    source = [reader, "--no-defaults", "--verify-binlog-checksum", f"--start-position={start}"]
    source += [f"--stop-position={stop}"] if stop is not None else []
    sink = [writer, f"--defaults-file={login}", "--binary-mode", "--batch", f"--max-allowed-packet={_PACKET_BYTES}"]
    incoming, outgoing = os.pipe()
    started: list[asyncio.subprocess.Process] = []
    try:
        started.append(await _start([*source, *map(str, files)], place, files[0].parent, stdout=outgoing))
        started.append(await _start(sink, place, files[0].parent, stdin=incoming))
    finally:
        os.close(incoming)
        os.close(outgoing)
        if len(started) != 2:
            _kill(started)
    try:
        (_, reader_said), (_, writer_said) = await asyncio.gather(*(process.communicate() for process in started))
    finally:
        _kill(started)
    _require_success("mariadb", started[1].returncode, writer_said)
    _require_success("mariadb-binlog", started[0].returncode, reader_said)


async def _start(
    words: Sequence[str], place: Place, directory: Path, *, stdin: int = asyncio.subprocess.DEVNULL, stdout: int | None = None
) -> asyncio.subprocess.Process:
    return await start(
        *words,
        cwd=directory,
        env=clean_environment(directory),
        stdin=stdin,
        stdout=asyncio.subprocess.DEVNULL if stdout is None else stdout,
        stderr=asyncio.subprocess.PIPE,
        umask=0o077,
        **place.account.credentials(),
    )


def _kill(processes: Sequence[asyncio.subprocess.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _require_success(program: str, status: int | None, said: bytes) -> None:
    if status != 0:
        tail = printable(said.decode(errors="replace").strip()[-_TAIL:])
        raise RecoveryFailed(
            f"replay of the binary log failed: {program} ended with {status}: {tail}",
            hint="the directory is worthless now: recover anew, up to a time before the statement that failed",
            context={"program": program, "exit_status": status},
        )
