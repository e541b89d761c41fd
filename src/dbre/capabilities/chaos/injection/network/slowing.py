"""``delay`` and ``bandwidth``: what an instance sends to others goes through a slow line that the injector keeps."""

import asyncio
import ipaddress
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from dbre.capabilities.chaos.injection.model import Fault, InjectionFailed, Sighting
from dbre.capabilities.chaos.injection.network.place import (
    EVERYONE,
    Peers,
    Place,
    find_peers,
    find_place,
    refuse_control_ports,
)
from dbre.capabilities.chaos.injection.network.reaching import Attempt, Reached, try_all
from dbre.core.errors import PrecheckFailed
from dbre.core.packets.detour import Detour, is_strict, lay, leads_through, remove, rules_of
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.finding import namespace_again
from dbre.core.packets.line import Shape
from dbre.core.packets.namespaces import Namespace
from dbre.core.packets.slow_link import SlowLink
from dbre.core.text import counted
from dbre.core.units import format_duration

__all__ = ["DEVICES", "Slowing"]

DEVICES = "dbc"
_TABLES = 0x40000000  # numbers that nobody writes by hand
_ALL = ("0.0.0.0/1", "128.0.0.0/1")
_DRAIN_SECONDS = 1.0


class Slowing(Fault):
    """A device of the injector's, and rules that lead packets through it. The device dies with the injector."""

    _link: SlowLink | None = None
    _attempts: Sequence[Attempt] = ()
    _before: Mapping[str, float | None] = {}

    @abstractmethod
    def shape(self) -> Shape:
        """How slow the line is."""

    @abstractmethod
    def check(self, before: float, now: float | None) -> str | None:
        """What is wrong with a connection that took ``before`` seconds without and ``now`` with the line, if anything."""

    async def prepare(self) -> Mapping[str, Any]:
        """Find the server's namespace and its peers, and how long a connection to them takes."""
        place, peers = await self._around()
        detour = self._detour(place, peers)
        if place.is_shared:
            await asyncio.to_thread(refuse_control_ports, detour.ports)
        for network in detour.networks:
            through = await asyncio.to_thread(_way, _first(network), place.namespace, _service(detour))
            if through.startswith(DEVICES):
                raise PrecheckFailed(
                    f"what {self.scene.instance} sends to {network} already goes through another fault's line",
                    hint="let one end before the next begins",
                )
            if await asyncio.to_thread(is_strict, through, place.namespace):
                raise PrecheckFailed(
                    f"rp_filter of {through} is 1: the kernel would drop the answers to what leaves by the line",
                    hint=f"sysctl net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.{through}.rp_filter=2",
                )
        self._attempts = [
            Attempt(source=place.namespace, target=one, name=name)
            for name, one in peers.instances.items()
            if not detour.peer_ports or one.port in detour.peer_ports
        ]
        found = [min(both, key=_seconds) for both in zip(*[await try_all(self._attempts) for _ in range(2)], strict=True)]
        self._before = {one.name: one.seconds for one in found}
        return {
            "device": detour.device,
            "table": detour.table,
            "namespace": place.namespace.inode(),
            "target": _first(detour.networks[0]),
            "service": list(_service(detour)),
            "peers": peers.summary,
        }

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make the device, lead packets through it, and see that a connection is as slow as it should be."""
        place, peers = await self._around()
        detour = self._detour(place, peers)
        seed = int(self.scene.id, 16)
        self._link = await asyncio.to_thread(lambda: SlowLink(detour.device, self.shape(), place.namespace, seed=seed))
        await asyncio.to_thread(lay, detour, place.namespace)
        for one in await try_all(self._attempts):
            before = self._before.get(one.name)
            wrong = self.check(before, one.seconds) if before is not None else None
            if wrong is not None:
                raise InjectionFailed(f"a connection to {one.name} {wrong}")
        return inverse

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Ask the kernel for the rules, and which way a packet would go; try a connection."""
        namespace = await asyncio.to_thread(namespace_again, inverse["namespace"])
        if namespace is None:
            return Sighting(False, "the namespace of the server is gone, and the line with it")
        device, table = inverse["device"], inverse["table"]
        rules = await asyncio.to_thread(rules_of, device, table, namespace)
        through = await asyncio.to_thread(_way, inverse["target"], namespace, inverse["service"])
        took = ", ".join(_told(one) for one in await try_all(self._attempts))
        is_on = bool(rules) or through == device
        if is_on and self._link is not None and not self._link.is_alive:
            return Sighting(True, "the rules are there, and nothing moves the packets")
        counts = "" if self._link is None else f"; {counted(self._link.passed, 'packet')} passed, {self._link.lost} lost"
        way = f"to {inverse['peers']} through {through}" if is_on else f"no rule of this fault is there; through {through}"
        return Sighting(is_on, way + (f"; {took}" if took else "") + counts)

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Take the rules away, let what is on its way arrive, and end the device."""
        namespace = await asyncio.to_thread(namespace_again, inverse["namespace"])
        if namespace is None:
            return
        if self._link is not None:
            await asyncio.to_thread(remove, inverse["device"], inverse["table"], namespace, keep_device=True)
            shape = self.shape()
            await asyncio.sleep(min(shape.delay_seconds + shape.jitter_seconds, _DRAIN_SECONDS))
            await asyncio.to_thread(self._link.close)
        await asyncio.to_thread(remove, inverse["device"], inverse["table"], namespace)

    async def _around(self) -> tuple[Place, Peers]:
        place = await asyncio.to_thread(find_place, self.scene)
        peers = await asyncio.to_thread(find_peers, self.scene, self.scene.parameters.peers)
        return place, peers

    def _detour(self, place: Place, peers: Peers) -> Detour:
        """Raises: PrecheckFailed where packets do not leave by a device, or could not be told apart."""
        host = ipaddress.ip_address(place.address.host)
        if host.version != 4 or any(ipaddress.ip_network(one).version != 4 for one in peers.networks):
            raise PrecheckFailed("a slow line needs IPv4 addresses, and one of these is not", hint="name other peers")
        own = [one for one in peers.networks if host in ipaddress.ip_network(one) or ipaddress.ip_network(one).is_loopback]
        if own or host.is_loopback:
            raise PrecheckFailed(
                f"what goes from {host} to {own[0] if own else EVERYONE} does not leave this machine",
                hint="give each server a namespace: dbre lab up --network",
            )
        asked = tuple(self.scene.parameters.ports)
        ports = asked or ((place.address.port,) if place.is_shared else ())
        peer_ports = asked if peers.networks else ()
        if place.is_shared and peers.networks and not asked:
            peer_ports = tuple(sorted({one.port for one in peers.instances.values()} | {place.address.port}))
        return Detour(
            device=f"{DEVICES}{self.scene.id}"[:15],
            table=_TABLES | int(self.scene.id[:7], 16),
            source=place.address.host,
            networks=peers.networks or _ALL,
            ports=ports,
            peer_ports=peer_ports,
        )


def _first(network: str) -> str:
    found = ipaddress.ip_network(network)
    return str(found.network_address if found.num_addresses == 1 else found.network_address + 1)


def _service(detour: Detour) -> tuple[str, ...]:
    if detour.peer_ports:
        return ("ipproto", "tcp", "dport", str(detour.peer_ports[0]))
    return ("ipproto", "tcp", "sport", str(detour.ports[0])) if detour.ports else ()


def _way(target: str, namespace: Namespace, service: Sequence[str]) -> str:
    try:
        return leads_through(target, namespace, *service)
    except NetworkFailed:  # without the line, no way need lead there
        return "no device"


def _seconds(one: Reached) -> float:
    return float("inf") if one.seconds is None else one.seconds


def _told(one: Reached) -> str:
    return f"{one.name} " + ("not reached" if one.seconds is None else f"reached in {format_duration(one.seconds)}")
