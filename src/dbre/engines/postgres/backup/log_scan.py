"""Level L2: every record between two positions read by ``pg_waldump``, which checks the CRC of each."""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.core.programs.scratch import scratch_directory
from dbre.core.text import one_line
from dbre.engines.postgres.backup.log_names import is_log_name, lsn, segment_name
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.engines.postgres.backup.wal_header import major_of_segment
from dbre.ports.backup.model import CopyFault, LogPosition, Verified

__all__ = ["scan_log"]

_SECONDS = 86_400.0
_ENDS = ("invalid record length", "could not find file", "unexpected pageaddr")  # of a log that nobody has cut


async def scan_log(toolbox: Toolbox, files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
    """Read the log from ``start`` to ``end``; None: to where the last file ends, which may be in the middle of it.

    Raises: UsageError, ProgramFailed where ``pg_waldump`` cannot be run, BinariesMissing for another major version.
    """
    begun = time.monotonic()
    if not files:
        raise UsageError("no log file was named")
    size = sum(one.stat().st_size for one in files)
    faults = await _scan(toolbox, files, start, end)
    return Verified(files=len(files), bytes=size, seconds=time.monotonic() - begun, faults=tuple(faults))


async def _scan(toolbox: Toolbox, files: Sequence[Path], start: LogPosition, end: LogPosition | None) -> list[CopyFault]:
    length = files[0].stat().st_size
    expected = segment_name(start.timeline, start.value, segment_bytes=length) if length else files[0].name
    names = [one.name.removesuffix(".partial") for one in files]
    if not is_log_name(files[0].name) or names[0] != expected:
        return [
            CopyFault(rule="log_gap", subject=expected, detail=f"the log begins at {start.text}, and this file is not there")
        ]
    odd = [one for one in files if one.stat().st_size != length]
    if odd:
        return [CopyFault(rule="size", subject=odd[0].name, detail=f"it has another size than {length} bytes")]
    header = await asyncio.to_thread(major_of_segment, files[0])
    if isinstance(header, CopyFault):
        return [header]
    binaries = await toolbox.same_major(header)
    last = end.value if end is not None else None
    with scratch_directory(_ourselves()) as scratch:
        for name, path in zip(names, files, strict=True):
            (scratch / name).symlink_to(path.resolve())
        argv: list[str | Path] = [binaries.program("pg_waldump"), "--quiet", f"--path={scratch}"]
        argv += [f"--timeline={start.timeline}", f"--start={start.text}"]
        argv += [f"--end={lsn(last)}"] if last is not None else []
        try:
            await run(argv, account=_ourselves(), directory=scratch, timeout_seconds=_SECONDS)
        except ProgramFailed as error:
            return _judged(error, files, end, length)
    return []


def _judged(error: ProgramFailed, files: Sequence[Path], end: LogPosition | None, length: int) -> list[CopyFault]:
    message = one_line(error.message.split("\n", 1)[-1], limit=400)
    if error.context.get("exit_status") != 1:
        raise error
    if end is None and any(
        words in message for words in ("invalid record length", "could not find file", "unexpected pageaddr")
    ):
        return []  # the log simply ends there
    rule = "log_gap" if "could not find file" in message or "could not find a valid record" in message else "log_damaged"
    return [CopyFault(rule=rule, subject=_subject(message, files, length), detail=message)]


def _subject(message: str, files: Sequence[Path], length: int) -> str:
    return next((one.name for one in files if one.name in message), files[0].name if length else "")


def _ourselves() -> Account:
    return Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
