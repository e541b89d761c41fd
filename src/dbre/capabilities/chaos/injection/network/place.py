"""Where in this machine's network an instance is, who is meant by its peers, and what dbre itself needs there."""

import ipaddress
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.chaos.injection.local_process import listeners
from dbre.capabilities.chaos.injection.model import Scene
from dbre.core.errors import PrecheckFailed, UsageError
from dbre.core.fleet import Address
from dbre.core.packets.finding import namespace_of
from dbre.core.packets.namespaces import Namespace
from dbre.core.text import closest, counted, quoted
from dbre.lab.processes import Process

__all__ = ["EVERYONE", "Peers", "Place", "find_peers", "find_place", "refuse_control_ports"]

EVERYONE = "everyone"
_SSH = 22
_SYSTEM = 1  # the first process: where people log in


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One instance: its numeric address, and the namespace in which that is."""

    address: Address
    namespace: Namespace
    is_shared: bool  # with dbre, or with the rest of the machine: other traffic than the server's goes through it


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """Who is on the other side."""

    networks: tuple[str, ...]  # in prefix notation; empty: everyone
    instances: Mapping[str, Address]  # those of the cluster that are meant, with numeric addresses

    @property
    def summary(self) -> str:
        """For people."""
        if not self.networks:
            return EVERYONE
        others = len(self.networks) - len({one.host for one in self.instances.values()})
        names = [*self.instances, *([counted(others, "other network")] if others > 0 else [])]
        return ", ".join(names)


def find_place(scene: Scene) -> Place:
    """Look for the instance on this machine, in every namespace. It blocks. Raises: PrecheckFailed."""
    address = scene.access.address
    number = _number(address.host)
    namespace = namespace_of(number)
    if namespace is None:
        hint = "run the experiment in a worker on the server's machine, as root"
        raise PrecheckFailed(f"{address} is not an address of this machine, in any namespace that we see", hint=hint)
    ours = {Namespace.own().inode(), Namespace.of_process(_SYSTEM).inode()}  # the machine's too, from within a container
    is_shared = namespace.inode() in ours
    return Place(address=Address(number, address.port), namespace=namespace, is_shared=is_shared)


def find_peers(scene: Scene, given: Sequence[str]) -> Peers:
    """Instances by name, addresses, networks, ``everyone``; none given: the other instances. It blocks. Raises: UsageError."""
    if EVERYONE in given:
        return Peers(networks=(), instances={})
    wanted = given or tuple(scene.peers)
    if not wanted:
        raise UsageError(
            f"{scene.cluster} has no other instance than {scene.instance}, and no peers are named",
            hint=f"name addresses, or {EVERYONE}: peers=10.0.0.7 or peers={EVERYONE}",
        )
    networks: dict[str, None] = {}
    instances: dict[str, Address] = {}
    for one in wanted:
        if one in scene.peers:
            address = scene.peers[one]
            instances[one] = Address(_number(address.host), address.port)
            networks[str(ipaddress.ip_network(instances[one].host))] = None
        else:
            networks[_network(one, scene)] = None
    return Peers(networks=tuple(networks), instances=instances)


def refuse_control_ports(ports: Sequence[int]) -> None:
    """See that no port is one by which people or dbre itself come to this machine. It blocks. Raises: PrecheckFailed."""
    ours = _ancestors()
    for port in ports:
        held = listeners(port)
        is_shell = port == _SSH or any(process.name.startswith("sshd") for process in held)
        if is_shell or any(process.pid in ours for process in held):
            what = "people log in to this machine" if is_shell else "dbre itself is reached"
            raise PrecheckFailed(f"port {port} is where {what}: it is not cut off", hint="name the server's own ports")


def _network(text: str, scene: Scene) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        pass
    try:
        return str(ipaddress.ip_network(_number(text)))
    except PrecheckFailed as error:
        near = closest(text, list(scene.peers))
        raise UsageError(
            f"{quoted(text, limit=100)} is no other instance of {scene.cluster}, no address and no network",
            hint=f"did you mean {near}?" if near else f"its other instances: {', '.join(scene.peers) or 'none'}",
        ) from error


def _number(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PrecheckFailed(f"{quoted(host, limit=100)} has no address: {error.strerror or error}") from error
    return str(found[0][4][0])


def _ancestors() -> set[int]:
    """Our own process, the runner that started it, and whoever started that; not the system's first process."""
    found, pid = set(), os.getpid()
    while pid > 1 and (process := Process.read(pid)) is not None:
        found.add(pid)
        pid = process.parent
    return found
