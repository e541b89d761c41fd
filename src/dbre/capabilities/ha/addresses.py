"""Which instance of the inventory an address means that a server named: by text, by number, by the name of the follower."""

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence

from dbre.core.fleet import Address, Fleet, Instance
from dbre.core.network import resolve

__all__ = ["AddressBook"]

_LOOKUP_SECONDS = 1.0


class AddressBook:
    """The instances of one engine, found by what servers call them. Only numbers of names in the inventory are looked up."""

    def __init__(self, fleet: Fleet, engine: str) -> None:
        self.instances: tuple[Instance, ...] = tuple(
            one for cluster in fleet.clusters if cluster.engine == engine for one in cluster.instances
        )
        self._numbers: dict[str, frozenset[str]] = {}
        self._by_name = {one.name: one for one in self.instances}
        self._by_text: dict[tuple[str, int], list[Instance]] = {}
        for one in self.instances:
            self._by_text.setdefault((_plain(one.address.host), one.address.port), []).append(one)

    async def learn(self, hosts: Iterable[str]) -> None:
        """Look up hosts that were not looked up before, all at once; one that does not resolve in time stands for itself."""
        new = [host for host in dict.fromkeys(map(_plain, hosts)) if host not in self._numbers]
        await asyncio.gather(*(self._learn(host) for host in new))

    async def _learn(self, host: str) -> None:
        found: frozenset[str] = frozenset()
        if not host.startswith("/"):
            try:
                async with asyncio.timeout(_LOOKUP_SECONDS):
                    found = frozenset(_plain(one.host) for one in await resolve(Address(host, 1)))
            except (OSError, UnicodeError):  # TimeoutError is an OSError: a name that nobody knows is compared as it is
                found = frozenset()
        self._numbers[host] = found | {host}

    def is_same_host(self, one: str, other: str) -> bool:
        """Whether two texts mean one host, as far as was learned."""
        one, other = _plain(one), _plain(other)
        return one == other or bool(self._numbers.get(one, frozenset({one})) & self._numbers.get(other, frozenset({other})))

    def at(self, address: Address) -> Instance | None:
        """The instance at an address."""
        exact = self._by_text.get((_plain(address.host), address.port))
        if exact:
            return exact[0]
        same = (one for one in self.instances if one.address.port == address.port)
        return next((one for one in same if self.is_same_host(one.address.host, address.host)), None)

    def named(self, name: str) -> Instance | None:
        """The instance of a name: followers often call themselves by it."""
        return self._by_name.get(name)

    def on_host(self, host: str) -> Sequence[Instance]:
        """Every instance on a host."""
        return [one for one in self.instances if self.is_same_host(one.address.host, host)]


def _plain(host: str) -> str:
    """One spelling of a host: numbers without brackets, IPv4 as IPv4, names in lower case without a dot at the end."""
    text = host.strip().removeprefix("[").removesuffix("]")
    try:
        number = ipaddress.ip_address(text)
    except ValueError:
        return text if text.startswith("/") else text.lower().removesuffix(".")
    mapped = number.ipv4_mapped if isinstance(number, ipaddress.IPv6Address) else None
    return str(mapped or number)
