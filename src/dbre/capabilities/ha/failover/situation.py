"""What is known before a failover: the word of the observers, and a sweep of our own at this moment."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.detection.report import Report
from dbre.capabilities.ha.detection.reports import Listener
from dbre.capabilities.ha.detection.weighing import Weighing
from dbre.capabilities.ha.discovery import discover
from dbre.capabilities.ha.evidence import evidence_of, suspect_of
from dbre.capabilities.ha.failover.candidates import Candidate, LastWord
from dbre.capabilities.ha.failover.ground import FailoverGround
from dbre.capabilities.ha.failover.patience import LEAST_SECONDS, patience_of
from dbre.capabilities.ha.model import Node, Topology
from dbre.capabilities.ha.nodes import Nodes
from dbre.capabilities.ha.positions import furthest
from dbre.capabilities.ha.verdict import Action, Judgement, judge
from dbre.core.errors import PrecheckFailed
from dbre.core.fleet import Cluster, Instance, UnknownInstance
from dbre.core.text import closest, quoted
from dbre.ports.session import Role
from dbre.ports.topology import Contact

__all__ = ["Situation", "instance_of", "look_around"]

_HERE = "here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Everything that a decision is based on."""

    cluster: Cluster
    primary: Instance
    contact: Contact  # how we ourselves reach the primary
    topology: Topology
    weighing: Weighing | None  # None: the cluster has no observers
    own: Judgement  # what this one sweep alone says
    candidates: tuple[Candidate, ...]
    last: LastWord
    patience: Mapping[str, float]  # how long the sweep waited for a server, where that is more than for any

    @property
    def others(self) -> tuple[Instance, ...]:
        """The instances of the cluster that are not the primary."""
        return tuple(one for one in self.cluster.instances if one.name != self.primary.name)

    def candidate(self, name: str) -> Candidate | None:
        """The candidate of that name."""
        return next((one for one in self.candidates if one.name == name), None)


async def look_around(ground: FailoverGround, cluster: Cluster, *, primary: str | None = None) -> Situation:
    """Listen to the observers and sweep, side by side. ``primary``: who it is said to be; else it is found out.

    Raises: PrecheckFailed where nobody can say which instance is or was the primary; UnknownInstance; SecretUnavailable.
    """
    settings = ground.failover_of(cluster.name)
    listener = Listener(ground.store, cluster.name, ground.clock) if ground.store is not None and settings.observers else None
    heard = await listener.hear() if listener is not None else []
    patience = patience_of([one.report for one in heard if one.report.observer in settings.observers])

    async def listen() -> Weighing | None:
        if listener is None:
            return None
        return await listener.settled(settings.rules, is_enough=lambda found: found.may_fail_over)

    async def sweep() -> Topology:
        async with Nodes(ground.engines, ground.fleet, limit_seconds=LEAST_SECONDS, limits=patience) as nodes:
            return await discover(nodes, ground.fleet, cluster)

    weighing, topology = await asyncio.gather(listen(), sweep())
    told = instance_of(cluster, primary).name if primary is not None else _told(topology, weighing)
    if told is None and listener is not None:
        told = await listener.remembered(settings.rules)
    found = _primary(cluster, told)
    node = topology.node(found.name)
    evidence = evidence_of(topology, [], observer=_HERE, suspect=node)
    own = {one.name for one in cluster.instances}
    reports = list(weighing.reports.values()) if weighing is not None else []
    return Situation(
        cluster=cluster,
        primary=found,
        contact=node.contact if node is not None else Contact.UNKNOWN,
        topology=topology,
        weighing=weighing,
        own=judge(evidence) if evidence is not None else Judgement(verdicts=(), action=Action.NONE),
        candidates=tuple(_candidate(topology, one, reports) for one in topology.nodes if one.name in own - {found.name}),
        last=_last_word(reports, found.name),
        patience=patience,
    )


def instance_of(cluster: Cluster, name: str) -> Instance:
    """The instance of that name. Raises: UnknownInstance."""
    found = next((one for one in cluster.instances if one.name == name), None)
    if found is None:
        names = [one.name for one in cluster.instances]
        near = closest(name, names)
        raise UnknownInstance(
            f"cluster {cluster.name} has no instance {quoted(name, limit=100)}",
            hint=f"did you mean {near}?" if near else f"it has {', '.join(names)}",
        )
    return found


def _told(topology: Topology, weighing: Weighing | None) -> str | None:
    """Who the primary is or was, by the observers, or else by this sweep."""
    suspect = suspect_of(topology)
    return (weighing.primary if weighing is not None else None) or (suspect.name if suspect is not None else None)


def _primary(cluster: Cluster, told: str | None) -> Instance:
    found = next((one for one in cluster.instances if one.name == told), None)
    if found is None:
        raise PrecheckFailed(
            f"nobody can say which instance of {cluster.name} is or was the primary", hint="name it: --from INSTANCE"
        )
    return found


def _candidate(topology: Topology, node: Node, reports: Sequence[Report]) -> Candidate:
    view = node.view
    if view is None:
        return Candidate(name=node.name, is_reachable=False)
    return Candidate(
        name=node.name,
        is_reachable=True,
        is_replica=view.role is Role.REPLICA,
        system_id=view.system_id,
        timeline=max((line for line in (view.timeline, *_seen_on(reports, node.name)) if line is not None), default=None),
        received=furthest([*(one.told.received for one in topology.edges_of(node.name)), view.position]),
        is_replay_paused=bool(view.is_replay_paused),
        apply_delay_seconds=view.min_apply_delay_seconds or 0.0,
    )


def _seen_on(reports: Sequence[Report], name: str) -> list[int | None]:
    """The timelines on which observers saw a replica: by itself it may tell an older one until it has written a checkpoint."""
    return [one.nodes[name].timeline for one in reports if name in one.nodes]


def _last_word(reports: Sequence[Report], primary: str) -> LastWord:
    """What the primary told last, by whichever observer it told most."""
    known = [one for one in reports if one.primary == primary and one.primary_position is not None]
    best = furthest(one.primary_position for one in known)
    found = next((one for one in known if one.primary_position == best), None)
    if found is None:
        return LastWord()
    return LastWord(
        position=best,
        system_id=found.primary_system,
        timeline=found.primary_timeline,
        synchronous=found.synchronous,
        synchronous_needed=found.synchronous_needed,
    )
