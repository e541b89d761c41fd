"""Things that are costly to make and the same every time: made once a machine and user, whoever asks first."""

import asyncio
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from dbre.core.programs.account import Account, first_barrier
from dbre.core.programs.errors import DirectoryUnusable, ProgramFailed

__all__ = ["build_once", "cache_directory"]

_LOCK_SECONDS = 180.0


def cache_directory(account: Account, environment: Mapping[str, str]) -> Path:
    """The directory for templates and copied binaries: ours to write, passable for ``account``.

    ``$XDG_CACHE_HOME/dbre`` or ``~/.cache/dbre``; ``/var/cache/dbre`` for root, whose home others cannot enter;
    a directory in the temporary one where none of these will do.
    """
    home = environment.get("HOME")
    candidates = []
    if environment.get("XDG_CACHE_HOME"):
        candidates.append(Path(environment["XDG_CACHE_HOME"]) / "dbre")
    if os.geteuid() == 0:
        candidates.append(Path("/var/cache/dbre"))
    elif home:
        candidates.append(Path(home) / ".cache" / "dbre")
    candidates.append(Path(tempfile.gettempdir()) / f"dbre-cache-{os.geteuid()}")
    for candidate in candidates:
        if candidate.is_absolute() and _is_usable(candidate, account):
            return candidate
    raise DirectoryUnusable(
        f"no directory for the lab's cache: tried {', '.join(map(str, candidates))}",
        hint="set XDG_CACHE_HOME to a directory that you may write and others may enter",
    )


def _is_usable(directory: Path, account: Account) -> bool:
    try:
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    # In /tmp anybody could have made it first, and put a server program of their own into it.
    mine = status.st_uid == os.geteuid() and not directory.is_symlink() and not status.st_mode & 0o022
    return mine and os.access(directory, os.W_OK) and first_barrier(directory, account) is None


async def build_once(target: Path, build: Callable[[Path], Awaitable[None]]) -> Path:
    """Make ``target`` with ``build(directory)`` unless it is there; safe with many processes at the same time.

    ``build`` fills a directory beside the target, which is renamed when complete, so that nobody sees half of it;
    what a crashed builder left is removed first.
    """
    if _is_there(target):
        return target
    async with _locked(target.with_name(target.name + ".lock")):
        if _is_there(target):
            return target
        # A new name each time: an orphan of a dead builder may still be writing to its own.
        unfinished = target.with_name(f"{target.name}.building-{secrets.token_hex(4)}")
        await asyncio.to_thread(_make_only, unfinished, target)
        try:
            await build(unfinished)
            await asyncio.to_thread(unfinished.rename, target)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
            raise
    return target


def _is_there(target: Path) -> bool:
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    return target.is_dir()


def _make_only(directory: Path, target: Path) -> None:
    for leftover in target.parent.glob(f"{target.name}.building-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    directory.mkdir(mode=0o755)


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    try:
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise ProgramFailed(
                    f"another process has been making {path.with_suffix('')} for more than {_LOCK_SECONDS:.0f} s",
                    hint=f"see who holds {path}: fuser -v {path}",
                )
            await asyncio.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
