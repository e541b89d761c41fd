"""How a client finds the server that takes writes: address by address, in their order, as drivers with several hosts do."""

from collections.abc import Sequence

from dbre.core.errors import DbreError, Unreachable
from dbre.ports.client_work import ClientConnection, ClientPort
from dbre.ports.engine import Access, EngineRegistry

__all__ = ["Reach"]


class Reach:
    """The addresses of a cluster, as one client sees them."""

    def __init__(self, engines: EngineRegistry, engine: str, accesses: Sequence[Access]) -> None:
        found = engines.get(engine)
        self.ports: list[ClientPort] = [found.client(access) for access in accesses]

    async def connect(self) -> ClientConnection:
        """A session with the first address that takes writes. Raises: Unreachable with the reason of every address."""
        reasons = []
        for port in self.ports:
            try:
                return await port.connect()
            except DbreError as error:
                reasons.append(error.message)
        raise Unreachable("; ".join(reasons) or "the cluster has no address")
