"""A topology: servers that were asked, who follows whom among them, and who else was seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Instance
from dbre.ports.session import Role
from dbre.ports.topology import Contact, Downstream, NodeView, Upstream

__all__ = ["Edge", "Node", "Outsider", "Topology"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One instance of the inventory, as it answered or failed to."""

    instance: Instance
    contact: Contact
    view: NodeView | None  # None: it did not answer
    error: DbreError | None = None
    aliases: tuple[Instance, ...] = ()  # other entries of the inventory that lead to the same process

    @property
    def name(self) -> str:
        """Its name in the inventory."""
        return self.instance.name

    @property
    def is_primary(self) -> bool:
        """Whether it says so."""
        return self.view is not None and self.view.role is Role.PRIMARY


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One node follows another. ``upstream`` is None where that server is not in the inventory, or not known."""

    downstream: str
    upstream: str | None
    address: Address | None  # where the downstream says that its upstream is
    told: Upstream
    seen: Downstream | None  # how the upstream shows this follower; None: it does not, or was not asked
    is_confirmed: bool | None  # False: the upstream was asked and shows nobody who could be this follower


@dataclass(frozen=True, slots=True, kw_only=True)
class Outsider:
    """A server that a node names and that the inventory does not hold: told, never connected to."""

    node: str
    is_upstream: bool  # of the node
    name: str
    address: str | None
    state: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """What one sweep found. Nodes are in the order of the inventory."""

    cluster: str
    engine: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    outsiders: tuple[Outsider, ...]
    phantoms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # node: who it feeds that says to follow nobody

    def node(self, name: str) -> Node | None:
        """The node of that name."""
        return next((one for one in self.nodes if one.name == name), None)

    def edges_of(self, downstream: str) -> tuple[Edge, ...]:
        """Whom a node follows."""
        return tuple(edge for edge in self.edges if edge.downstream == downstream)

    def followers_of(self, upstream: str) -> tuple[str, ...]:
        """Who follows a node."""
        return tuple(edge.downstream for edge in self.edges if edge.upstream == upstream)

    def root_of(self, name: str) -> str:
        """The node at the top of the chain that a node follows; itself where it follows nobody, or a circle."""
        seen = [name]
        while True:
            up = next((edge.upstream for edge in self.edges_of(seen[-1]) if edge.upstream is not None), None)
            if up is None or up in seen:
                return seen[-1]
            seen.append(up)

    @property
    def primaries(self) -> tuple[Node, ...]:
        """The nodes that call themselves primary and take writes."""
        return tuple(one for one in self.nodes if one.is_primary and one.view is not None and one.view.is_writable)

    @property
    def primary(self) -> Node | None:
        """The only writable primary; of several the cluster's own on the newest timeline; None where there is none."""

        def rank(node: Node) -> tuple[bool, int]:
            return node.instance.cluster == self.cluster, (node.view.timeline or 0) if node.view is not None else 0

        return max(self.primaries, key=rank, default=None)
