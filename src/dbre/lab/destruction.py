"""The end of servers and of everything that they left."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from dbre.lab.processes import kill_processes
from dbre.lab.shared_memory import remove_shared_memory

__all__ = ["destroy"]

_REMOVAL_SECONDS = 5.0
_POLL_SECONDS = 0.05


def destroy(directory: Path) -> bool:
    """Kill all servers in ``directory`` and remove it with everything in it; True if nothing is left."""
    survivors = kill_processes(directory)
    for data_directory in _data_directories(directory):
        remove_shared_memory(data_directory)
    deadline = time.monotonic() + _REMOVAL_SECONDS
    shutil.rmtree(directory, ignore_errors=True)
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)  # a copy that is under way fails as soon as its target is gone, and so ends
        shutil.rmtree(directory, ignore_errors=True)
    return not survivors and not directory.exists()


def _data_directories(directory: Path) -> Iterator[Path]:
    for root, directories, files in os.walk(directory):
        if "postmaster.pid" in files:
            yield Path(root)
            directories.clear()
