"""The end of servers and of everything that they left."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dbre.lab.network.names import remove_network
from dbre.lab.processes import kill_processes
from dbre.lab.shared_memory import remove_shared_memory

__all__ = ["MARKER", "destroy", "uninterrupted"]

MARKER = ".dbre-lab"
"""The file that makes a directory a lab: made first and removed last, so that a removal that was cut short can be repeated."""
_REMOVAL_SECONDS = 5.0
_POLL_SECONDS = 0.05


def destroy(directory: Path) -> bool:
    """Kill all servers in ``directory``, remove their network, and it with everything in it; True if nothing is left."""
    survivors = kill_processes(directory)
    for data_directory in _data_directories(directory):
        remove_shared_memory(data_directory)
    is_cut_off = remove_network(directory)
    deadline = time.monotonic() + _REMOVAL_SECONDS
    _remove_files(directory)
    while directory.exists() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)  # a copy that is under way fails as soon as its target is gone, and so ends
        _remove_files(directory)
    return not survivors and is_cut_off and not directory.exists()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C until the block ends, which must be soon. Other threads than the main one never see it anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _remove_files(directory: Path) -> None:
    with suppress(OSError):
        for entry in os.scandir(directory):
            if entry.name == MARKER:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)
        if all(entry.name == MARKER for entry in directory.iterdir()):
            shutil.rmtree(directory, ignore_errors=True)


def _data_directories(directory: Path) -> Iterator[Path]:
    for root, directories, files in os.walk(directory):
        if "postmaster.pid" in files:
            yield Path(root)
            directories.clear()
