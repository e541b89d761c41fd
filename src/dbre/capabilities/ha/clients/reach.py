"""How a client finds the server that takes writes: address by address, in their order, as drivers with several hosts do."""

import asyncio
from collections.abc import Sequence

from dbre.core.errors import DbreError, Unreachable
from dbre.ports.client_work import ClientConnection, ClientPort
from dbre.ports.engine import Access, EngineRegistry

__all__ = ["Reach"]


class Reach:
    """The addresses of a cluster, as one client sees them.

    A session that is being opened outlives the act that wanted it, and the next act takes it over. Acts wait in a queue, and
    whoever comes to its head has little of its time left: would each begin anew and give up with its act, a server that takes
    longer than that to let somebody in would never be reached again.
    """

    def __init__(self, ports: Sequence[ClientPort]) -> None:
        self.ports = ports
        self._left: list[asyncio.Task[ClientConnection]] = []  # whose acts came to an end first

    @classmethod
    def to(cls, engines: EngineRegistry, engine: str, accesses: Sequence[Access]) -> "Reach":
        """By the drivers of that engine."""
        found = engines.get(engine)
        return cls([found.client(access) for access in accesses])

    async def connect(self) -> ClientConnection:
        """A session with the first address that takes writes. Raises: Unreachable with the reason of every address."""
        opening = self._taken_over() or asyncio.create_task(self._open())
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            if not opening.cancelled():
                self._left.append(opening)
            raise

    def close(self) -> None:
        """Give up what nobody waits for any more; never waits."""
        for one in self._left:
            if not one.done():
                one.cancel()
            elif _connection_of(one) is not None:
                one.result().abort()
        self._left.clear()

    def _taken_over(self) -> asyncio.Task[ClientConnection] | None:
        while self._left:
            one = self._left.pop()
            if not one.done():
                return one
            found = _connection_of(one)
            if found is not None and found.is_usable:
                return one
            if found is not None:
                found.abort()
        return None

    async def _open(self) -> ClientConnection:
        reasons = []
        for port in self.ports:
            try:
                return await port.connect()
            except DbreError as error:
                reasons.append(error.message)
        raise Unreachable("; ".join(reasons) or "the cluster has no address")


def _connection_of(opened: asyncio.Task[ClientConnection]) -> ClientConnection | None:
    """What an opening that ended came to; why one failed that nobody waited for interests nobody."""
    return None if opened.cancelled() or opened.exception() is not None else opened.result()
