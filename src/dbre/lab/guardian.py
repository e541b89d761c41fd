"""A small process that outlives us by a moment: when we die, however we die, it kills our servers and removes their files.

It holds the reading end of a pipe. As long as we live we tell it, over the pipe, which directories hold servers; when
the pipe ends, or its parent is no longer us, it acts. This works for SIGKILL, for a frozen server (which would not act on
``PR_SET_PDEATHSIG``) and for servers of another user (whose change of user would reset it).
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from dbre.lab.processes import kill_processes
from dbre.lab.shared_memory import remove_shared_memory

__all__ = ["Guardian", "destroy"]

_POLL_SECONDS = 0.5


class Guardian:
    """Our end of the pipe. Give every directory before the first server is started in it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._watched: set[Path] = set()

    def watch(self, directory: Path) -> None:
        """From now on, ``directory`` and the servers in it do not outlive us."""
        self._watched.add(directory)
        self._tell({"watch": os.path.realpath(directory)})

    def release(self, directory: Path) -> None:
        """From now on, ``directory`` and its servers are no business of the guardian."""
        self._watched.discard(directory)
        self._tell({"release": os.path.realpath(directory)})

    def close(self) -> None:
        """End the guardian, which first destroys everything that is still watched."""
        process, self._process = self._process, None
        self._watched.clear()
        if process is not None and process.stdin is not None:
            process.stdin.close()
            process.wait(timeout=60)

    def _tell(self, order: dict[str, str]) -> None:
        for _ in range(2):
            process = self._process or self._start()
            assert process.stdin is not None  # noqa: S101 -- opened with a pipe
            try:
                process.stdin.write(json.dumps(order).encode() + b"\n")
                process.stdin.flush()
            except BrokenPipeError:
                self._process = None  # somebody killed it: start another, which learns all that is watched
                continue
            return

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: a file named json.py in the current directory is not ours to run, perhaps as root
        self._process = subprocess.Popen(  # noqa: S603 -- our own interpreter and module
            [sys.executable, "-P", "-m", "dbre.lab.guardian", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for directory in self._watched:
            self._tell({"watch": os.path.realpath(directory)})
        return self._process


def destroy(directory: Path) -> bool:
    """Kill all servers in ``directory`` and remove it with everything in it; True if nothing is left."""
    survivors = kill_processes(directory)
    for data_directory in _data_directories(directory):
        remove_shared_memory(data_directory)
    shutil.rmtree(directory, ignore_errors=True)
    return not survivors and not directory.exists()


def _data_directories(directory: Path) -> Iterator[Path]:
    for root, directories, files in os.walk(directory):
        if "postmaster.pid" in files:
            yield Path(root)
            directories.clear()


def _main(parent: int) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # a service manager signals us together with our parent: we go last
    watched: dict[str, None] = {}
    buffer = b""
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], _POLL_SECONDS)
        if not readable:
            continue  # a child that our parent forked may keep the pipe open: hence the look at getppid
        chunk = os.read(0, 65_536)
        if not chunk:
            break
        *lines, buffer = (buffer + chunk).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "watch" in order:
                watched[order["watch"]] = None
            else:
                watched.pop(order["release"], None)
    # Twice: a server that was being started while our parent died is not there yet at the first look.
    gone = [destroy(Path(name)) for name in (*watched, *watched)]
    return 0 if all(gone[len(watched) :]) else 1


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1])))
