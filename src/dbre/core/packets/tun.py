"""A device whose packets a process reads and writes; it is gone as soon as the process is.

Source: Linux ``Documentation/networking/tuntap.rst``, ``include/uapi/linux/if_tun.h``.
"""

import fcntl
import os
import struct
from pathlib import Path

from dbre.core.errors import Unsupported
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import Namespace

__all__ = ["LONGEST_NAME", "LONGEST_PACKET", "open_tun"]

LONGEST_NAME = 15
LONGEST_PACKET = 65_535 + 64
_SETIFF, _SETOFFLOAD = 0x400454CA, 0x400454D0
_TUN, _NO_INFORMATION, _WITH_HEADER = 0x0001, 0x1000, 0x4000
_CHECKSUM, _TCP4, _ECN = 0x01, 0x02, 0x08  # what the reader may be given unfinished: it hands it on as it is
_DEVICE = Path("/dev/net/tun")


def open_tun(name: str, namespace: Namespace, *, joined: bool) -> int:
    """Make the device in a namespace and give its descriptor, which does not block.

    ``joined``: many segments of TCP come as one packet of up to 64 KiB, each behind a header that says so.
    Raises: Unsupported where the kernel has no such devices; NetworkFailed.
    """

    def make() -> int:
        try:
            descriptor = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise Unsupported(f"{_DEVICE} cannot be opened: {error.strerror}", hint="run it as root; modprobe tun") from error
        try:
            flags = _TUN | _NO_INFORMATION | (_WITH_HEADER if joined else 0)
            fcntl.ioctl(descriptor, _SETIFF, struct.pack("16sH22x", name.encode(), flags))
            if joined:
                fcntl.ioctl(descriptor, _SETOFFLOAD, _CHECKSUM | _TCP4 | _ECN)
        except OSError as error:
            os.close(descriptor)
            raise NetworkFailed(f"the device {name} cannot be made: {error.strerror}", hint="run it as root") from error
        return descriptor

    return namespace.call(make)
