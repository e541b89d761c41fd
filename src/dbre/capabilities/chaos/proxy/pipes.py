"""Pipes of the kernel through which bytes go from socket to socket without being copied into this process."""

import contextlib
import fcntl
import os

__all__ = ["Pipe", "Pipes"]

_WANTED_BYTES = 1 << 20  # /proc/sys/fs/pipe-max-size allows it to anybody
_MOST_IDLE = 16


class Pipe:
    """One pipe and how many bytes are in it."""

    __slots__ = ("filled", "reader", "slots", "writer")

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(PermissionError):  # this user has too many pages in pipes: then it is 64 KiB
            fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, _WANTED_BYTES)
        self.slots = fcntl.fcntl(self.writer, fcntl.F_GETPIPE_SZ) // 4096
        self.filled = 0

    def close(self) -> None:
        """Give both ends back."""
        os.close(self.reader)
        os.close(self.writer)


class Pipes:
    """Empty pipes, shared by all links: a link keeps one only while the receiver is slower than the sender."""

    def __init__(self) -> None:
        self._idle: list[Pipe] = []

    def take(self) -> Pipe:
        """An empty pipe. Raises: OSError where no more files can be opened."""
        return self._idle.pop() if self._idle else Pipe()

    def give(self, pipe: Pipe) -> None:
        """Put a pipe back; one that is not empty is closed."""
        if pipe.filled or len(self._idle) >= _MOST_IDLE:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close those that nobody has."""
        while self._idle:
            self._idle.pop().close()
