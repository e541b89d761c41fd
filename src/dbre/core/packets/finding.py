"""In which network namespace of this machine an address is, and the same namespace again after a while."""

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import NAMED, Namespace

__all__ = ["can_bind", "namespace_again", "namespace_of", "namespaces"]


def namespace_of(address: str) -> Namespace | None:
    """The namespace in which a numeric address is one of the machine's; our own first. None if there is none that we see."""
    for namespace in namespaces():
        with suppress(NetworkFailed):  # one that has just gone, or may not be entered by us
            if namespace.call(lambda: can_bind(address)):
                return namespace
    return None


def namespace_again(inode: int) -> Namespace | None:
    """The namespace with that number; None if it is gone, with all that was in it."""
    return next((one for one in namespaces() if one.inode() == inode), None)


def namespaces() -> Iterator[Namespace]:
    """Every namespace that a file stands for, each once: our own, those with a name, those of processes."""
    seen: set[int] = set()
    for one in _candidates():
        inode = one.inode()
        if inode is not None and inode not in seen:
            seen.add(inode)
            yield one


def can_bind(address: str) -> bool:
    """Whether an address is one of the machine's, in the namespace of this thread."""
    number = ipaddress.ip_address(address)
    kind = socket.AF_INET if number.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.bind((str(number), 0))
        return True
    return False


def _candidates() -> Iterator[Namespace]:
    yield Namespace.own()
    with suppress(OSError):
        yield from (Namespace(path) for path in sorted(NAMED.iterdir()))
    for name in os.listdir("/proc"):  # noqa: PTH208 - thousands of entries
        if name.isdigit():
            yield Namespace(Path(f"/proc/{name}/ns/net"))
