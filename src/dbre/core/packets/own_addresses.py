"""Whether an address is one of this machine's: by the word of the kernel's routes, in every namespace that can be entered."""

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from dbre.core.fleet import Address
from dbre.core.network import resolve
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import NAMED, Namespace

__all__ = ["is_of_this_machine"]

_LOOK_UP_SECONDS = 2.0
_ANY_PORT = 9  # nothing is sent there
_Number = ipaddress.IPv4Address | ipaddress.IPv6Address


async def is_of_this_machine(address: Address, *, near: Sequence[int] = ()) -> bool:
    """Whether every number that its host stands for belongs to this machine; ``near``: processes whose namespaces count, too.

    A name that nobody resolves belongs to nobody. Namespaces of others than ``ip netns`` keeps are known by a process only.
    """
    if address.host.startswith("/"):  # a socket file is where it is
        return True
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            targets = await resolve(address)
    except (OSError, TimeoutError):
        return False
    numbers = [ipaddress.ip_address(one.host.partition("%")[0]) for one in targets]
    strange = [one for one in numbers if not _is_own(one)]
    return not strange or await asyncio.to_thread(_is_elsewhere_here, strange, near)


def _is_elsewhere_here(numbers: Sequence[_Number], near: Sequence[int]) -> bool:
    spaces = [Namespace.of_process(pid) for pid in near]
    with suppress(OSError):  # nobody made one yet
        spaces += [Namespace.named(name) for name in sorted(os.listdir(NAMED))]  # noqa: PTH208 - names are all that is wanted
    return any(_has_all(one, numbers) for one in spaces)


def _has_all(space: Namespace, numbers: Sequence[_Number]) -> bool:
    with suppress(NetworkFailed):  # it went meanwhile, or we may not enter it
        return space.call(lambda: all(map(_is_own, numbers)))
    return False


def _is_own(number: _Number) -> bool:
    """Whoever sends to an address of its own sends from it; no packet is needed to know, and none goes."""
    if number.is_loopback:
        return True
    family = socket.AF_INET if number.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asked:
        asked.connect((str(number), _ANY_PORT))
        return str(asked.getsockname()[0]).partition("%")[0] == str(number)
    return False
