"""A server's main process, stopped in order and started again with the words it was started with, and maybe more around it."""

import os
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbre.capabilities.chaos.injection.local_process import family, is_listening
from dbre.capabilities.chaos.injection.record import boot_id
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address
from dbre.core.packets.finding import namespace_again
from dbre.core.packets.namespaces import Namespace
from dbre.core.programs.run import clean_environment
from dbre.core.text import printable
from dbre.lab.processes import Process, send

__all__ = ["how_it_was_started", "lives", "log_of", "start_again", "stop_in_order", "wait_until_listening"]

_POLL_SECONDS = 0.02
_KEPT = ("PGSERVICE", "PGSERVICEFILE", "LD_LIBRARY_PATH")  # where to look, never a secret: the state file keeps them


def how_it_was_started(pid: int) -> dict[str, Any]:
    """Program, words, directory, account, network namespace of a process. Raises: PrecheckFailed where they cannot be known."""
    process = Path(f"/proc/{pid}")
    try:
        words = process.joinpath("cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        owner = process.stat()
        if len(words) < 2:  # Redis writes its address there; most servers leave their words alone
            raise PrecheckFailed(
                f"process {pid} has replaced the words it was started with by a title", hint="leave its start to its supervisor"
            )
        for word in words[1:]:
            path = os.fsdecode(word.partition(b"=")[2] if word.startswith(b"-") else word)
            if path.startswith("/") and not Path(f"/proc/{pid}/root{path}").exists():
                raise PrecheckFailed(
                    f"process {pid} was started with {printable(path)}, which is not there any more: it would not start again",
                    hint="restart the server by its own means first; or leave its start to its supervisor",
                )
        return {
            "program": os.readlink(process / "exe"),  # noqa: PTH115 - text
            "words": [os.fsdecode(word) for word in words],
            "directory": os.readlink(process / "cwd"),  # noqa: PTH115 - text
            "user": owner.st_uid,
            "group": owner.st_gid,
            "namespace": Namespace.of_process(pid).inode(),
            "boot": boot_id(),
            "environment": _kept_environment(pid),
        }
    except OSError as error:
        raise PrecheckFailed(
            f"how process {pid} was started cannot be read: {error.strerror}",
            hint="run it as the server's own account, or as root; or leave its start to its supervisor",
        ) from error


def log_of(pid: int) -> int | None:
    """The very file that a process writes its complaints to, open; None where that is no file, such as a journal."""
    path = f"/proc/{pid}/fd/2"
    with suppress(OSError):
        if stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - a link of the kernel's, which nobody can lead elsewhere
            return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    return None


def start_again(given: Mapping[str, Any], environment: Mapping[str, str] | None = None, *, log: int | None = None) -> int:
    """Start it with the words it was started with, where its sockets were; ``environment`` is added to a clean one,
    and ``log`` takes what it says. Gives its pid.

    Raises: PrecheckFailed where its network namespace is gone.
    """
    as_other = {"user": given["user"], "group": given["group"], "extra_groups": ()} if os.geteuid() == 0 else {}
    # Numbers of namespaces are used again after a boot; that of the machine's own is always the same.
    is_known = given["boot"] == boot_id() or given["namespace"] == Namespace.own().inode()
    namespace = namespace_again(given["namespace"]) if is_known else None
    if namespace is None:
        raise PrecheckFailed(f"the network namespace of {given['program']} is gone, and its addresses with it")

    def start() -> int:
        started = subprocess.Popen(  # noqa: S603 -- the words with which the same program was running
            given["words"],
            executable=given["program"],
            cwd=given["directory"],
            env={**clean_environment(Path(given["directory"])), **given.get("environment", {}), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if log is None else log,
            stderr=subprocess.DEVNULL if log is None else log,
            start_new_session=True,
            umask=0o077,
            **as_other,
        )
        return started.pid

    return namespace.call(start)


def stop_in_order(main: Process, number: signal.Signals, *, limit_seconds: float) -> bool:
    """Ask a main process to shut down and wait until nothing of it is left; kill what stays. Whether it obeyed. Blocks."""
    processes = family(main)
    send(main, number)
    deadline = time.monotonic() + limit_seconds
    while living := [one for one in processes if lives(one)]:
        if time.monotonic() > deadline:
            for one in living:
                send(one, signal.SIGKILL)
            return False
        time.sleep(_POLL_SECONDS)
    return True


def wait_until_listening(address: Address, *, limit_seconds: float) -> bool:
    """Whether somebody listens there in time. Blocks."""
    deadline = time.monotonic() + limit_seconds
    while not is_listening(address):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _kept_environment(pid: int) -> dict[str, str]:
    pairs = (one.partition(b"=") for one in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs if os.fsdecode(name) in _KEPT}


def lives(process: Process) -> bool:
    """Whether it is still there, and no other one by its number."""
    now = Process.read(process.pid)
    return now is not None and now.start_ticks == process.start_ticks and now.is_alive
