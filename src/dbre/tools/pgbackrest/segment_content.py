"""A log segment out of a pgBackRest repository, unpacked, and compared with the SHA-1 that its name carries."""

import asyncio
import bz2
import contextlib
import gzip
import hashlib
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from dbre.core.programs.account import Account, give
from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.errors import CopyDamaged
from dbre.tools.call import call, find_program

__all__ = ["unpack"]

_PIECE = 2**20
_LARGEST = 2**30  # the largest segment that PostgreSQL can be told: what unpacks to more is no log file
_PROGRAMS = {".zst": ("zstd", "apt: zstd"), ".lz4": ("lz4", "apt: lz4")}


async def unpack(stored: Path, into: Path, *, suffix: str, sha1: str | None, account: Account) -> None:
    """Write the content of a stored file to a new file, which is worthless if this raises.

    Raises: CopyDamaged where it is not what was archived.
    """
    source, suffix_left = stored, suffix
    if suffix in _PROGRAMS:
        name, hint = _PROGRAMS[suffix]
        source, suffix_left = stored.with_name(stored.name + ".plain"), ""
        ended = await call([find_program(name, hint=hint), "-dc", stored], account=account, timeout_seconds=600, into=source)
        if ended.status != 0:
            raise CopyDamaged(
                f"a log file of the repository cannot be unpacked: {name} ended with {ended.status}: {ended.said}"
            )
    try:
        found = await asyncio.to_thread(_copy, source, suffix_left, into)
    except (OSError, EOFError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise ProgramFailed(f"{into} cannot be written: {error.strerror}") from error
        raise CopyDamaged(f"a log file of the repository cannot be unpacked: {error}") from error
    if sha1 is not None and found != sha1:
        raise CopyDamaged(
            f"a log file of the repository is not what was archived: its SHA-1 is {found}, its name says {sha1}",
            hint="recovery cannot pass it: look for another copy, and make a new full backup now",
            context={"found": found, "expected": sha1},
        )
    give(into, account)


@contextlib.contextmanager
def _opened(path: Path, suffix: str) -> Iterator[IO[bytes]]:
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if suffix == ".gz":
            file = cast(IO[bytes], stack.enter_context(gzip.open(file)))
        elif suffix == ".bz2":
            file = cast(IO[bytes], stack.enter_context(bz2.open(file)))
        yield file


def _copy(source: Path, suffix: str, into: Path) -> str:
    """The SHA-1 of what was written."""
    descriptor = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    digest, left = hashlib.sha1(usedforsecurity=False), _LARGEST
    with os.fdopen(descriptor, "wb") as writing, _opened(source, suffix) as reading:
        while (piece := reading.read(_PIECE)) and left >= 0:
            left -= len(piece)
            digest.update(piece)
            writing.write(piece)
        writing.flush()
        os.fsync(writing.fileno())
    if left < 0:
        raise CopyDamaged(f"a log file of the repository unpacks to more than {_LARGEST} bytes")
    return digest.hexdigest()
