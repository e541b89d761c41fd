"""Network namespaces, entered by a thread of its own: no other thread is ever in the wrong network. Linux only.

A namespace is named by a file: ``/run/netns/NAME`` as ``ip netns`` keeps it, or ``/proc/PID/ns/net`` of a process in it.
Sockets, tun devices and children belong to the namespace of the thread that makes them, wherever they are used later.
"""

import ctypes
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from dbre.core.packets.errors import NetworkFailed

__all__ = ["NAMED", "Namespace"]

NAMED = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Namespace:
    """One network namespace, by a file that stands for it."""

    path: Path

    @classmethod
    def named(cls, name: str) -> Self:
        """The one that ``ip netns`` keeps under a name."""
        return cls(NAMED / name)

    @classmethod
    def of_process(cls, pid: int) -> Self:
        """The one in which a process lives."""
        return cls(Path(f"/proc/{pid}/ns/net"))

    @classmethod
    def own(cls) -> Self:
        """The one in which this process began."""
        return cls.of_process(os.getpid())

    def inode(self) -> int | None:
        """The kernel's number of it: the same for every file that stands for it; None if it is gone."""
        try:
            return self.path.stat().st_ino
        except OSError:
            return None

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Run a function in a new thread that is in this namespace, and give what it gives. It blocks.

        In our own namespace it is simply called: that needs no privilege.
        Raises: NetworkFailed where it cannot be entered; whatever the function raises.
        """
        if self.inode() == type(self).own().inode():
            return function()
        found: list[_Result] = []
        failed: list[BaseException] = []

        def enter_and_run() -> None:
            try:
                self._enter()
                found.append(function())
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                failed.append(error)

        thread = threading.Thread(target=enter_and_run, name=f"dbre-{self.path.name}")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    def _enter(self) -> None:
        libc: Any = ctypes.CDLL(None, use_errno=True)
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise NetworkFailed(f"the network namespace {self.path} cannot be opened: {error.strerror}") from error
        try:
            if libc.setns(descriptor, _CLONE_NEWNET) != 0:
                reason = os.strerror(ctypes.get_errno())
                raise NetworkFailed(f"the network namespace {self.path} cannot be entered: {reason}", hint="run it as root")
        finally:
            os.close(descriptor)
