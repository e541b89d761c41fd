"""Files of a copy, opened so that no link can lead elsewhere."""

import os
import stat
from pathlib import Path

__all__ = ["open_plain", "read_plain"]


def open_plain(path: Path | bytes) -> int:
    """A descriptor of a regular file; a symlink, a device or a pipe is an OSError and is not waited for."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{os.fsdecode(path)} is no regular file")
    return descriptor


def read_plain(path: Path, *, limit: int) -> bytes:
    """All of a small file. Raises: OSError, also where it is longer than ``limit`` bytes."""
    with os.fdopen(open_plain(path), "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(f"{path} is longer than {limit} bytes")
    return data
