"""A network for lab servers: a bridge on this machine, and behind it a namespace for each host. Needs root."""

import fcntl
import ipaddress
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from dbre.core.packets.commands import command
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import Namespace
from dbre.lab.errors import LabError
from dbre.lab.network.host import Host
from dbre.lab.network.names import prefix_of, remove_network

__all__ = ["Network"]

_NOTE = "network.json"
_LOCK = Path("/run/dbre-lab-network.lock")
_FIRST, _LAST = 10 << 24 | 64 << 16, 10 << 24 | 127 << 16 | 255 << 8  # 10.64.0.0 to 10.127.255.0
_MOST_HOSTS = 200
_TRIES = 50
_NAME = re.compile(r"[a-z0-9][-a-z0-9_.]{0,40}", re.IGNORECASE)


class Network:
    """A bridge with hosts behind it. It goes away with the lab's directory: see ``dbre.lab.destruction``.

    This process reaches every host, from the bridge's own address; hosts reach each other, and nothing else.
    """

    def __init__(self, directory: Path, subnet: ipaddress.IPv4Network, hosts: Mapping[str, int]) -> None:
        self.directory = directory
        self.subnet = subnet
        self._prefix = prefix_of(directory)
        self._hosts = dict(hosts)  # by name, the last part of the address

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Make the bridge of the lab, or of the servers, in a directory. It blocks for some milliseconds.

        Raises: NetworkFailed where we may not, or the kernel cannot.
        """
        prefix = prefix_of(directory)
        if not remove_network(directory):
            raise NetworkFailed(f"a network of an earlier lab in {directory} cannot be removed", hint="see ip link, ip netns")
        command("ip", "link", "add", prefix, "type", "bridge")
        try:
            with _alone():
                found = cls(directory, _choose_subnet(), {})
                command("ip", "address", "add", f"{found.gateway}/{found.subnet.prefixlen}", "dev", prefix)
            command("ip", "link", "set", prefix, "up")
            found._note()
        except BaseException:
            remove_network(directory)
            raise
        return found

    @classmethod
    def open(cls, directory: Path) -> Self:
        """The network that another process made. Raises: LabError if its note cannot be read."""
        try:
            given = json.loads((directory / _NOTE).read_text())
            return cls(directory, ipaddress.IPv4Network(given["subnet"]), {str(k): int(v) for k, v in given["hosts"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LabError(f"{directory / _NOTE} does not tell of a network: {error}") from error

    @staticmethod
    def is_in(directory: Path) -> bool:
        """Whether a network was made for that directory."""
        return (directory / _NOTE).is_file()

    @property
    def gateway(self) -> str:
        """The address of this machine in it: where dbre's own connections come from."""
        return str(self.subnet.network_address + 1)

    @property
    def hosts(self) -> Mapping[str, Host]:
        """The hosts by name."""
        return {name: self._at(name, number) for name, number in self._hosts.items()}

    def host(self, name: str) -> Host:
        """The host of that name, made at the first call: a namespace with an address. It blocks for some milliseconds.

        Raises: LabError, NetworkFailed.
        """
        if name not in self._hosts:
            if not _NAME.fullmatch(name):
                raise LabError(f"{name!r} cannot name a host of a network", hint="use letters, digits and inner hyphens")
            if len(self._hosts) >= _MOST_HOSTS:
                raise LabError(f"the network of {self.directory} has {_MOST_HOSTS} hosts already")
            number = max(self._hosts.values(), default=1) + 1
            self._make(self._at(name, number), number)
            self._hosts[name] = number
            self._note()
        return self._at(name, self._hosts[name])

    def namespace(self, name: str) -> Namespace:
        """The namespace of a host that is there."""
        return Namespace.named(self._named(name))

    def remove(self) -> None:
        """Remove it; servers in it must have ended. Raises: NetworkFailed if something is left."""
        (self.directory / _NOTE).unlink(missing_ok=True)
        if not remove_network(self.directory):
            raise NetworkFailed(f"the network of {self.directory} is not gone", hint=f"see ip link | grep {self._prefix}")

    def _at(self, name: str, number: int) -> Host:
        address = str(self.subnet.network_address + number)
        return Host(address=address, clients=str(self.subnet), namespace=self._named(name))

    def _named(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _make(self, host: Host, number: int) -> None:
        assert host.namespace is not None  # noqa: S101 -- for the type checker
        device, inside = f"{self._prefix}v{number}", Namespace.named(host.namespace)
        command("ip", "netns", "add", host.namespace)
        try:
            command("ip", "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", host.namespace)
            command("ip", "link", "set", device, "master", self._prefix, "up")
            command("ip", "link", "set", "lo", "up", namespace=inside)
            command("ip", "address", "add", f"{host.address}/{self.subnet.prefixlen}", "dev", "eth0", namespace=inside)
            command("ip", "link", "set", "eth0", "up", namespace=inside)
        except BaseException:
            command("ip", "netns", "delete", host.namespace)
            raise

    def _note(self) -> None:
        temporary = self.directory / f".{_NOTE}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({"subnet": str(self.subnet), "hosts": self._hosts}, file)
        temporary.replace(self.directory / _NOTE)


def _choose_subnet() -> ipaddress.IPv4Network:
    """256 addresses that nothing on this machine goes to yet."""
    taken = [one for line in json.loads(command("ip", "-j", "-4", "route", "show", "table", "all")) if (one := _target(line))]
    for _ in range(_TRIES):
        start = _FIRST + 256 * secrets.randbelow((_LAST - _FIRST) // 256)
        subnet = ipaddress.IPv4Network((start, 24))
        if not any(subnet.overlaps(one) for one in taken):
            return subnet
    raise NetworkFailed(f"no free network between 10.64.0.0 and 10.127.255.0 in {_TRIES} tries", hint="see ip route")


def _target(route: Mapping[str, object]) -> ipaddress.IPv4Network | None:
    text = str(route.get("dst", "default"))
    if text == "default":
        return None
    try:
        return ipaddress.IPv4Network(text, strict=False)
    except ValueError:
        return None


@contextmanager
def _alone() -> Iterator[None]:
    """Networks are chosen one after the other, so that no two get the same."""
    descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
