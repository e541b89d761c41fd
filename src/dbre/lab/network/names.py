"""How the kernel's objects of a lab are called: after the lab's directory, so that they are found without any note."""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from dbre.core.packets.commands import command
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import NAMED

__all__ = ["OURS", "prefix_of", "remove_network"]

OURS = "dbre"
_DIGITS = 7  # with the prefix and three digits of a number it is as long as a device's name may be
_DEVICES = Path("/sys/class/net")


def prefix_of(directory: Path) -> str:
    """What the names of a lab's bridge, devices and namespaces begin with."""
    return OURS + hashlib.sha256(os.path.realpath(directory).encode()).hexdigest()[:_DIGITS]


def remove_network(directory: Path) -> bool:
    """Remove what bears the name of a lab's directory; True if nothing is left. It blocks for as long as there is something."""
    prefix = prefix_of(directory)
    for device in _beginning(_DEVICES, prefix):  # a device of a pair takes the other one with it
        with suppress(NetworkFailed):  # looked at again below
            command("ip", "link", "delete", device)
    for namespace in _beginning(NAMED, prefix):
        with suppress(NetworkFailed):
            command("ip", "netns", "delete", namespace)
    return not _beginning(_DEVICES, prefix) and not _beginning(NAMED, prefix)


def _beginning(directory: Path, prefix: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(directory) if name.startswith(prefix))  # noqa: PTH208 - names are what we want
    except OSError:
        return []
