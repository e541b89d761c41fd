"""The two loops: keepalives of Patroni from a named pipe, words of observers from a socket. They block, and do nothing else."""

import os
import select
import socket
import stat
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dbre.capabilities.ha.watchdog.beacon import LIMIT_BYTES, read_beacon
from dbre.capabilities.ha.watchdog.keepalives import Keepalives
from dbre.capabilities.ha.watchdog.killing import KillFailed, kill, say
from dbre.capabilities.ha.watchdog.vouching import Vouching
from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret

__all__ = ["make_pipe", "watch_pipe", "watch_vouching"]

_LOOK_SECONDS = 0.1
_READ_BYTES = 65_536
_DATAGRAMS = 1000


def make_pipe(path: Path, *, owner: int, group: int) -> None:
    """A named pipe that its owner alone may write. Raises: UsageError where something else is there."""
    if path.is_symlink() or (path.exists() and not stat.S_ISFIFO(path.stat().st_mode)):
        raise UsageError(f"{path} is there, and is not a named pipe", hint="name another place")
    if not path.exists():
        os.mkfifo(path, 0o600)
    if (owner, group) != (os.geteuid(), os.getegid()):
        os.chown(path, owner, group)


def watch_pipe(path: Path, directory: Path, *, timeout_seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
    """Kill the server of ``directory`` whenever keepalives stay out, until told that it is over."""
    keepalives = Keepalives(timeout_seconds=timeout_seconds)
    # Read and write: so the pipe has no end, however often Patroni opens and closes it, and its open never waits for us.
    descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        say("watchdog_started", device=str(path), data_directory=str(directory), timeout_seconds=timeout_seconds)
        was_on = is_due = False
        while not is_over():
            ready, _, _ = select.select([descriptor], [], [], _LOOK_SECONDS)
            if ready:
                keepalives.take(os.read(descriptor, _READ_BYTES), time.monotonic())
            is_due = keepalives.expired(time.monotonic()) or is_due
            if is_due:
                is_due = not _is_killed(directory, keepalives.timeout_seconds)
            if was_on is not (keepalives.deadline is not None):
                was_on = keepalives.deadline is not None
                say("watchdog_on" if was_on else "watchdog_off", timeout_seconds=keepalives.timeout_seconds)
    finally:
        os.close(descriptor)


def watch_vouching(
    address: Address,
    directory: Path,
    vouching: Vouching,
    secret: Secret,
    *,
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Kill the server of ``directory`` while it is armed and no majority vouches for it, also after others started it again."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as listener:
        listener.bind((address.host, address.port))
        listener.setblocking(False)
        say("watchdog_started", listen=str(address), data_directory=str(directory), majority=vouching.majority)
        was_armed = False
        while not is_over():
            if select.select([listener], [], [], _LOOK_SECONDS)[0]:
                _take(listener, vouching, secret)
            now = time.monotonic()
            if vouching.is_armed is not was_armed:
                was_armed = vouching.is_armed
                say("watchdog_on" if was_armed else "watchdog_off")
            if vouching.expired(now):
                _is_killed(directory, round(vouching.silence_seconds(now) or 0.0, 3), tells_of_none=False)


def _is_killed(directory: Path, silent_seconds: float, *, tells_of_none: bool = True) -> bool:
    """Whether no process is left. Those that hang in the kernel are killed again: a watchdog that ends guards nobody."""
    try:
        count = kill(directory)
    except KillFailed as error:
        say("server_not_killed", error=error.message, silent_seconds=silent_seconds)
        return False
    if count or tells_of_none:
        say("server_killed", processes=count, silent_seconds=silent_seconds)
    return True


def _take(listener: socket.socket, vouching: Vouching, secret: Secret) -> None:
    """What waits there, and no more than so much: whoever floods us must not keep us from the clock."""
    for _ in range(_DATAGRAMS):
        try:
            data = listener.recv(LIMIT_BYTES + 1)
        except BlockingIOError:
            return
        found = read_beacon(data, secret)
        if found is not None:
            vouching.take(found, time.monotonic())
