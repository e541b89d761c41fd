"""Takes up killed database servers at once, as the init of a machine does.

Patroni starts PostgreSQL such that it belongs to init, and takes a process that was killed for a running one until init has
taken it up. Some inits of virtual machines and containers look only every few seconds, and some never: then a failover that
is measured is theirs. So a benchmark stands in for init for whatever it starts.
"""

import ctypes
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["foreign_seconds", "reaping"]

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_LOOK_SECONDS = 0.01
_LIMIT_SECONDS = 10.0


@contextmanager
def reaping(program: str = "postgres") -> Iterator[None]:
    """Until the end of the block, orphans below this process of that name end when they are dead."""
    _become_subreaper(True)
    is_over = threading.Event()
    thread = threading.Thread(target=_reap, args=(program, is_over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        _become_subreaper(False)


def foreign_seconds() -> float | None:
    """How long the init of this machine lets a dead orphan lie; None: longer than ten seconds."""
    with _orphan() as pid:
        began = time.monotonic()
        os.kill(pid, 9)
        while Path(f"/proc/{pid}").exists():
            if time.monotonic() > began + _LIMIT_SECONDS:
                return None
            time.sleep(_LOOK_SECONDS)
        return time.monotonic() - began


@contextmanager
def _orphan() -> Iterator[int]:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:  # in here nothing of Python may end in order: it would end what the parent has
        try:
            pid = os.posix_spawn("/bin/sleep", ["sleep", "60"], {})
            os.write(writing, str(pid).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    try:
        yield int(os.read(reading, 20))
    finally:
        os.close(reading)
        os.close(writing)


def _become_subreaper(is_one: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, int(is_one), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _reap(program: str, is_over: threading.Event) -> None:
    while not is_over.wait(_LOOK_SECONDS):
        for pid in _children():
            if _is_dead(pid, program):
                os.waitpid(pid, os.WNOHANG)  # of that name alone: others are waited for by whoever started them


def _children() -> Iterator[int]:
    for thread in Path("/proc/self/task").iterdir():
        try:
            yield from map(int, (thread / "children").read_text().split())
        except OSError:  # the thread has ended
            continue


def _is_dead(pid: int, program: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name, _, rest = status.partition("(")[2].rpartition(")")
    return name == program and rest.split()[0] == "Z"
