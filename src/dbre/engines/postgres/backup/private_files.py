"""Directories and files that only the account of the database programs (and root) can read."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.programs.account import Account, give

__all__ = ["scratch_directory", "write_private"]

_PREFIX = "dbre-pg-"


@contextmanager
def scratch_directory(account: Account) -> Iterator[Path]:
    """A new directory for sockets, passwords and settings of one run; its path is short, because sockets need that."""
    _sweep(Path(tempfile.gettempdir()))
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        give(directory, account)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _sweep(parent: Path) -> None:
    """Remove what processes left that were killed: a password may be in it."""
    for path in parent.glob(f"{_PREFIX}*-*"):
        number = path.name.removeprefix(_PREFIX).split("-", 1)[0]
        if number.isascii() and number.isdigit() and not Path("/proc", number).exists() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)  # only what is ours can be removed


def write_private(path: Path, data: str | bytes, account: Account) -> Path:
    """Write a new file with mode 0600; one that is there, link or not, is an error."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data.encode() if isinstance(data, str) else data)
    give(path, account)
    return path
