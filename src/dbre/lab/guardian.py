"""A small process that outlives us by a moment: when we die, however we die, it kills our servers and removes their files.

It holds the reading end of a pipe. As long as we live we tell it, over the pipe, which directories hold servers; when
the pipe ends, or its parent is no longer us, it acts. This works for SIGKILL, for a frozen server (which would not act on
``PR_SET_PDEATHSIG``) and for servers of another user (whose change of user would reset it).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["Guardian"]


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
            [sys.executable, "-P", "-m", "dbre.lab.guardian_process", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for directory in self._watched:
            self._tell({"watch": os.path.realpath(directory)})
        return self._process
