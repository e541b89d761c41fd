"""Where a server's sockets are: an address, who may come to it, and perhaps a network namespace of its own."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from dbre.core.packets.namespaces import Namespace
from dbre.lab.free_port import LOOPBACK, choose_port, is_free

__all__ = ["Host"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One place in a network. The default is loopback, which all servers without a place of their own share."""

    address: str = LOOPBACK
    clients: str = f"{LOOPBACK}/32"  # the network that servers let in, in prefix notation
    namespace: str | None = None  # by its name for ``ip netns``; None: that of this process

    @property
    def account_pattern(self) -> str:
        """The clients as MySQL and MariaDB write them in accounts.

        >>> Host().account_pattern, Host(address="10.9.1.2", clients="10.9.1.0/24").account_pattern
        ('127.0.0.1', '10.9.1.0/255.255.255.0')
        """
        network = ipaddress.ip_network(self.clients)
        single = network.prefixlen == network.max_prefixlen
        return str(network.network_address) if single else f"{network.network_address}/{network.netmask}"

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Run a function where the server's sockets are: what it opens and starts is there too. It blocks."""
        return function() if self.namespace is None else Namespace.named(self.namespace).call(function)

    def is_free(self, port: int) -> bool:
        """Whether a server could listen there now."""
        return self.call(lambda: is_free(port, self.address))

    def choose_port(self) -> int:
        """A port where nobody listens. Raises: PortTaken."""
        return self.call(lambda: choose_port(self.address))
