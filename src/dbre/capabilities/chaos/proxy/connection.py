"""A client, its server, and the two links between them; toxics come and go while it lives."""

import contextlib
import errno
import select
import socket
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import TYPE_CHECKING

from dbre.capabilities.chaos.proxy.chance import Chance
from dbre.capabilities.chaos.proxy.link import Link, Side
from dbre.capabilities.chaos.proxy.loop import EDGES, Loop
from dbre.capabilities.chaos.proxy.pipes import Pipes
from dbre.capabilities.chaos.proxy.queries import Queries
from dbre.capabilities.chaos.proxy.stage import STAGES, Stage
from dbre.capabilities.chaos.proxy.toxic import Stream, Toxic, Unit
from dbre.ports.wire import Passed, TlsRequest, WirePort

if TYPE_CHECKING:
    from dbre.capabilities.chaos.proxy.counts import Counts

__all__ = ["Connection"]

_ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_IN = select.EPOLLIN | _ENDED
_OUT = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_MORE = select.EPOLLIN | select.EPOLLOUT  # bytes have come, and nothing else
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST


class Connection:
    """One client from its arrival to its end."""

    def __init__(
        self, number: int, client: socket.socket, *, loop: Loop, pipes: Pipes, chance: Chance, counts: "Counts",
        gone: Callable[["Connection"], None],
    ) -> None:  # fmt: skip
        self.number, self.peer = number, _name_of(client)
        self._loop, self._pipes, self._chance, self._counts, self._gone = loop, pipes, chance, counts, gone
        self.client = Side(client)
        self.server: Side | None = None
        self.up: Link | None = None
        self.down: Link | None = None
        self.queries: Queries | None = None
        self._stages: dict[str, tuple[Link, Stage]] = {}
        self._frozen: dict[str, Link] = {}
        self._half_open: dict[str, Side] = {}
        self._seen: dict[str, Toxic] = {}  # toxics of connections that have been drawn for, hit or not
        self._is_connected = self.is_closed = False

    def open(
        self, server: socket.socket, upstream: tuple[str, int], wire: WirePort | None, tls: TlsRequest, toxics: Sequence[Toxic]
    ) -> None:
        """Go to the server by a socket that is there already. Raises: OSError where there is no way to it."""
        self.server = Side(server)
        for one in (self.client.socket, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up = Link(self._loop, self._pipes, self.client, self.server, broken=self.reset)
        self.down = Link(self._loop, self._pipes, self.server, self.client, broken=self.reset)
        for link in (self.up, self.down):
            link.done = lambda link=link: self._half_done(link)  # type: ignore[misc]
        if wire is not None:
            self.queries = Queries(self.number, self._chance, self._counts)
            session = self.queries.attach(wire, tls)
            self.up.front, self.down.front = session.from_client, session.from_server
            self.up.framed = self.down.framed = self._framed
            self.up.at_end = session.release
        code = server.connect_ex(upstream)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")
        self.set_toxics(toxics)
        if not self.is_closed:
            self._loop.watch(self.client.fd, EDGES, self._client_event)
            self._loop.watch(self.server.fd, EDGES, self._server_event)

    def set_toxics(self, toxics: Sequence[Toxic]) -> None:
        """From now on these are on, and no others."""
        wanted = {one.name: one for one in toxics if one.unit is Unit.CONNECTION}
        for name, before in list(self._seen.items()):
            if name not in wanted or not wanted[name].is_same_fault(before):
                self._take_off(name)
        for name, toxic in wanted.items():
            if name not in self._seen and not self.is_closed:
                self._seen[name] = toxic
                if self._chance.hits(name, self.number, toxic.toxicity):
                    self._counts.hit(name)
                    self._put_on(toxic)
        if self.queries is not None:
            self.queries.toxics = [one for one in toxics if one.unit is Unit.QUERY and one.toxicity > 0]

    def reset(self) -> None:
        """End it with RST to both sides: no byte that is under way arrives."""
        for side in (self.client, self.server):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        self.close()

    def close(self) -> None:
        """End it now."""
        if self.is_closed:
            return
        self.is_closed = True
        for link in (self.up, self.down):
            if link is not None:
                link.close()
                self._counts.bytes += link.bytes_out
        for side in (self.client, self.server):
            if side is not None:
                self._loop.forget(side.fd)
                side.socket.close()
        self._gone(self)

    def as_document(self) -> dict[str, object]:
        """What the API tells of it."""
        return {
            "number": self.number,
            "client": self.peer,
            "mode": {"upstream": self.up.mode if self.up else None, "downstream": self.down.mode if self.down else None},
            "bytes": {"upstream": self.up.bytes_out if self.up else 0, "downstream": self.down.bytes_out if self.down else 0},
            "toxics": sorted({*self._stages, *self._frozen, *self._half_open}),
            **(self.queries.as_document() if self.queries else {}),
        }

    def _put_on(self, toxic: Toxic) -> None:
        link = self.up if toxic.stream is Stream.UPSTREAM else self.down
        if link is None:
            return
        if toxic.type == "down":
            self._loop.soon(self.reset)
        elif toxic.type == "blackhole":
            self._frozen[toxic.name] = link
            link.frozen += 1
        elif toxic.type == "half_open":
            self._abandon(toxic.name, link)
        else:
            close = self.reset if toxic.type == "reset_peer" else self.close
            stage = STAGES[toxic.type](link, toxic.attributes, self._source(toxic), close)
            self._stages[toxic.name] = (link, stage)
            link.stages.append(stage)
            link.rechain()

    def _take_off(self, name: str) -> None:
        self._seen.pop(name, None)
        if name in self._stages:
            link, stage = self._stages.pop(name)
            link.stages.remove(stage)
            stage.finish()  # while its exit is still the old one
            link.rechain()
            self._loop.soon(link.pump)
        elif name in self._frozen:
            link = self._frozen.pop(name)
            link.frozen -= 1
            self._loop.soon(link.pump)
        elif self._half_open.pop(name, None) is not None:
            self.reset()  # as a host answers that knows nothing of this connection any more

    def _abandon(self, name: str, link: Link) -> None:
        """The source's host vanishes: its socket is reset, and the other side hears nothing of it."""
        other = self.down if link is self.up else self.up
        side = link.source
        link.close()
        if other is not None:
            other.deafen()
        self._loop.forget(side.fd)
        side.fd = -1  # the number may soon be somebody else's
        with contextlib.suppress(OSError):
            side.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
        side.socket.close()
        self._half_open[name] = side

    def _source(self, toxic: Toxic) -> Random:
        return self._chance.source(toxic.name, self.number)

    def _framed(self, link: Link, passed: Passed) -> None:
        if passed.is_reset:
            self._loop.soon(self.reset)
        if passed.answer and self.down is not None:
            self.down.insert(passed.answer)
        if self.queries is not None and self.queries.is_opaque:
            link.front = None  # from here on the bytes are none of our business

    def _half_done(self, link: Link) -> None:
        if self._half_open:
            return  # nobody is told anything
        if link.ends_all or (self.up and self.down and self.up.is_done and self.down.is_done):
            self.close()
            return
        with contextlib.suppress(OSError):
            link.sink.socket.shutdown(socket.SHUT_WR)

    def _client_event(self, events: int) -> None:
        self._event(self.client, events, self.up, self.down)

    def _server_event(self, events: int) -> None:
        if self.server is None:
            return
        if not self._is_connected:
            code = self.server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self._counts.refused += 1
                self.reset()
                return
            self._is_connected = True
        self._event(self.server, events, self.down, self.up)

    def _event(self, side: Side, events: int, reads: Link | None, writes: Link | None) -> None:
        if events == _MORE and side.is_writable and self._is_connected and reads is not None:  # nearly always
            side.is_readable = True
            reads.pump()
            return
        if events & _IN:
            side.is_readable = True
            if events & _ENDED:
                side.is_ended = True
        if events & _OUT:
            was_writable, side.is_writable = side.is_writable, True
            if not was_writable and writes is not None:
                writes.pump()
        if events & _IN and reads is not None and not self.is_closed and (self._is_connected or reads is self.down):
            reads.pump()


def _name_of(found: socket.socket) -> str:
    try:
        host, port = found.getpeername()[:2]
    except OSError:  # it has gone already
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
