"""``partition``: packets between an instance and others are lost, or answered by resets."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from dbre.capabilities.chaos.injection.model import Fault, FaultKind, InjectionFailed, Parameters, Scene, Sighting
from dbre.capabilities.chaos.injection.network.parameters import Named, Ports
from dbre.capabilities.chaos.injection.network.place import (
    EVERYONE,
    Peers,
    Place,
    find_peers,
    find_place,
    refuse_control_ports,
)
from dbre.capabilities.chaos.injection.network.reaching import Attempt, try_all
from dbre.core.errors import PrecheckFailed
from dbre.core.packets.cutting import Action, Cut, Direction, cut, listed, mend
from dbre.core.packets.finding import namespace_again
from dbre.core.packets.namespaces import Namespace
from dbre.core.text import counted

__all__ = ["PARTITION", "Partition", "PartitionParameters"]

_COUNT = re.compile(r"counter packets (\d+) ")


class PartitionParameters(Parameters):
    """Which packets are lost."""

    peers: Named = Field((), max_length=100, description=f"instances, addresses, networks, or {EVERYONE}; default: all others")
    ports: Ports = Field((), max_length=100, description="TCP ports at either end; default: all, or the instance's if shared")
    direction: Direction = Field(Direction.BOTH, description="in: what comes to it; out: what it sends; both")
    action: Action = Field(Action.DROP, description="drop: nobody answers; reject: a reset comes back")
    loss: int = Field(100, ge=1, le=100, description="percent of the packets")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    given: Cut
    attempts: Sequence[Attempt]


class Partition(Fault):
    """A table of rules in the namespace of the server, by the fault's name; the kernel keeps it, the state file names it."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self._attempts: Sequence[Attempt] = ()

    async def prepare(self) -> Mapping[str, Any]:
        """Find the server's namespace and its peers, see that the rules can be made, and whom it reaches now."""
        place = await asyncio.to_thread(find_place, self.scene)
        peers = await asyncio.to_thread(find_peers, self.scene, self.scene.parameters.peers)
        prepared = _prepare(self.scene, place, peers)
        if place.is_shared:
            await asyncio.to_thread(refuse_control_ports, prepared.given.ports)
        await asyncio.to_thread(listed, self._table, place.namespace)  # raises where we may not, or nft is not there
        before = await try_all(prepared.attempts)
        reached = {one.name for one in before if one.seconds is not None}
        self._attempts = [one for one in prepared.attempts if one.name in reached]
        return {"table": self._table, "namespace": place.namespace.inode(), "peers": peers.summary}

    async def begin(self, inverse: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make the table at once, and see that whom it separates do not reach each other any more."""
        place = await asyncio.to_thread(find_place, self.scene)
        peers = await asyncio.to_thread(find_peers, self.scene, self.scene.parameters.peers)
        prepared = _prepare(self.scene, place, peers)
        rules = await asyncio.to_thread(cut, prepared.given, self._table, place.namespace)
        if prepared.given.percent >= 100 and self._attempts:
            through = [one.name for one in await try_all(self._attempts) if one.seconds is not None]
            if through:
                raise InjectionFailed(
                    f"the rules are there, and {', '.join(through)} still goes through: another way leads there"
                )
        return {**inverse, "rules": rules}

    async def look(self, inverse: Mapping[str, Any]) -> Sighting:
        """Ask the kernel for the table, and once it is gone try whether they reach each other again."""
        namespace = await asyncio.to_thread(_again, inverse)
        if namespace is None:
            return Sighting(False, "the namespace of the server is gone, and the rules with it")
        text = await asyncio.to_thread(lambda: listed(inverse["table"], namespace, counted=True))
        if text is not None:
            lost = sum(int(one) for one in _COUNT.findall(text))
            changed = "" if _plain(text) == _plain(inverse.get("rules", text)) else "; somebody changed the rules"
            return Sighting(True, f"cut off from {inverse['peers']}: {counted(lost, 'packet')} lost{changed}")
        reached = await try_all(self._attempts)
        again = sum(one.seconds is not None for one in reached)
        tried = f"; {again} of {len(reached)} reached again" if reached else ""
        return Sighting(False, f"no rules of this fault are there{tried}")

    async def end(self, inverse: Mapping[str, Any]) -> None:
        """Take the table away, wherever the namespace is to be found now."""
        namespace = await asyncio.to_thread(_again, inverse)
        if namespace is not None:
            await asyncio.to_thread(mend, inverse["table"], namespace)

    @property
    def _table(self) -> str:
        return f"dbre_chaos_{self.scene.id}"


def _prepare(scene: Scene, place: Place, peers: Peers) -> _Prepared:
    """Raises: PrecheckFailed where packets do not tell which server they are of."""
    asked: PartitionParameters = scene.parameters
    own: tuple[str, ...] = ()
    ports, peer_ports = tuple(asked.ports), tuple(asked.ports)
    if place.is_shared:
        own = (place.address.host,)
        same = [name for name, one in peers.instances.items() if one.host == place.address.host]
        if same or place.address.host in {one.partition("/")[0] for one in peers.networks}:
            raise PrecheckFailed(
                f"{scene.instance} shares the address {place.address.host} with {', '.join(same) or 'its peers'}: "
                "a packet does not tell which of them it is of",
                hint=f"cut it off from all its clients: peers={EVERYONE}; or give each a namespace: dbre lab up --network",
            )
        ports = ports or (place.address.port,)
        peer_ports = _peer_ports(asked, place, peers)
    given = Cut(
        peers=peers.networks,
        own=own,
        ports=ports,
        peer_ports=peer_ports,
        direction=asked.direction,
        action=asked.action,
        percent=asked.loss,
    )
    return _Prepared(given=given, attempts=tuple(_attempts(scene, place, peers, given)))


def _peer_ports(asked: PartitionParameters, place: Place, peers: Peers) -> tuple[int, ...]:
    """Where the server goes to: never every service of a peer, unless its ports are named."""
    if not peers.networks:
        return ()
    return tuple(asked.ports) or tuple(sorted({one.port for one in peers.instances.values()} | {place.address.port}))


def _attempts(scene: Scene, place: Place, peers: Peers, given: Cut) -> Sequence[Attempt]:
    """The connections that the cut must make impossible."""
    found = [
        Attempt(source=place.namespace, target=one, name=name)
        for name, one in peers.instances.items()
        if not given.peer_ports or one.port in given.peer_ports
    ]
    if not peers.networks and (not given.ports or place.address.port in given.ports):
        found.append(Attempt(source=Namespace.own(), target=place.address, name=scene.instance))
    return found


def _again(inverse: Mapping[str, Any]) -> Namespace | None:
    return namespace_again(inverse["namespace"])


def _plain(rules: str) -> str:
    """Without the counts."""
    return re.sub(r"counter packets \d+ bytes \d+", "counter", rules).strip()


def _is_outage(written: Mapping[str, Any]) -> bool:
    asked = PartitionParameters.model_validate(dict(written))
    return EVERYONE in asked.peers and asked.loss >= 100


def _make(scene: Scene) -> Fault:
    return Partition(scene)


PARTITION = FaultKind(
    name="partition",
    summary="packets between the instance and others are lost or rejected: all, one way, of some ports, or a share of them",
    privilege="root (CAP_NET_ADMIN, CAP_SYS_ADMIN) on the server's machine, and nft",
    proof="the kernel lists the rules as they were made, and a connection that went through before does not",
    undo="delete the fault's own table of rules; then a connection is tried again",
    parameters=PartitionParameters,
    make=_make,
    is_local=True,
    outage_when=_is_outage,
)
