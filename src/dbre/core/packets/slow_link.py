"""A device that gives each packet back later, or never: a thread that reads, waits, and writes."""

import os
import select
import threading
import time
from contextlib import suppress

from dbre.core.packets.line import Line, Shape
from dbre.core.packets.namespaces import Namespace
from dbre.core.packets.tun import LONGEST_PACKET, open_tun

__all__ = ["SlowLink"]

_READS = 64  # before it looks what is due


class SlowLink:
    """One such device, from its making to ``close``. It dies with the process, and packets go their usual way then."""

    def __init__(self, device: str, shape: Shape, namespace: Namespace, *, seed: int = 0) -> None:
        """Make the device; it is down. Raises: Unsupported, NetworkFailed."""
        self.device = device
        self.passed = 0
        self._line = Line(shape, seed)
        self._tun = open_tun(device, namespace, joined=not shape.is_exact)
        self._woken, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._run, name=device, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> int:
        """Packets that never left it."""
        return self._line.lost

    @property
    def is_alive(self) -> bool:
        """Whether it still moves packets."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End it and its device; what is on its way is lost. Idempotent."""
        if self._tun < 0:
            return
        os.write(self._wake, b"x")
        self._thread.join()
        for descriptor in (self._tun, self._woken, self._wake):
            os.close(descriptor)
        self._tun = -1

    def _run(self) -> None:
        timeout: float | None = None
        while True:
            readable, _, _ = select.select([self._tun, self._woken], [], [], timeout)
            if self._woken in readable:
                return
            if self._tun in readable:
                self._read()
            now = time.monotonic()
            for packet in self._line.take(now):
                with suppress(OSError):  # its device is down, or the kernel does not take this packet: lost
                    os.write(self._tun, packet)
                    self.passed += 1
            due = self._line.next_moment()
            timeout = None if due is None else max(0.0, due - time.monotonic())

    def _read(self) -> None:
        now = time.monotonic()
        for _ in range(_READS):
            try:
                packet = os.read(self._tun, LONGEST_PACKET)
            except OSError:  # nothing more for now
                return
            self._line.put(packet, now)
