"""A way around: what this machine sends to some peers goes through a device first, and comes back to go its usual way.

Locally made packets to a peer are sent to the device by a rule and a table of routes of its own; what is written back to the
device comes in from it, which the rule does not match, and is forwarded as it would have been. Without the device, when its
process is gone, the table is empty and the rule leads nowhere: packets go their usual way.
"""

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbre.core.packets.commands import command
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import Namespace

__all__ = ["Detour", "is_strict", "lay", "leads_through", "remove", "rules_of"]

_PREFERENCE = 1000  # after the table of local addresses (0), long before the main one (32766)
_LINK_ADDRESS = "169.254.255.254/32"  # says nothing to anybody: no route leads to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Detour:
    """Who is reached through the device. With ports, only TCP to them at the peers, or from them here."""

    device: str
    table: int
    source: str  # the address that new connections come from
    networks: tuple[str, ...]  # in prefix notation, IPv4
    ports: tuple[int, ...] = ()  # of the server here
    peer_ports: tuple[int, ...] = ()
    preference: int = _PREFERENCE
    also_forwarded: bool = False  # also what came in from another device, as from another detour

    def rules(self) -> Sequence[tuple[str, ...]]:
        """Each as ``ip rule add`` reads it."""
        services: list[tuple[str, ...]] = [("ipproto", "tcp", "sport", str(port)) for port in self.ports]
        services += [("ipproto", "tcp", "dport", str(port)) for port in self.peer_ports]
        origin = () if self.also_forwarded else ("iif", "lo")
        return [
            ("pref", str(self.preference + 1), *origin, "to", network, *service, "lookup", str(self.table))
            for network in self.networks
            for service in services or [()]
        ]


def lay(detour: Detour, namespace: Namespace) -> None:
    """Bring up a device that is there, and lead packets through it. It blocks. Raises: NetworkFailed."""
    device, table = detour.device, str(detour.table)
    namespace.call(lambda: _prepare(device))
    # Without any address the kernel takes nothing from a device where it looks for the way back (rp_filter).
    command("ip", "address", "add", _LINK_ADDRESS, "dev", device, "scope", "link", namespace=namespace)
    command("ip", "link", "set", device, "up", namespace=namespace)
    for network in detour.networks:
        route = (network, "dev", device, "table", table, "src", detour.source)
        command("ip", "route", "add", *route, namespace=namespace)
    if detour.also_forwarded:  # what comes back from the device has been through it
        command("ip", "rule", "add", "pref", str(detour.preference), "iif", device, "lookup", "main", namespace=namespace)
    for rule in detour.rules():
        command("ip", "rule", "add", *rule, namespace=namespace)


def remove(device: str, table: int, namespace: Namespace, *, keep_device: bool = False) -> None:
    """Take away the rules, and the device with its routes if it is there. It blocks; idempotent. Raises: NetworkFailed."""
    for rule in rules_of(device, table, namespace):
        origin = ("iif", str(rule["iif"])) if "iif" in rule else ()
        words = ("ip", "rule", "delete", "pref", str(rule["priority"]), *origin, "lookup", str(rule["table"]))
        command(*words, namespace=namespace)
    if not keep_device and namespace.call(lambda: _settings(device).exists()):
        command("ip", "link", "delete", device, namespace=namespace)


def rules_of(device: str, table: int, namespace: Namespace) -> Sequence[dict[str, Any]]:
    """The rules of a detour that are there. It blocks. Raises: NetworkFailed."""
    rules = json.loads(command("ip", "-N", "-j", "-4", "rule", "show", namespace=namespace) or "[]")
    return [one for one in rules if str(one.get("table")) == str(table) or one.get("iif") == device]


def leads_through(target: str, namespace: Namespace, *service: str) -> str:
    """The device through which the kernel would send a packet there. It blocks. Raises: NetworkFailed."""
    found = json.loads(command("ip", "-j", "-4", "route", "get", target, *service, namespace=namespace))
    if not found or "dev" not in found[0]:
        raise NetworkFailed(f"the kernel knows no way to {ipaddress.ip_address(target)}")
    return str(found[0]["dev"])


def is_strict(device: str, namespace: Namespace) -> bool:
    """Whether the kernel drops what comes back by a device while packets leave by another (rp_filter 1). It blocks."""

    def strictest() -> int:
        values = [int((_settings(name) / "rp_filter").read_text()) for name in ("all", device)]
        return max(values)

    try:
        return namespace.call(strictest) == 1
    except (OSError, ValueError):
        return False


def _prepare(device: str) -> None:
    for name, value in (("forwarding", "1"), ("accept_local", "1"), ("rp_filter", "2"), ("send_redirects", "0")):
        try:
            (_settings(device) / name).write_text(value)
        except OSError as error:
            raise NetworkFailed(f"{name} of {device} cannot be set: {error.strerror}", hint="run it as root") from error


def _settings(device: str) -> Path:
    return Path("/proc/sys/net/ipv4/conf") / device
