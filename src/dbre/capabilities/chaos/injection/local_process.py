"""The processes of a server on this machine, found by who listens at its address, in whatever network namespace."""

import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbre.capabilities.chaos.injection.record import boot_id
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Address
from dbre.core.packets.finding import namespace_of
from dbre.core.packets.namespaces import Namespace
from dbre.core.text import quoted
from dbre.lab.processes import Process, send

__all__ = ["family", "is_listening", "is_taken_up", "known", "listeners", "main_process", "noted", "processes_at", "signal_all"]

_Number = ipaddress.IPv4Address | ipaddress.IPv6Address
_LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp: proc(5)


def main_process(address: Address) -> Process:
    """The process that listens at an address, the oldest one where children share its socket.

    Raises: PrecheckFailed where it is not on this machine, cannot be seen, or is one of our own.
    """
    place = _place(address.host)
    if place is None:
        raise PrecheckFailed(
            f"{address} is not an address of this machine", hint="run the experiment in a worker on the server's machine"
        )
    namespace, host = place
    found = listeners(address.port, namespace, host)
    if not found:
        raise PrecheckFailed(
            f"nobody listens at {address}, or the process belongs to another account",
            hint="run it as the server's own account, or as root",
        )
    main = min(found, key=lambda process: (process.start_ticks, process.pid))
    if main.pid == 1 or main.pid in _ancestors():
        raise PrecheckFailed(f"process {main.pid} at {address} is one that dbre itself runs under")
    if main.name.startswith("sshd"):
        raise PrecheckFailed(f"{address} is where people log in to this machine", hint="name the server's own address")
    return main


def processes_at(text: str) -> list[Process]:
    """The program that listens at ``host:port``, with all that descends from it. Raises: PrecheckFailed, UsageError."""
    address = Address.parse(text, default_port=0)
    if not address.port or address.host.startswith("/"):
        raise UsageError(f"{quoted(text, limit=100)} is no address with a port", hint="write host:port")
    return family(main_process(address))


def is_listening(address: Address) -> bool:
    """Whether a socket of this machine waits for connections at that port, in the namespace of that address."""
    place = _place(address.host)
    return place is not None and bool(place[0].call(lambda: _listening(address.port, place[1])))


def listeners(port: int, namespace: Namespace | None = None, host: str | None = None) -> list[Process]:
    """The processes that hold a socket which waits for connections at that port of an address, or of any; our own namespace
    by default."""
    inodes = (namespace or Namespace.own()).call(lambda: _listening(port, host))
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


def is_taken_up(note: Mapping[str, Any]) -> bool:
    """Whether none of them is left, not even dead and waiting for its parent: until then its number is in use."""
    if note["boot"] != boot_id():
        return True
    seen = ((Process.read(one["pid"]), one["start_ticks"]) for one in note["processes"])
    return not any(process is not None and process.start_ticks == ticks for process, ticks in seen)


def signal_all(processes: Sequence[Process], number: signal.Signals) -> None:
    """Send a signal to exactly these processes, through descriptors that no other process can take over."""
    for process in processes:
        send(process, number)


def _place(host: str) -> tuple[Namespace, str] | None:
    """The namespace in which an address is one of the machine's, and the address as a number."""
    try:
        numbers = [str(ipaddress.ip_address(host))]
    except ValueError:
        numbers = []
        with suppress(OSError):
            numbers = [str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    for number in numbers:
        if (found := namespace_of(number)) is not None:
            return found, number
    return None


def _listening(port: int, host: str | None) -> set[str]:
    """The sockets that the kernel would give a connection to: those of the very address before those of all addresses."""
    wanted = _plain(ipaddress.ip_address(host)) if host is not None else None
    exact, others = set(), set()
    for table in ("/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"):  # of the namespace that this thread is in
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                address, _, number = fields[1].rpartition(":")
                if fields[3] != _LISTENING or int(number, 16) != port:
                    continue
                bound = _plain(_address(address))
                if wanted is None or bound == wanted:
                    exact.add(f"socket:[{fields[9]}]")
                elif bound.is_unspecified:
                    others.add(f"socket:[{fields[9]}]")
    return exact or others


def _address(text: str) -> _Number:
    """As the kernel writes it: words of 32 bits, each in the order of this machine."""
    raw = bytes.fromhex(text)
    words = [raw[at : at + 4] for at in range(0, len(raw), 4)]
    return ipaddress.ip_address(b"".join(word[::-1] if sys.byteorder == "little" else word for word in words))


def _plain(number: _Number) -> _Number:
    """IPv4 as such, also where a socket of IPv6 serves it."""
    mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return mapped or number


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
