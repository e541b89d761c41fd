"""What one client wrote down: a call before it is sent, an answer as soon as it came, one line of a history each."""

import json
import os
import time
from typing import Any

from dbre.core.errors import PrecheckFailed

__all__ = ["Journal"]

_PROCESSES_OF_A_CLIENT = 1_000_000_000


class Journal:
    """A file that only its owner may read. Lines are in the order of the clock, because nothing waits between the two.

    A process of the history does one thing at a time, and ends with an act whose outcome is unknown: then a new one begins.
    """

    def __init__(self, path: str, *, client: int, name: str, origin_ns: int) -> None:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise PrecheckFailed(f"the history {path} cannot be made: {error.strerror}", hint="name another file") from error
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._name = name
        self._origin = origin_ns
        self._free: list[int] = []
        self._next = client * _PROCESSES_OF_A_CLIENT

    def begin(self, f: str, value: Any, *, sequence: int, due_ns: int) -> int:
        """Write down a call that is about to be sent; returns its process."""
        if self._free:
            process = self._free.pop()
        else:
            process, self._next = self._next, self._next + 1
        self._write("invoke", process, f, value, sequence, {"due": due_ns - self._origin})
        return process

    def end(self, kind: str, process: int, f: str, value: Any, *, sequence: int, **more: Any) -> None:
        """Write down an answer (``ok``, ``fail``), or that none came (``info``)."""
        self._write(kind, process, f, value, sequence, {name: one for name, one in more.items() if one is not None})
        if kind != "info":
            self._free.append(process)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, kind: str, process: int, f: str, value: Any, sequence: int, more: dict[str, Any]) -> None:
        line = {
            "process": process,
            "type": kind,
            "f": f,
            "value": value,
            "time": time.monotonic_ns() - self._origin,
            "client": self._name,
            "sequence": sequence,
            **more,
        }
        try:
            self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise PrecheckFailed(f"the history of client {self._name} cannot be written: {error.strerror}") from error
