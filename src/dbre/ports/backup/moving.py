"""A copy that nobody needs again becomes what is made of it: given another name, and not copied once more."""

import errno
import os
import stat
from pathlib import Path

from dbre.ports.backup.errors import CopyDamaged

__all__ = ["can_move", "moved"]


def can_move(source: Path, target: Path) -> bool:
    """Whether a directory can be given a name that does not exist yet: whether both lie on one file system.

    A mount inside one file system can still refuse: ``moved`` tells.
    """
    there = next(one for one in (target, *target.parents) if one.exists())
    return source.stat().st_dev == there.stat().st_dev


def moved(source: Path, target: Path) -> bool:
    """Give ``source`` the name of ``target``, which is new or empty; False where another file system is in between.

    Raises: CopyDamaged where it holds anything but files and directories: a link would let a server write elsewhere.
    """
    for directory, folders, files in os.walk(source):
        for name in (*folders, *files):
            path = Path(directory) / name
            mode = path.lstat().st_mode
            if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
                raise CopyDamaged(f"{path} is no file and no directory; copies hold nothing else")
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True
