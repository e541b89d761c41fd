"""Where webhooks may go: a URL in a configuration file must not reach the cloud's metadata service or a neighbour's port."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.incident.errors import AddressRefused
from dbre.core.network import Target
from dbre.core.text import printable

__all__ = ["AddressPolicy", "check_addresses"]

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NEVER: tuple[tuple[_Network, str], ...] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("169.254.0.0/16", "link-local, where clouds keep their metadata service"),
        ("fe80::/10", "link-local"),
        ("fd00:ec2::/32", "the metadata service of AWS"),
        ("fd20:ce::254/128", "the metadata service of Google Cloud"),
        ("100.100.100.200/32", "the metadata service of Alibaba Cloud"),
        ("168.63.129.16/32", "the host agent of Azure"),
        ("192.0.0.192/32", "the metadata service of Oracle Cloud"),
        ("0.0.0.0/8", "no address of a host"),
        ("::/128", "no address of a host"),
        ("224.0.0.0/4", "multicast"),
        ("ff00::/8", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("192.0.0.0/24", "reserved"),
    )
)
_LOOPBACK: tuple[_Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
_PRIVATE: tuple[_Network, ...] = tuple(
    ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """What a receiver may stand on besides public addresses. Link-local and metadata addresses never."""

    allow_loopback: bool = False
    allow_private: bool = False


def _embedded(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 one only wraps: mapped, 6to4, NAT64, Teredo."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _objection(address: _Address, policy: AddressPolicy) -> str | None:
    address = _embedded(address)
    for network, what in _NEVER:
        if address in network:
            return what
    if any(address in network for network in _LOOPBACK):
        return None if policy.allow_loopback else "loopback, which this receiver does not allow (allow_loopback: true)"
    if any(address in network for network in _PRIVATE):
        return None if policy.allow_private else "private, which this receiver does not allow (allow_private: true)"
    # IANA gives public IPv6 addresses from 2000::/3 only; what Python calls global besides may wrap an inner IPv4 address.
    is_public = address.is_global and (address.version == 4 or address in _GLOBAL_UNICAST)
    return None if is_public else "not a public address"


def check_addresses(host: str, targets: Sequence[Target], policy: AddressPolicy) -> Sequence[Target]:
    """The addresses to connect to. One bad address among several refuses the host: a name that also points inside is a trap.

    Raises: AddressRefused with the address and the reason.
    """
    for target in targets:
        reason = _objection(ipaddress.ip_address(target.host.partition("%")[0]), policy)
        if reason is not None:
            raise AddressRefused(
                f"{printable(host, limit=255)} leads to {target.host}, which is {reason}",
                hint="dbre sends webhooks to public addresses; see docs/reference/alerts.md",
                context={"host": host, "address": target.host},
            )
    return targets
