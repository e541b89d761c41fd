"""What killed restores, drills and looks at the past left behind: servers that still run, and copies of people's data."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy import select

from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.restoring.claims import Claim, publishing, read_claims
from dbre.capabilities.backup.restoring.staging import remove_tree
from dbre.core.errors import DbreError
from dbre.core.operation import tables
from dbre.core.operation.states import FINAL
from dbre.core.progress import report
from dbre.core.text import printable

__all__ = ["collect_leftovers", "collecting", "tidy"]

_log = structlog.get_logger(__name__)

EVERY_SECONDS = 3_600.0
_PROCESSES_SECONDS = 30.0
_MARK = ".gone-"


async def collect_leftovers(ground: BackupGround) -> tuple[Path, ...]:
    """Remove what nobody claims any more, and end the servers that still run in it; gives what was removed.

    Directories of restores whose operation has ended go, too, where a state store says so. Raises: OSError.
    """
    removed = await asyncio.to_thread(_collect_claims, ground.directory)
    ended = await _ended_operations(ground)
    return (*removed, *await asyncio.to_thread(_collect_operations, ground.directory, ended))


async def tidy(ground: BackupGround) -> None:
    """Collect before new work begins; what cannot be removed is told, and does not stop the work."""
    try:
        for one in await collect_leftovers(ground):
            report(f"removed {printable(str(one), limit=300)}, which a killed restore left behind")
    except (OSError, DbreError) as error:
        report(f"what a killed restore left behind cannot be removed: {printable(str(error), limit=300)}")


async def collecting(ground: BackupGround) -> None:
    """Collect at once and then every hour, for as long as a control plane runs."""
    while True:
        try:
            for one in await collect_leftovers(ground):
                _log.info("removed what a killed restore left behind", directory=printable(str(one)))
        except (OSError, DbreError) as error:  # told, and tried again: a disk may come back
            _log.warning("what killed restores left behind cannot be removed", error=printable(str(error), limit=300))
        await ground.clock.sleep(EVERY_SECONDS)


def _collect_claims(root: Path) -> list[Path]:
    if not (root / "claims").is_dir():
        return []
    dead: list[tuple[Claim, list[Path]]] = []
    with publishing(root):
        claims = read_claims(root)
        busy = {path for one in claims if one.is_live for path in one.directories}
        for one in claims:
            if not one.is_live:
                free = [path for path in one.directories if path not in busy and _is_ours(path, root)]
                dead.append((one, [away for path in free for away in _put_away(path, one.path.stem)]))
    removed: list[Path] = []
    for one, away in dead:
        for path in away:
            _remove(path)
            removed.append(path.with_name(path.name.partition(_MARK)[0]))
        one.path.unlink(missing_ok=True)
    return removed


def _is_ours(path: Path, root: Path) -> bool:
    """Below the directory of backups, or the unfinished directory of a restore beside its target: nothing else goes."""
    return path.is_relative_to(root.absolute()) or (path.name.startswith(".") and ".dbre-" in path.name)


def _put_away(path: Path, claim: str) -> Iterator[Path]:
    """Give it another name, so that who claims the old one anew is not disturbed; also what an earlier collector left."""
    away = path.with_name(f"{path.name}{_MARK}{claim}")
    if not os.path.lexists(away) and os.path.lexists(path):
        path.rename(away)
    if os.path.lexists(away):
        yield away


def _remove(path: Path) -> None:
    _end_processes(path)
    remove_tree(path)


def _end_processes(directory: Path) -> None:
    """End what works in a directory: servers make their data directory their working directory."""
    until = time.monotonic() + _PROCESSES_SECONDS
    while found := list(_processes_in(directory)):
        if time.monotonic() > until:
            raise TimeoutError(f"process {found[0]} still works in {directory}")
        for number in found:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)


def _processes_in(directory: Path) -> Iterator[int]:
    for one in Path("/proc").iterdir():
        if not one.name.isdigit():
            continue
        try:
            where = (one / "cwd").readlink()
        except OSError:  # gone, or another's
            continue
        if where.is_relative_to(directory):
            yield int(one.name)


async def _ended_operations(ground: BackupGround) -> list[Path]:
    """Directories named for an operation that has ended."""
    folder = ground.directory / "restoring"
    if ground.store is None or not await asyncio.to_thread(folder.is_dir):
        return []
    named: dict[UUID, Path] = {}
    for path in await asyncio.to_thread(lambda: sorted(folder.iterdir())):
        try:
            named[UUID(path.name)] = path
        except ValueError:
            continue
    if not named:
        return []
    table = tables.operation
    statement = select(table.c.id).where(table.c.id.in_(list(named)), table.c.state.in_([one.value for one in FINAL]))
    async with ground.store.read() as connection:
        return [named[row.id] for row in await connection.execute(statement)]


def _collect_operations(root: Path, ended: list[Path]) -> list[Path]:
    with publishing(root):
        busy = {path for one in read_claims(root) if one.is_live for path in one.directories}
        away = [one for path in ended if path not in busy for one in _put_away(path, "operation")]
    for path in away:
        _remove(path)
    return [path.with_name(path.name.partition(_MARK)[0]) for path in away]
