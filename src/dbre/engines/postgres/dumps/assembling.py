"""A dump put where a cluster will be made of it; the dump that was fetched is read, or moved."""

import asyncio
import os
import shutil
import stat
import time
from collections.abc import Sequence
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.programs.account import Account, give
from dbre.engines.postgres.dumps.layout import read_dump
from dbre.ports.backup.engine import CopyProgress
from dbre.ports.backup.errors import CopyDamaged
from dbre.ports.backup.model import Phase
from dbre.ports.backup.moving import moved

__all__ = ["DUMP_FOLDER", "assemble_dump"]

DUMP_FOLDER = "dbre-dump"
"""Where the dump lies in the directory until it is loaded."""


async def assemble_dump(
    chain: Sequence[Path], target: Path, progress: CopyProgress, *, account: Account, may_move: bool
) -> Sequence[Phase]:
    """Put the only member of a chain where it is loaded from. Raises: UsageError, CopyDamaged."""
    begun = time.monotonic()
    if len(chain) != 1:
        raise UsageError(f"a dump stands alone, and {len(chain)} copies were named", hint="name one dump")
    dump = await asyncio.to_thread(read_dump, chain[0])
    await progress(0, dump.bytes)
    await asyncio.to_thread(_put, chain[0], target, account, may_move)
    await progress(dump.bytes, dump.bytes)
    return (Phase(name="combine", seconds=time.monotonic() - begun, bytes=dump.bytes),)


def _put(source: Path, target: Path, account: Account, may_move: bool) -> None:
    if target.is_symlink() or (target.exists() and (not target.is_dir() or any(target.iterdir()))):
        raise UsageError(f"{target} must be a new or empty directory", hint="a restore never writes over what is there")
    target.mkdir(mode=0o700, exist_ok=True)
    give(target, account)
    if not may_move or not moved(source, target / DUMP_FOLDER):
        _copy(source, target / DUMP_FOLDER, account)


def _copy(source: Path, target: Path, account: Account) -> None:
    for directory, folders, files in os.walk(source):
        below = target / Path(directory).relative_to(source)
        below.mkdir(mode=0o700)
        give(below, account)
        for name in (*folders, *files):
            origin = Path(directory) / name
            mode = origin.lstat().st_mode
            if stat.S_ISDIR(mode):
                continue
            if not stat.S_ISREG(mode):
                raise CopyDamaged(f"{origin} is no regular file; dumps hold nothing else")
            shutil.copyfile(origin, below / name, follow_symlinks=False)
            give(below / name, account)
