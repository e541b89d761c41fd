"""The file by which the library is told what to do, and by which it tells what it did; its layout is that of io_faults.c."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Control", "Counts"]

_MAGIC = 0x64627265
_HEAD = struct.Struct("=6I4Q")  # magic, is_on, calls, error, delay in microseconds, share; seed, seen, failed, delayed
_UNDER = 1024
_IS_ON = struct.Struct("=I")
_IS_ON_AT = 4
_WHOLE = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of calls that were meant."""

    is_on: bool
    seen: int
    failed: int
    delayed: int


@dataclass(frozen=True, slots=True)
class Control:
    """One such file."""

    path: Path

    def write(
        self, *, calls: int, error: int, delay_seconds: float, share: float, under: str, seed: int, user: int, group: int
    ) -> None:
        """Make it, switched off, for the server's account."""
        head = _HEAD.pack(_MAGIC, 0, calls, error, round(delay_seconds * 1e6), round(share * _WHOLE), seed, 0, 0, 0)
        name = under.encode()[: _UNDER - 1].ljust(_UNDER, b"\0")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(self.path, flags, 0o600), "wb") as file:
            file.write(head + name)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), user, group)

    def switch(self, *, is_on: bool) -> None:
        """On or off, for all processes at once; nothing where there is no such file."""
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            os.pwrite(file, _IS_ON.pack(is_on), _IS_ON_AT)
        finally:
            os.close(file)

    def counts(self) -> Counts:
        """What the library has counted; nothing where there is no such file."""
        try:
            head = self.path.read_bytes()[: _HEAD.size]
        except FileNotFoundError:
            return Counts(is_on=False, seen=0, failed=0, delayed=0)
        _, is_on, _, _, _, _, _, seen, failed, delayed = _HEAD.unpack(head)
        return Counts(is_on=bool(is_on), seen=seen, failed=failed, delayed=delayed)
