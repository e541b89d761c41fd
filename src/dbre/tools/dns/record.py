"""The record by which clients find the primary, whoever serves it."""

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.network import resolve

__all__ = ["DnsRecord", "values_from", "words_of"]

_LOOK_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsRecord:
    """One record set of one value while all is well."""

    name: str
    kind: str = "A"  # AAAA, CNAME
    port: int  # of the database: a name leads to no port
    ttl: float = 5.0  # seconds, which it should have while the primary may change
    values: Mapping[Address, str] = field(default_factory=dict)  # what stands for an instance, where it is not its address

    def address_of(self, value: str) -> Address:
        """The instance for which a value stands, or the value itself."""
        for address, own in self.values.items():
            if own.rstrip(".") == value.rstrip("."):
                return address
        return Address(value.rstrip("."), self.port)

    async def value_of(self, address: Address) -> str:
        """What the record says for an instance. Raises: UsageError, Unreachable."""
        text = self.values.get(address)
        if self.kind == "CNAME":
            return (text or address.host).rstrip(".") + "."
        host = Address(text or address.host, address.port)
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                found = [ipaddress.ip_address(one.host) for one in await resolve(host)]
        except (OSError, TimeoutError) as error:
            raise Unreachable(
                f"the name {host.host} cannot be looked up: {error}", hint="see that this machine resolves it"
            ) from error
        version = 6 if self.kind == "AAAA" else 4
        value = next((str(one) for one in found if one.version == version), None)
        if value is None:
            raise UsageError(
                f"{host.host} has no address for a record of type {self.kind}", hint="write it under targets: of the route"
            )
        return value


def words_of(values: Sequence[str]) -> str:
    """Values as a state keeps them."""
    return " ".join(values) or "none"


def values_from(text: str) -> tuple[str, ...]:
    """The opposite of ``words_of``."""
    return () if text == "none" else tuple(text.split(" "))
