"""The processes of a server on this machine, found by who listens at its address, in whatever network namespace."""

import ipaddress
import os
import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbre.capabilities.chaos.injection.record import boot_id
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Address
from dbre.core.packets.finding import namespace_of
from dbre.core.packets.namespaces import Namespace
from dbre.lab.processes import Process, send

__all__ = ["family", "is_listening", "known", "listeners", "main_process", "noted", "signal_all"]

_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp: proc(5)


def main_process(address: Address) -> Process:
    """The process that listens at an address, the oldest one where children share its socket.

    Raises: PrecheckFailed where it is not on this machine, cannot be seen, or is one of our own.
    """
    namespace = _namespace(address.host)
    if namespace is None:
        raise PrecheckFailed(
            f"{address} is not an address of this machine", hint="run the experiment in a worker on the server's machine"
        )
    found = listeners(address.port, namespace)
    if not found:
        raise PrecheckFailed(
            f"nobody listens at {address}, or the process belongs to another account",
            hint="run it as the server's own account, or as root",
        )
    main = min(found, key=lambda process: (process.start_ticks, process.pid))
    if main.pid == 1 or main.pid in _ancestors():
        raise PrecheckFailed(f"process {main.pid} at {address} is one that dbre itself runs under")
    return main


def is_listening(address: Address) -> bool:
    """Whether a socket of this machine waits for connections at that port, in the namespace of that address."""
    namespace = _namespace(address.host)
    return namespace is not None and bool(namespace.call(lambda: _listening(address.port)))


def listeners(port: int, namespace: Namespace | None = None) -> list[Process]:
    """The processes that hold a socket which waits for connections at that port; our own namespace by default."""
    inodes = (namespace or Namespace.own()).call(lambda: _listening(port))
    return [process for pid in _holders(inodes) if (process := Process.read(pid)) is not None]


def family(main: Process) -> list[Process]:
    """A process and all that descend from it."""
    every = [process for name in os.listdir("/proc") if name.isdigit() and (process := Process.read(int(name)))]  # noqa: PTH208
    children: dict[int, list[Process]] = {}
    for process in every:
        children.setdefault(process.parent, []).append(process)
    found, waiting = [], [main]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += [child for child in children.get(one.pid, ()) if child.pid != one.pid]
    return found


def noted(processes: Iterable[Process]) -> dict[str, Any]:
    """Processes as a state file names them: a pid alone would prove nothing."""
    return {"boot": boot_id(), "processes": [{"pid": one.pid, "start_ticks": one.start_ticks} for one in processes]}


def known(note: Mapping[str, Any]) -> list[Process]:
    """Those of them that still live, as they are now, with what has come to descend from them."""
    if note["boot"] != boot_id():
        return []
    found: dict[int, Process] = {}
    for one in note["processes"]:
        process = Process.read(one["pid"])
        if process is not None and process.start_ticks == one["start_ticks"] and process.is_alive:
            found[process.pid] = process
    if found:
        first = next(iter(found.values()))
        found |= {one.pid: one for one in family(first) if one.is_alive}
    return list(found.values())


def signal_all(processes: Sequence[Process], number: signal.Signals) -> None:
    """Send a signal to exactly these processes, through descriptors that no other process can take over."""
    for process in processes:
        send(process, number)


def _namespace(host: str) -> Namespace | None:
    try:
        return namespace_of(str(ipaddress.ip_address(host)))
    except ValueError:
        with suppress(OSError):
            for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM):
                if (found := namespace_of(str(one[4][0]))) is not None:
                    return found
        return None


def _listening(port: int) -> set[str]:
    inodes = set()
    for table in ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"):  # of the namespace that this thread is in
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    return inodes


def _holders(inodes: set[str]) -> list[int]:
    found = []
    for name in os.listdir("/proc") if inodes else ():  # noqa: PTH208 - thousands of entries
        if name.isdigit():
            with suppress(OSError):
                links = (os.readlink(f"/proc/{name}/fd/{one}") for one in os.listdir(f"/proc/{name}/fd"))  # noqa: PTH115, PTH208
                if any(link in inodes for link in links):
                    found.append(int(name))
    return found


def _ancestors() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 0 and (process := Process.read(pid)) is not None:
        found.add(pid)
        pid = process.parent
    return found
