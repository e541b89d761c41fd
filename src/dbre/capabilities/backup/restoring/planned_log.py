"""Log files of a plan: fetched, compared with their SHA-256, their records checked, and handed to recovery."""

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.capabilities.backup.log.position_text import text_like
from dbre.capabilities.backup.model import StoredLog
from dbre.capabilities.backup.restoring.plan import RestorePlan
from dbre.capabilities.backup.restoring.staging import Staging, give_tree
from dbre.capabilities.backup.restoring.telling import Tell
from dbre.core.text import printable
from dbre.ports.backup.engine import BackupPort, LogFetch
from dbre.ports.backup.errors import CopyDamaged, LogGap
from dbre.ports.backup.model import LogKind, LogPosition, Phase

__all__ = ["PlannedLog", "fetch_log", "scan_planned_log"]

_AT_ONCE = 4
_CHUNK = 2**20


class PlannedLog:
    """A ``LogFetch`` over files that lie in the staging directory already, and over a source for any others.

    What comes from the source is kept as well: a second recovery then sees the very log that the first one saw.
    """

    def __init__(self, directory: Path, beyond: LogFetch | None) -> None:
        self._directory = directory
        self._beyond = beyond

    async def fetch(self, name: str, into: Path) -> bool:
        """Copy the file of that name; False only where its absence is certain."""
        if not _is_plain(name):
            return False
        if await asyncio.to_thread(_copy, self._directory / name, into):
            return True
        if self._beyond is None or not await self._beyond.fetch(name, into):
            return False
        await asyncio.to_thread(_copy, into, self._directory / name)
        return True


def _is_plain(name: str) -> bool:
    return bool(name) and os.sep not in name and "\0" not in name and name not in (".", "..")


def _copy(source: Path, into: Path) -> bool:
    unfinished = into.with_name(f"{into.name}.unfinished")  # half a file must never bear the name: it would be replayed
    try:
        unfinished.unlink(missing_ok=True)
        shutil.copyfile(source, unfinished, follow_symlinks=False)
        unfinished.replace(into)
    except FileNotFoundError:
        if source.exists():  # it is the target that cannot be made
            raise
        return False
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise
    return True


async def fetch_log(plan: RestorePlan, staging: Staging, source: LogFetch, tell: Tell | None = None) -> list[Phase]:
    """Fetch every log file of the plan that is not there yet.

    Raises: LogGap where one has gone meanwhile; CopyDamaged where one is not what was received.
    """
    began, total, done = time.monotonic(), plan.bytes_log, 0
    if not plan.logs:
        return []
    for batch in (plan.logs[number : number + _AT_ONCE] for number in range(0, len(plan.logs), _AT_ONCE)):
        await asyncio.gather(*(_fetch_file(one, staging, source) for one in batch))
        done += sum(one.file.size for one in batch)
        if tell is not None:
            await tell("fetch_log", done, total)
    await asyncio.to_thread(give_tree, staging.log, staging.account)
    return [Phase(name="fetch_log", seconds=time.monotonic() - began, bytes=total)]


async def _fetch_file(one: StoredLog, staging: Staging, source: LogFetch) -> None:
    target = staging.log / one.file.name
    if await asyncio.to_thread(_digest, target) == one.file.sha256:
        return  # fetched before this restore was interrupted
    unfinished = target.with_name(f"{one.file.name}.unfinished")
    await asyncio.to_thread(unfinished.unlink, missing_ok=True)
    if not await source.fetch(one.file.name, unfinished):
        raise LogGap(
            f"log file {printable(one.file.name, limit=200)} is in the catalog, and in no vault and no spool",
            hint="dbre backup log gaps; --accept-loss goes as far as there is log",
            context={"name": printable(one.file.name), "timeline": one.file.timeline},
        )
    found = await asyncio.to_thread(_digest, unfinished)
    if found != one.file.sha256:
        raise CopyDamaged(
            f"log file {printable(one.file.name, limit=200)} is not what was received: its SHA-256 is {(found or '')[:16]}..., "
            f"and was {one.file.sha256[:16]}...",
            hint="choose another vault: --vault NAME; dbre vault verify",
            context={"faults": [{"rule": "log_damaged", "subject": printable(one.file.name), "detail": "SHA-256 differs"}]},
        )
    await asyncio.to_thread(unfinished.replace, target)


def _digest(path: Path) -> str | None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()


async def scan_planned_log(plan: RestorePlan, staging: Staging, port: BackupPort, tell: Tell | None = None) -> list[Phase]:
    """Read every record that will be replayed and check it (level L2): a damaged one would end recovery early and silently.

    Raises: CopyDamaged naming each file and position.
    """
    phases: list[Phase] = []
    faults: list[dict[str, str]] = []
    done = 0
    for files, start, end in _pieces(plan):
        verified = await port.scan_log([staging.log / one.file.name for one in files], start=start, end=end)
        faults += [
            {"rule": one.rule, "subject": printable(one.subject, limit=200), "detail": printable(one.detail, limit=400)}
            for one in verified.faults
        ]
        phases.append(Phase(name="scan", seconds=verified.seconds, bytes=verified.bytes))
        done += verified.bytes
        if tell is not None:
            await tell("scan", done, plan.bytes_log)
    if faults:
        shown = "; ".join(f"{one['rule']} {one['subject']}: {one['detail']}" for one in faults[:3])
        raise CopyDamaged(
            f"the log that would be replayed is damaged: {shown}",
            hint="choose another vault (--vault), or a moment before it: dbre backup map CLUSTER",
            context={"faults": faults[:1_000]},
        )
    return phases


def _pieces(plan: RestorePlan) -> list[tuple[Sequence[StoredLog], LogPosition, LogPosition]]:
    """Files of one timeline after the other, each with the range that is read of them."""
    if plan.start is None or plan.end is None:
        return []
    pieces: list[tuple[Sequence[StoredLog], LogPosition, LogPosition]] = []
    segments = [one for one in plan.logs if one.file.kind is LogKind.SEGMENT]
    reached = plan.start.value
    while segments:
        timeline = segments[0].file.timeline
        files = [one for one in segments if one.file.timeline == timeline]
        segments = segments[len(files) :]  # coverage gives each timeline in one run
        # the first file of a child also holds its parent's last changes, from its own beginning on
        start = max(reached, files[0].file.start)
        reached = segments[0].file.start if segments else min(plan.end.value, files[-1].file.end)
        pieces.append((files, _position(timeline, start, plan.start), _position(timeline, max(start, reached), plan.start)))
    return pieces


def _position(timeline: int, value: int, like: LogPosition) -> LogPosition:
    return LogPosition(timeline, value, text_like(like.text, value))
