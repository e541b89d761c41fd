"""What Patroni writes to its watchdog, where the device is a named pipe. Pure: bytes and moments in, a deadline out.

Source: patroni/watchdog/linux.py, ``TestingWatchdogDevice``: ``Ctimeout=N`` sets the time, ``V`` before the end switches it off
(the magic close of the kernel's watchdog API), any other byte is a sign of life. The driver is meant for Patroni's own tests.
"""

import re

__all__ = ["Keepalives"]

_COMMAND = re.compile(rb"Ctimeout=([0-9]{1,6})\n")
_LONGEST_COMMAND = 32


class Keepalives:
    """One stream of keepalives. Switched on by its first sign of life, off by ``V``."""

    def __init__(self, *, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._half = b""  # the beginning of a command whose end has not come yet
        self._deadline: float | None = None

    @property
    def deadline(self) -> float | None:
        """When the server is to be killed; None: switched off."""
        return self._deadline

    def take(self, data: bytes, now: float) -> None:
        """Read what came."""
        if not data:
            return
        data, self._half = self._half + data, b""
        for match in _COMMAND.finditer(data):
            self.timeout_seconds = float(match[1])
        rest = _COMMAND.sub(b"\0", data)
        begin = rest.rfind(b"C")
        if begin >= 0 and len(rest) - begin < _LONGEST_COMMAND and b"\n" not in rest[begin:]:
            rest, self._half = rest[:begin], rest[begin:]
        # What stands before a V is of the one who switched it off; what comes after it switches it on again.
        signs = rest.rpartition(b"V")[2]
        self._deadline = now + self.timeout_seconds if signs or self._half else None if b"V" in rest else self._deadline

    def expired(self, now: float) -> bool:
        """Whether nobody gave a sign of life in time; it is switched off by that, until the next sign."""
        if self._deadline is None or now < self._deadline:
            return False
        self._deadline = None
        return True
