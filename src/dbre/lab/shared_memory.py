"""The System V segment that a killed PostgreSQL leaves behind.

PostgreSQL keeps one small segment as an interlock on its data directory. It removes it when it stops, and finds and
removes the old one when it starts again after a crash; a server that is killed for good leaks it until the next boot.
"""

import ctypes
from pathlib import Path

__all__ = ["remove_shared_memory"]

_IPC_RMID = 0


def remove_shared_memory(data_directory: Path) -> bool:
    """Remove the segment that ``postmaster.pid`` names, if nobody is attached to it; True if one was removed.

    Source: PostgreSQL ``src/include/utils/pidfile.h``: line 7 holds key and identifier, line 1 the pid that made it.
    """
    try:
        lines = (data_directory / "postmaster.pid").read_text().splitlines()
        creator, (key, identifier) = int(lines[0]), map(int, lines[6].split())
        table = Path("/proc/sysvipc/shm").read_text().splitlines()
    except (OSError, ValueError, IndexError):
        return False
    columns = table[0].split()
    for line in table[1:]:
        row = dict(zip(columns, map(int, line.split()), strict=False))
        same = row["shmid"] == identifier and row["key"] in (key, key - 2**32) and row["cpid"] == creator
        if same and row["nattch"] == 0:
            return bool(ctypes.CDLL(None).shmctl(identifier, _IPC_RMID, None) == 0)
    return False
