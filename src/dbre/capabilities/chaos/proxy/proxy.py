"""One address that is listened on, the server behind it, and the toxics between them."""

import errno
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.chaos.proxy.chance import Chance
from dbre.capabilities.chaos.proxy.connection import Connection
from dbre.capabilities.chaos.proxy.counts import Counts
from dbre.capabilities.chaos.proxy.errors import ListenFailed, ToxicExists, ToxicInvalid, UnknownToxic
from dbre.capabilities.chaos.proxy.loop import READ, Loop, Timer
from dbre.capabilities.chaos.proxy.pipes import Pipes
from dbre.capabilities.chaos.proxy.toxic import Toxic, Unit
from dbre.core.fleet import Address
from dbre.core.text import closest, quoted
from dbre.ports.wire import TlsRequest, WirePort

__all__ = ["Proxy", "ProxySpec"]

_BACKLOG = 4096
_ACCEPTS_A_TURN = 64
_STARVED_SECONDS = 0.2  # until it is tried again to accept when no more files could be opened
_STARVED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySpec:
    """What a proxy is, apart from its toxics."""

    name: str
    listen: Address
    upstream: Address
    engine: str | None = None  # whose protocol is spoken; None: bytes, and so no toxics of queries
    tls: TlsRequest = TlsRequest.REFUSE
    seed: int = 0


class Proxy:
    """Accepts clients while it is enabled."""

    def __init__(self, spec: ProxySpec, wire: WirePort | None, *, loop: Loop, pipes: Pipes) -> None:
        self.spec, self.counts = spec, Counts()
        self._wire, self._loop, self._pipes = wire, loop, pipes
        self._chance = Chance(spec.seed, spec.name)
        self._toxics: dict[str, Toxic] = {}
        self._leases: dict[str, Timer] = {}
        self._connections: dict[int, Connection] = {}
        self._listener: socket.socket | None = None
        self._spare: socket.socket | None = None  # for the server of the next client
        self._pause: Timer | None = None
        self._upstream: tuple[int, tuple[str, int]] = (socket.AF_INET, ("", 0))
        self.address = spec.listen  # with the port that the kernel chose, once it listens

    @property
    def is_enabled(self) -> bool:
        """Whether it listens."""
        return self._listener is not None

    @property
    def toxics(self) -> Mapping[str, Toxic]:
        """By name, in the order in which bytes meet them."""
        return self._toxics

    @property
    def connections(self) -> list[Connection]:
        """Those that live."""
        return list(self._connections.values())

    def enable(self) -> None:
        """Listen. Raises: ListenFailed."""
        if self._listener is not None:
            return
        self._upstream = _resolved(self.spec.upstream, "upstream")
        family, target = _resolved(self.address, "listen")
        listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(target)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            hint = (
                "another program has it: choose another port, or port 0 through the API"
                if error.errno == errno.EADDRINUSE
                else None
            )
            raise ListenFailed(f"{self.spec.name} cannot listen on {self.address}: {error.strerror}", hint=hint) from error
        host, port = listener.getsockname()[:2]
        self.address = Address(host, port)
        self._listener = listener
        self._loop.watch(listener.fileno(), READ, self._accept)

    def disable(self) -> None:
        """Listen no more and cut every connection."""
        if self._listener is not None:
            self._loop.forget(self._listener.fileno())
            self._listener.close()
            self._listener = None
        if self._spare is not None:
            self._spare.close()
            self._spare = None
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None
        for one in self.connections:
            one.reset()

    def close(self) -> None:
        """End for good."""
        self.disable()
        for timer in self._leases.values():
            timer.cancel()

    def add(self, toxic: Toxic) -> None:
        """Put one on, also for connections that live. Raises: ToxicExists, ToxicInvalid."""
        if toxic.name in self._toxics:
            raise ToxicExists(
                f"{self.spec.name} has a toxic {toxic.name} already", hint="change it, remove it, or choose another name"
            )
        self._put(toxic)

    def change(self, toxic: Toxic) -> None:
        """Replace the one of the same name, and let its time begin anew. Raises: UnknownToxic, ToxicInvalid."""
        self.toxic(toxic.name)
        self._put(toxic)

    def remove(self, name: str) -> None:
        """Take one off. Raises: UnknownToxic."""
        self.toxic(name)
        del self._toxics[name]
        self._release(name)
        self._spread()

    def clear(self) -> None:
        """Take all off."""
        for name in list(self._leases):
            self._release(name)
        self._toxics.clear()
        self._spread()

    def toxic(self, name: str) -> Toxic:
        """One toxic. Raises: UnknownToxic."""
        if name not in self._toxics:
            near = closest(name, self._toxics)
            raise UnknownToxic(
                f"{self.spec.name} has no toxic {quoted(name, limit=100)}",
                hint=f"did you mean {near}?" if near else f"it has: {', '.join(self._toxics) or 'none'}",
            )
        return self._toxics[name]

    def as_document(self) -> dict[str, object]:
        """As Toxiproxy writes it, and what we add."""
        return {
            "name": self.spec.name,
            "listen": str(self.address),
            "upstream": str(self.spec.upstream),
            "enabled": self.is_enabled,
            "toxics": [one.as_document() for one in self._toxics.values()],
            "engine": self.spec.engine,
            "tls": self.spec.tls.value,
            "seed": self.spec.seed,
            "connections": len(self._connections),
            "counts": self.counts.as_document(),
        }

    def _put(self, toxic: Toxic) -> None:
        if toxic.unit is Unit.QUERY and self._wire is None:
            raise ToxicInvalid(
                f"{self.spec.name} sees bytes, not queries, so {toxic.name} can be of connections only",
                hint="give the proxy an engine, such as postgresql, when it is made",
            )
        self._toxics[toxic.name] = toxic
        self._release(toxic.name)
        if toxic.ttl_seconds is not None:
            name = toxic.name
            self._leases[name] = self._loop.after(toxic.ttl_seconds, lambda: self.remove(name))
        self._spread()

    def _release(self, name: str) -> None:
        timer = self._leases.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _spread(self) -> None:
        toxics = list(self._toxics.values())
        for one in self.connections:
            one.set_toxics(toxics)

    def _accept(self, _: int) -> None:
        for _turn in range(_ACCEPTS_A_TURN):
            if self._listener is None:
                return
            try:
                if self._spare is None:  # before the client is taken from the queue: without one it is better off there
                    self._spare = socket.socket(
                        self._upstream[0], socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
                    )
                client, _peer = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _STARVED:
                    continue  # it was about that one client
                self._starve()
                return
            client.setblocking(False)
            server, self._spare = self._spare, None
            self._welcome(client, server)

    def _welcome(self, client: socket.socket, server: socket.socket) -> None:
        self.counts.accepted += 1
        connection = Connection(
            self.counts.accepted,
            client,
            loop=self._loop,
            pipes=self._pipes,
            chance=self._chance,
            counts=self.counts,
            gone=self._gone,
        )
        self._connections[connection.number] = connection
        try:
            connection.open(server, self._upstream[1], self._wire, self.spec.tls, list(self._toxics.values()))
        except OSError:
            self.counts.refused += 1
            connection.reset()

    def _gone(self, connection: Connection) -> None:
        self._connections.pop(connection.number, None)

    def _starve(self) -> None:
        """Clients wait in the kernel's queue until files are free again; a loop that spins would help nobody."""
        self.counts.starved += 1
        if self._listener is None or self._pause is not None:
            return
        self._loop.forget(self._listener.fileno())
        self._pause = self._loop.after(_STARVED_SECONDS, self._again)

    def _again(self) -> None:
        self._pause = None
        if self._listener is not None:
            self._loop.watch(self._listener.fileno(), READ, self._accept)


def _resolved(address: Address, what: str) -> tuple[int, tuple[str, int]]:
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ListenFailed(
            f"{what} {address} cannot be found: {error.strerror or error}",
            hint="give a name that resolves, or a numeric address",
        ) from error
    family, _, _, _, target = found[0]
    return int(family), (str(target[0]), int(target[1]))
