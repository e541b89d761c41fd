"""A log file that a server hands over: written beside its place, made durable, compared, and only then there."""

import asyncio
import hashlib
import os
import secrets
from pathlib import Path

from dbre.capabilities.backup.log.sealing import LogOwner
from dbre.core.errors import Conflict
from dbre.core.programs.account import Account, give
from dbre.ports.backup.errors import LogConflict

__all__ = ["take_over"]

_BLOCK = 1 << 18


async def take_over(
    owner: LogOwner, spool: Path, name: str, size: int, reader: asyncio.StreamReader, *, account: Account
) -> None:
    """Keep one file durably; the same file again is nothing.

    Raises: LogConflict for another content under a known name, or the log of another system; Conflict for a file that is
    cut off or no log file; OSError.
    """
    temporary = spool / f".incoming-{secrets.token_hex(8)}" / name  # its name tells the engine what to look for in it
    await asyncio.to_thread(temporary.parent.mkdir, 0o700)
    try:
        await _receive(temporary, size, reader)
        await asyncio.to_thread(_require_own, owner, temporary)
        await asyncio.to_thread(_place, temporary, spool / name, account)
    finally:
        await asyncio.to_thread(_remove, temporary)


async def _receive(path: Path, size: int, reader: asyncio.StreamReader) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        left = size
        while left:
            block = await reader.read(min(left, _BLOCK))
            if not block:
                raise Conflict(f"log file {path.name} ended {left} bytes too early", hint="the server hands it over again")
            await asyncio.to_thread(file.write, block)
            left -= len(block)
        file.flush()
        await asyncio.to_thread(os.fsync, file.fileno())


def _require_own(owner: LogOwner, path: Path) -> None:
    system = None if owner.source is None else owner.source.system_of(path)
    if system not in (None, owner.system_id):
        raise LogConflict(
            f"log file {path.name} is of system {system}, and cluster {owner.cluster} is {owner.system_id}",
            hint="a copy of the server archives under the name of its original: set archive_mode = off there",
        )
    if owner.port.log_file(path.name, size=path.stat().st_size, sha256="", segment_bytes=owner.segment_bytes) is None:
        raise Conflict(f"{path.name} is not the name of a log file", hint="archive_command = 'dbre-archive %p'")


def _place(temporary: Path, target: Path, account: Account) -> None:
    give(temporary, account)
    try:
        os.link(temporary, target, follow_symlinks=False)  # fails where the name is taken: nothing is ever overwritten
    except FileExistsError:
        if _digest(target) != _digest(temporary):
            raise LogConflict(
                f"log file {target.name} is here already, with other contents",
                hint="two servers archive under one name: look for a second primary",
            ) from None
    descriptor = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _remove(temporary: Path) -> None:
    temporary.unlink(missing_ok=True)
    temporary.parent.rmdir()
