"""Directories in which a process works, and the sets that it reads: told by a lock that ends with it, however it ends.

A claim is a file with a lock on it. Whoever finds one that is not locked knows that its process is gone, and that what its
directories hold, copies of people's data, is nobody's any more: ``leftovers`` removes it.
"""

import asyncio
import fcntl
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Claim", "claimed", "live_claims", "publishing", "read_claims"]

_FOLDER = "claims"
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who works where with what."""

    path: Path
    is_live: bool
    process: int
    purpose: str
    sets: tuple[str, ...]
    directories: tuple[Path, ...]


@asynccontextmanager
async def claimed(root: Path, *, purpose: str, sets: Sequence[str], directories: Sequence[Path]) -> AsyncIterator[None]:
    """Claim directories, before they are made, and sets, before they are read; ``root`` is the directory of backups.

    The caller removes the directories itself. Where it fails to, the claim stays, so that they are removed later.
    """
    path, descriptor = await asyncio.to_thread(_publish, root, purpose, sets, directories)
    try:
        yield
    finally:
        try:
            await asyncio.shield(asyncio.to_thread(_withdraw, path, directories))
        finally:
            os.close(descriptor)


async def live_claims(root: Path) -> tuple[Claim, ...]:
    """Claims whose process lives."""
    return tuple(one for one in await asyncio.to_thread(read_claims, root) if one.is_live)


def read_claims(root: Path) -> tuple[Claim, ...]:
    """All claims; one that is half written has no directories yet."""
    folder = root / _FOLDER
    found = sorted(folder.glob("*.json")) if folder.is_dir() else []
    return tuple(one for path in found if (one := _read(path)) is not None)


@contextmanager
def publishing(root: Path) -> Iterator[None]:
    """While this is held nobody else claims anything: what is unclaimed now stays so."""
    folder = root / _FOLDER
    root.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _publish(root: Path, purpose: str, sets: Sequence[str], directories: Sequence[Path]) -> tuple[Path, int]:
    name = secrets.token_hex(8)
    value = {
        "process": os.getpid(),
        "purpose": purpose,
        "sets": list(sets),
        "directories": [str(one.absolute()) for one in directories],
    }
    with publishing(root):
        unfinished, path = root / _FOLDER / f"{name}.new", root / _FOLDER / f"{name}.json"
        descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, json.dumps(value).encode())
            os.fsync(descriptor)
            unfinished.rename(path)
        except BaseException:
            os.close(descriptor)
            unfinished.unlink(missing_ok=True)
            raise
    return path, descriptor


def _withdraw(path: Path, directories: Sequence[Path]) -> None:
    if not any(os.path.lexists(one) for one in directories):
        path.unlink(missing_ok=True)


def _read(path: Path) -> Claim | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # withdrawn meanwhile
        return None
    try:
        is_live = False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            is_live = True
        try:
            value = json.loads(os.read(descriptor, _LARGEST))
            return Claim(
                path=path,
                is_live=is_live,
                process=int(value["process"]),
                purpose=str(value["purpose"]),
                sets=tuple(map(str, value["sets"])),
                directories=tuple(map(Path, value["directories"])),
            )
        except (ValueError, KeyError, TypeError):  # cut off when the machine lost its power
            return Claim(path=path, is_live=is_live, process=0, purpose="", sets=(), directories=())
    finally:
        os.close(descriptor)
