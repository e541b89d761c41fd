"""Processes of this machine, named such that a signal reaches exactly the one that was meant. Linux: reads /proc.

A process is a server's if its executable is a server program and its working directory lies in the server's data
directory, or if it descends from such a process. A pid alone proves nothing, since the kernel uses it again; with its start
time it names one process.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Process", "kill_serving", "send", "serving", "start_ticks"]

_POLL_SECONDS = 0.01
IsServer = Callable[[int, str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process as the kernel described it a moment ago."""

    pid: int
    start_ticks: int  # clock ticks between boot and its start
    parent: int
    state: str  # R, S, D, T (stopped), Z (ended, not yet reaped)
    name: str
    threads: int

    @classmethod
    def read(cls, pid: int) -> Self | None:
        """The process with that pid, or None if there is none."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return None
        # The second field is the name in parentheses and may itself hold blanks and parentheses: proc(5).
        head, _, tail = text.rpartition(")")
        fields = tail.split()
        return cls(
            pid=pid,
            name=head.partition("(")[2],
            state=fields[0],
            parent=int(fields[1]),
            start_ticks=int(fields[19]),
            threads=int(fields[17]),
        )

    @property
    def is_alive(self) -> bool:
        """Whether it still runs or is stopped, as opposed to waiting to be reaped.

        A killed process with many threads is a zombie as soon as its first thread has ended; until the last one has, its
        sockets accept connections.
        """
        return self.state not in "ZX" or self.threads > 1

    @property
    def is_stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return self.state in "Tt"


def start_ticks(pid: int) -> int | None:
    """When the process with that pid started; None if there is none."""
    process = Process.read(pid)
    return None if process is None else process.start_ticks


def serving(directory: Path, is_server: IsServer) -> list[Process]:
    """All living processes of servers whose data lies in ``directory``, parents before children.

    ``is_server`` judges a process by its pid and the name that /proc/PID/exe ends with. Sees processes of our own user only,
    unless we are root.
    """
    every = {process.pid: process for process in _all_processes()}
    root = os.path.realpath(directory)
    found = {pid for pid, process in every.items() if process.is_alive and _serves(pid, root, is_server)}
    ours = [process for process in every.values() if process.is_alive and _descends(process, every, found)]
    return sorted(ours, key=lambda process: (process.start_ticks, process.pid))


def _all_processes() -> Iterable[Process]:
    for name in os.listdir("/proc"):  # noqa: PTH208 -- a Path for each of thousands of entries costs more than the scan
        if name.isdigit():
            process = Process.read(int(name))
            if process is not None:
                yield process


def _serves(pid: int, root: str, is_server: IsServer) -> bool:
    try:
        working_directory = str(Path(f"/proc/{pid}/cwd").readlink()).removesuffix(" (deleted)")
        if working_directory != root and not working_directory.startswith(root + "/"):
            return False
        executable = Path(f"/proc/{pid}/exe").readlink().name.removesuffix(" (deleted)")
    except OSError:
        return False  # ended meanwhile, or another user's
    return is_server(pid, executable)


def _descends(process: Process, every: dict[int, Process], found: set[int]) -> bool:
    current: Process | None = process
    while current is not None and current.pid > 1:
        if current.pid in found:
            return True
        current = every.get(current.parent)
    return False


def send(process: Process, number: signal.Signals) -> bool:
    """Signal exactly this process; False if it is gone. The pid cannot be used again while the descriptor is open."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        if start_ticks(process.pid) != process.start_ticks:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def kill_serving(directory: Path, is_server: IsServer, *, timeout_seconds: float = 10.0) -> list[Process]:
    """SIGKILL every process of the servers in ``directory`` until none is left; returns those that would not die.

    Looks again after each round, since a process may fork between the look and the signal.
    """
    deadline = time.monotonic() + timeout_seconds
    while remaining := serving(directory, is_server):
        for process in remaining:
            send(process, signal.SIGKILL)
        if time.monotonic() > deadline:
            return remaining
        time.sleep(_POLL_SECONDS)
    return []
