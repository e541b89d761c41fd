"""One observer: it sweeps a cluster round after round, remembers who was primary, and counts how long that one is silent."""

import secrets
from types import TracebackType
from typing import Self

from dbre.capabilities.ha.detection.doubts import Doubts
from dbre.capabilities.ha.detection.lasting import LastingNodes
from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.discovery import discover
from dbre.capabilities.ha.model import Node, Topology
from dbre.capabilities.ha.positions import furthest
from dbre.core.clock import Clock
from dbre.core.fleet import Cluster, Fleet
from dbre.ports.engine import EngineRegistry
from dbre.ports.topology import Contact, LogPosition

__all__ = ["PATIENCE_SECONDS", "Observer"]

PATIENCE_SECONDS = 1.0
"""How long one node may take to answer; a round takes no longer where only one is silent."""

_WRITES_UNSEEN = (Contact.EXHAUSTED, Contact.REFUSED)
"""It serves others, and tells us nothing."""
_TOLD_WITHIN_SECONDS = 5.0


class Observer:
    """One vantage point on one cluster; an asynchronous context, which closes its connections."""

    def __init__(
        self,
        engines: EngineRegistry,
        fleet: Fleet,
        cluster: Cluster,
        clock: Clock,
        *,
        name: str,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.name = name
        self.cluster = cluster
        self._fleet = fleet
        self._clock = clock
        self._nodes = LastingNodes(engines, fleet, clock, limit_seconds=patience_seconds)
        self._run = secrets.token_hex(4)
        self._round = 0
        self._primary: str | None = None
        self._heard_at: float | None = None
        self._told_at: float | None = None
        self._position: LogPosition | None = None
        self._timeline: int | None = None
        self._followed: dict[str, int] = {}  # timelines that replicas were seen on: a standby forgets what it received
        self._system: str | None = None
        self._synchronous: tuple[str, ...] = ()
        self._synchronous_needed = 0
        self._doubts = Doubts()

    async def __aenter__(self) -> Self:
        await self._nodes.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._nodes.__aexit__(kind, error, trace)

    def recall(self, report: Report | None) -> None:
        """Take over from an earlier run who was primary; not when it was heard, for that this run has not seen."""
        if report is not None and self._primary is None and any(one.name == report.primary for one in self.cluster.instances):
            self._primary = report.primary
            self._position = report.primary_position
            self._timeline, self._system = report.primary_timeline, report.primary_system
            self._followed = {name: one.timeline for name, one in report.nodes.items() if one.timeline is not None}
            self._synchronous, self._synchronous_needed = report.synchronous, report.synchronous_needed

    async def look(self) -> Report:
        """Ask every node of the cluster once."""
        topology = await discover(self._nodes, self._fleet, self.cluster)
        now = self._clock.monotonic()
        self._learn(topology, now)
        self._doubt(topology, now)
        own = {one.name for one in self.cluster.instances}
        self._round += 1
        return Report(
            cluster=self.cluster.name,
            observer=self.name,
            marker=f"{self._run}:{self._round}",
            primary=self._primary,
            nodes={one.name: self._word(topology, one) for one in topology.nodes if one.name in own},
            unheard_seconds=now - self._heard_at if self._heard_at is not None else None,
            primary_position=self._position,
            primary_told_seconds=now - self._told_at if self._told_at is not None else None,
            primary_timeline=self._timeline,
            primary_system=self._system,
            synchronous=self._synchronous,
            synchronous_needed=self._synchronous_needed,
            wanted_seconds=self._doubts.wanted_seconds(now),
        )

    def _doubt(self, topology: Topology, now: float) -> None:
        for node in topology.nodes:
            if node.view is not None:
                self._doubts.answered(node.name, node.view.process_id, now)
            elif node.contact.is_alive:
                self._doubts.lived(node.name)
            elif node.contact.is_silence:
                self._doubts.was_silent(node.name)

    def _learn(self, topology: Topology, now: float) -> None:
        found = topology.primary
        if found is not None and found.instance.cluster == self.cluster.name:
            if found.name != self._primary:
                self._heard_at = None
            self._primary = found.name
        node = topology.node(self._primary) if self._primary is not None else None
        if node is not None and node.contact.is_alive:
            self._heard_at = now
            if node.contact in _WRITES_UNSEEN and now - (self._told_at or 0.0) > _TOLD_WITHIN_SECONDS:
                self._position = None  # it wrote on since, nobody knows how far: what it told is no measure of a loss
        if node is not None and node.is_primary and node.view is not None:
            self._told_at = now
            self._position = node.view.position
            self._timeline, self._system = node.view.timeline, node.view.system_id
            seen = {one.downstream: one.seen for one in topology.edges if one.upstream == node.name and one.seen is not None}
            self._synchronous = tuple(
                sorted(name for name, one in seen.items() if one.state == "streaming" and one.sync_state in ("sync", "quorum"))
            )
            self._synchronous_needed = node.view.synchronous_replicas or 0

    def _word(self, topology: Topology, node: Node) -> NodeWord:
        view, took = node.view, self._nodes.answer_seconds(node.name)
        if view is None:
            contact = node.contact if node.contact is not Contact.ANSWERED else Contact.UNKNOWN
            return NodeWord(contact=contact, answer_seconds=took)
        edges = topology.edges_of(node.name)
        receiving = [one for one in edges if one.told.is_receiving]
        if view.timeline is not None:
            self._followed[node.name] = max(view.timeline, self._followed.get(node.name, 0))
        return NodeWord(
            contact=node.contact,
            is_writable=node.is_primary and view.is_writable,
            is_receiving=bool(receiving),
            upstream=next((one.upstream for one in receiving or edges), None),
            position=furthest([*(one.told.received for one in edges), view.position]),
            timeline=self._followed.get(node.name),
            system_id=view.system_id,
            gives_up_seconds=next((one.told.gives_up_seconds for one in receiving or edges), None),
            answer_seconds=took,
        )
