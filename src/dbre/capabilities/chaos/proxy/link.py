"""One direction of one connection: bytes go from a source to a sink, spliced by the kernel or through the stages of toxics."""

import os
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

from dbre.capabilities.chaos.proxy.fifo import DelayFifo
from dbre.capabilities.chaos.proxy.loop import Loop
from dbre.capabilities.chaos.proxy.pipes import Pipe, Pipes

if TYPE_CHECKING:
    from collections.abc import Callable

    from dbre.capabilities.chaos.proxy.stage import Stage
    from dbre.ports.wire import Passed

__all__ = ["Link", "Side"]

_CHUNK = 64 * 1024
_SMALL = 16 * 1024
_MOST_HELD = 1 << 20  # bytes between reading and writing: then the sender has to wait, as it would for a slow receiver
_MOST_ROUNDS = 16  # until the others have their turn
_FLAGS = os.SPLICE_F_NONBLOCK | os.SPLICE_F_MOVE


class Side:
    """A socket and what epoll last said about it."""

    __slots__ = ("fd", "is_ended", "is_readable", "is_writable", "receive", "send", "socket")

    def __init__(self, found: socket.socket) -> None:
        self.socket, self.fd = found, found.fileno()
        self.receive, self.send = found.recv, found.send
        self.is_readable = self.is_writable = self.is_ended = False


class Link:
    """Copies until the source has ended and everything has been written."""

    def __init__(self, loop: Loop, pipes: Pipes, source: Side, sink: Side, *, broken: "Callable[[], None]") -> None:
        self.loop, self._pipes, self.source, self.sink = loop, pipes, source, sink
        self._broken = broken  # called when either socket was reset
        self.done: Callable[[], None] = broken  # called when the end of the source has been told to the sink
        self.front: Callable[[bytes], Passed | None] | None = None  # the wire session while it frames
        self.framed: Callable[[Link, Passed], None] = lambda *_: None  # told first of all that the session changes
        self.at_end: Callable[[], Passed] | None = None  # what it gives out when the source has ended
        self.ends_all = False  # a toxic wants the whole connection to end when the end has been told
        self.stages: list[Stage] = []
        self.frozen = 0  # blackholes: nothing is read or written
        self.is_deaf = False  # half-open: what comes is thrown away
        self.is_done = False
        self.bytes_in = self.bytes_out = 0
        self.held = 0
        self._out: deque[bytes | memoryview] = deque()
        self._fifo = DelayFifo(loop, self._into_stages)
        self._pipe: Pipe | None = None
        self._has_end = False  # the source has ended
        self._end_is_due = False  # and all that came before has passed the stages
        self._is_pumping = False
        self._is_bulk = False  # much comes at once: below that, two calls of splice cost more than recv and send

    @property
    def mode(self) -> str:
        """``splice``, ``bytes`` or ``wire``."""
        return "wire" if self.front else "splice" if self._is_spliced() else "bytes"

    def pump(self) -> None:
        """Do what can be done without waiting."""
        if self.frozen or self.is_done or self._is_pumping:
            return
        self._is_pumping = True
        try:
            for _ in range(_MOST_ROUNDS):
                if not (self._splice() if self._is_bulk and self._is_spliced() else self._copy()):
                    return
        except OSError:  # blocking is caught where it happens: this side or that one was reset
            self._broken()
            return
        finally:
            self._is_pumping = False
        self.loop.soon(self.pump)

    def insert(self, data: bytes) -> None:
        """Send something that did not come from the source."""
        self.held += len(data)
        self._out.append(data)
        self.pump()

    def rechain(self) -> None:
        """The stages are others now: put each one's exit to the next one's entry, and what is in the pipe before them all."""
        exits = [stage.push for stage in self.stages[1:]]
        for stage, following in zip(self.stages, [*exits, self._emit], strict=False):
            stage.following = following
        self._empty_pipe()

    def dropped(self, count: int) -> None:
        """A stage has thrown so many bytes away."""
        self.held -= count

    def onward(self, passed: "Passed") -> None:
        """Take over what a wire session gives out."""
        waiting = b""
        for delay, data in passed.onward:
            if delay > 0 or self._fifo.waiting:
                waiting = self._past_fifo(waiting)
                self.held += len(data)
                self._fifo.push(time.monotonic() + delay, data)
            else:
                waiting = waiting + data if waiting else data
        self._past_fifo(waiting)

    def deafen(self) -> None:
        """The sink is gone and the source must not hear of it: what comes from now on, and what is under way, goes nowhere."""
        self.is_deaf, self.front, self.at_end = True, None, None
        self._fifo.clear()
        self._out.clear()
        self.held = 0
        if self._pipe is not None:
            self._pipes.give(self._pipe)
            self._pipe = None

    def close(self) -> None:
        """Forget everything that is still under way."""
        self.is_done = True
        self._fifo.clear()
        self._out.clear()
        for stage in self.stages:
            stage.stop()
        if self._pipe is not None:
            self._pipes.give(self._pipe)
            self._pipe = None

    def _past_fifo(self, data: bytes) -> bytes:
        if data:
            self.held += len(data)
            self._into_stages(data)
        return b""

    def _into_stages(self, data: bytes | None) -> None:
        if self.stages:
            self.stages[0].push(data)
        else:
            self._emit(data)

    def _emit(self, data: bytes | None) -> None:
        if data is None:
            self._end_is_due = True
        elif data and not self.is_deaf:
            self._out.append(data)
        if not self._is_pumping:
            self.loop.soon(self.pump)

    def _is_spliced(self) -> bool:
        return not (self.front or self.stages or self._out or self._fifo.waiting or self.is_deaf)

    def _splice(self) -> bool:
        """One round by the kernel; False: nothing more can be done now."""
        pipe = self._pipe
        if pipe is None:
            if not self.source.is_readable or self._has_end:
                self._finish()
                return False
            try:
                pipe = self._pipe = self._pipes.take()
            except OSError:
                return self._copy()  # no more files: copy it by hand
        if not pipe.filled:
            try:
                count = os.splice(self.source.fd, pipe.writer, 1 << 20, flags=_FLAGS)
            except BlockingIOError:
                self.source.is_readable = False
                self._drop_pipe()
                return False
            if count == 0:
                self._drop_pipe()
                self._has_end = self._end_is_due = True
                self._finish()
                return False
            pipe.filled = count
            self._is_bulk = count >= _SMALL
            self.bytes_in += count
            if count < pipe.slots and not self.source.is_ended:  # else the pipe may have been full of small pieces
                self.source.is_readable = False
        if not self.sink.is_writable:
            return False
        try:
            count = os.splice(pipe.reader, self.sink.fd, pipe.filled, flags=_FLAGS)
        except BlockingIOError:
            self.sink.is_writable = False
            return False
        pipe.filled -= count
        self.bytes_out += count
        if not pipe.filled:
            self._drop_pipe()
        return bool(pipe.filled) or self.source.is_readable

    def _copy(self) -> bool:
        """One round through this process; False: nothing more can be done now."""
        if self._pipe is not None:
            self._empty_pipe()
        if not self._out and not self.stages and not self.is_deaf and not self._fifo.waiting:
            return self._relay()
        self._read()
        return self._write() and self._may_read()

    def _relay(self) -> bool:
        """A round with nothing in between: what is received is sent, and kept only if it cannot be."""
        data, front = self._receive(), self.front
        if not data or (front is not None and (passed := front(data)) is not None and self._adopt(passed)):
            return self._write() and self._may_read()
        if not self.sink.is_writable:
            count = 0
        else:
            try:
                count = self.sink.send(data)
            except BlockingIOError:
                self.sink.is_writable, count = False, 0
        self.bytes_out += count
        if count == len(data):
            return self.source.is_readable
        self.held += len(data) - count
        self._out.append(memoryview(data)[count:])
        return self._write() and self._may_read()

    def _adopt(self, passed: "Passed") -> bool:
        """Take over what the wire session made of bytes that do not go on as they are."""
        self.framed(self, passed)
        self.onward(passed)
        return True

    def _may_read(self) -> bool:
        """Whether there is more, and room for it: also what was left when there was none, which epoll tells only once."""
        return self.source.is_readable and not self._has_end and self.held <= _MOST_HELD

    def _read(self) -> None:
        data, front = self._receive(), self.front
        if not data or self.is_deaf or (front is not None and (passed := front(data)) is not None and self._adopt(passed)):
            return
        if self._fifo.waiting:
            self.held += len(data)
            self._fifo.push(0.0, data)
        else:
            self._past_fifo(data)

    def _receive(self) -> bytes:
        """What the source has sent; empty where there is nothing now, or it has ended, which is passed on."""
        source = self.source
        if not source.is_readable or self._has_end or self.held > _MOST_HELD:
            return b""
        try:
            data = source.receive(_CHUNK)
        except BlockingIOError:
            source.is_readable = False
            return b""
        size = len(data)
        if size < _CHUNK and not source.is_ended:
            source.is_readable = False
        if not size:
            self._has_end = True
            if self.at_end is not None:
                self.onward(self.at_end())
            self._fifo.push(0.0, None)
        self.bytes_in += size
        self._is_bulk = size == _CHUNK
        return data

    def _write(self) -> bool:
        out, sink = self._out, self.sink
        while out:
            if not sink.is_writable:
                return False
            try:
                count = sink.send(out[0])
            except BlockingIOError:
                sink.is_writable = False
                return False
            self.held -= count
            self.bytes_out += count
            if count == len(out[0]):
                out.popleft()
            else:
                out[0] = memoryview(out[0])[count:]
        self._finish()
        return not self.is_done

    def _finish(self) -> None:
        if self._end_is_due and not self._out and self._pipe is None and not self.is_done:
            self.is_done = True
            self.done()

    def _drop_pipe(self) -> None:
        if self._pipe is not None:
            self._pipes.give(self._pipe)
            self._pipe = None

    def _empty_pipe(self) -> None:
        """What the kernel holds goes out first: it has passed."""
        if self._pipe is None:
            return
        while self._pipe.filled:
            data = os.read(self._pipe.reader, self._pipe.filled)
            self._pipe.filled -= len(data)
            self.held += len(data)
            self._out.append(data)
        self._drop_pipe()
