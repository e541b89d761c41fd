"""Directories for the sockets, passwords and settings of one run, in the temporary directory: paths of sockets are short.

Each is locked by who uses it. One that is not locked was left by a process that was killed, and goes with the next one that is
made; locks, unlike numbers of processes, mean the same in every container that shares the directory.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbre.core.programs.account import Account, give

__all__ = ["SCRATCH_PREFIX", "scratch_directory"]

SCRATCH_PREFIX = "dbre-run-"
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_directory(account: Account) -> Iterator[Path]:
    """A new directory that only ``account`` and root may enter, gone afterwards. Raises: OSError."""
    _sweep(Path(tempfile.gettempdir()), account)
    directory, descriptor = _made()
    try:
        give(directory, account)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)  # a server that is still ending may write: the next sweep takes the rest
        os.close(descriptor)


def _made() -> tuple[Path, int]:
    """A locked directory. Between making and locking it may have been swept: then another one is made."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX))
        try:
            descriptor = os.open(directory, _FLAGS)
        except FileNotFoundError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if directory.is_dir():
            return directory, descriptor
        os.close(descriptor)


def _sweep(parent: Path, account: Account) -> None:
    """Remove what nobody holds any more: a password may be in it."""
    for path in parent.glob(f"{SCRATCH_PREFIX}*"):
        try:
            descriptor = os.open(path, _FLAGS)
        except OSError:  # gone meanwhile, another user's, or no directory
            continue
        try:
            if os.fstat(descriptor).st_uid in (os.geteuid(), account.uid):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        except BlockingIOError:  # in use
            continue
        finally:
            os.close(descriptor)
