"""One data directory from a full copy and its incrementals; the copies are only read, unless they may be used up."""

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import ProgramFailed
from dbre.core.programs.run import run
from dbre.engines.postgres.backup.facts import major_of
from dbre.engines.postgres.backup.label import read_label
from dbre.engines.postgres.backup.manifest import MANIFEST
from dbre.engines.postgres.backup.system_id import system_id_of
from dbre.engines.postgres.backup.toolbox import Toolbox
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import Phase
from dbre.ports.backup.moving import moved

__all__ = ["assemble"]

_COMBINE_SECONDS = 86_400.0
_POLL_SECONDS = 0.5


async def assemble(
    toolbox: Toolbox, chain: Sequence[Path], target: Path, progress: CopyProgress, *, may_move: bool = False
) -> Sequence[Phase]:
    """Make ``target``, which is new or empty, of a full copy and the incrementals that stand on it, oldest first.

    ``may_move``: a full copy alone becomes ``target``, where both lie on one file system.

    Raises: UsageError, CopyDamaged where the chain is none, ProgramFailed.
    """
    begun = time.monotonic()
    await asyncio.to_thread(_require_chain, chain, target)
    account = toolbox.place.account
    if len(chain) == 1:
        await asyncio.to_thread(_put, chain[0], target, may_move)
        await progress(await asyncio.to_thread(_bytes_below, target), None)
    else:
        binaries = await toolbox.same_major(major_of(chain[-1]))
        await _combine([binaries.program("pg_combinebackup"), "--copy", "--output", target, *chain], target, progress)
    size = await asyncio.to_thread(_hand_over, target, account)
    await progress(size, size)
    return (Phase(name="combine", seconds=time.monotonic() - begun, bytes=size),)


def _require_chain(chain: Sequence[Path], target: Path) -> None:
    if not chain:
        raise UsageError("no copy was named", hint="name a full copy, and its incrementals after it")
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{target} must be a new or empty directory", hint="a restore never writes over what is there")
    labels = [read_label(one) for one in chain]
    if labels[0].incremental_from is not None:
        raise CopyDamaged(f"{chain[0]} is no full copy, and nothing that it stands on was named before it")
    for before, after, path in zip(labels, labels[1:], chain[1:], strict=False):
        if after.incremental_from != before.start:
            stands_on = after.incremental_from.text if after.incremental_from else "nothing: it is a full copy"
            raise CopyDamaged(f"{path} stands on {stands_on}, and the copy before it begins at {before.start.text}")
    if len({system_id_of(one) for one in chain}) > 1:
        raise CopyDamaged("the copies of the chain are of different systems: " + ", ".join(map(str, chain)))


async def _combine(argv: list[str | Path], target: Path, progress: CopyProgress) -> None:
    """Run as ourselves: the copies are ours to read, and need not be the account's."""
    ourselves = Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
    task = asyncio.create_task(run(argv, account=ourselves, directory=target.parent, timeout_seconds=_COMBINE_SECONDS))
    try:
        while not (await asyncio.wait({task}, timeout=_POLL_SECONDS))[0]:
            await progress(await asyncio.to_thread(_bytes_below, target), None)
        await task
    except ProgramFailed as error:
        raise CopyDamaged(f"the copies cannot be combined: {error.message}", context=error.context) from error
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _put(source: Path, target: Path, may_move: bool) -> None:
    if not may_move or not moved(source, target):
        _plain_copy(source, target)


def _plain_copy(source: Path, target: Path) -> None:
    """Never a hard link: a server that starts in the copy would write into the stored one."""
    target.mkdir(mode=0o700, exist_ok=True)
    for directory, folders, files in os.walk(source):
        below = target / Path(directory).relative_to(source)
        for name in folders:
            if (Path(directory) / name).is_symlink():
                raise CopyDamaged(f"{Path(directory) / name} is a link; copies hold none")
            (below / name).mkdir(mode=0o700)
        for name in files:
            origin = Path(directory) / name
            if not stat.S_ISREG(origin.lstat().st_mode):
                raise CopyDamaged(f"{origin} is no regular file; copies hold nothing else")
            shutil.copyfile(origin, below / name, follow_symlinks=False)


def _bytes_below(directory: Path) -> int:
    size = 0
    for folder, _, files in os.walk(directory):
        for name in files:
            try:
                size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 -- a million files
            except FileNotFoundError:
                continue
    return size


def _hand_over(target: Path, account: Account) -> int:
    """Let the account own all of it, with modes that PostgreSQL accepts; the manifest is none of the result's."""
    (target / MANIFEST).unlink(missing_ok=True)
    size = 0
    for folder, _, files in os.walk(target):
        Path(folder).chmod(0o700)
        give(Path(folder), account)
        for name in files:
            path = Path(folder) / name
            path.chmod(0o600)
            give(path, account)
            size += path.lstat().st_size
    return size
