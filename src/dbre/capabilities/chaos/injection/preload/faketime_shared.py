"""What libfaketime leaves in shared memory: a semaphore and a page for the server, and for programs that it starts."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

__all__ = ["remove_since", "shared_files"]

_MEMORY = Path("/dev/shm")  # noqa: S108 - where shm_open and sem_open keep what they make
_NAME = re.compile(r"faketime_shm_\d+|sem\.faketime_sem_\d+")


def shared_files(account: int) -> dict[str, int]:
    """The files of an account, with their inodes: a pid, and so a name, is used again."""
    found = {}
    with suppress(FileNotFoundError), os.scandir(_MEMORY) as entries:
        for one in entries:
            with suppress(FileNotFoundError):
                if _NAME.fullmatch(one.name) and one.stat(follow_symlinks=False).st_uid == account:
                    found[one.name] = one.inode()
    return found


def remove_since(before: Mapping[str, int], account: int) -> None:
    """Take away what has come since and no process uses.

    A child of the server, such as an archive command, makes files by its own pid, so nobody knows their names beforehand.
    """
    new = {name: inode for name, inode in shared_files(account).items() if before.get(name) != inode}
    used = _mapped() if new else set()
    for name in new.keys() - used:
        _MEMORY.joinpath(name).unlink(missing_ok=True)


def _mapped() -> set[str]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/maps"):
        with suppress(OSError):  # ended meanwhile; or of another account, which cannot use what is not its own
            found.update(_NAME.findall(path.read_text(encoding="utf-8", errors="replace")))
    return found
