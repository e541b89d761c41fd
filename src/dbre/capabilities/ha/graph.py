"""Edges from views: each follower's word is compared with that of the server which it follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbre.capabilities.ha.addresses import AddressBook
from dbre.capabilities.ha.model import Edge, Node, Outsider, Topology
from dbre.core.fleet import Instance
from dbre.ports.session import Role
from dbre.ports.topology import Downstream, NodeView, Upstream

__all__ = ["connect"]


@dataclass(frozen=True, slots=True)
class _Claim:
    """One node says that it follows somebody."""

    node: Node
    told: Upstream
    upstream: str | None


def connect(cluster: str, engine: str, nodes: Sequence[Node], book: AddressBook) -> Topology:
    """The topology of nodes that were asked. Two entries of the inventory that lead to one process become one node."""
    unique, renamed = _without_aliases(nodes)
    claims = [claim for node in unique for claim in _claims(node, book, renamed)]
    edges: list[Edge] = []
    outsiders: list[Outsider] = []
    phantoms: dict[str, tuple[str, ...]] = {}
    for claim in claims:
        if claim.upstream is None:
            edges.append(_edge(claim, None, is_confirmed=None))
            if claim.told.address is not None:
                address = str(claim.told.address)
                outsiders.append(Outsider(node=claim.node.name, is_upstream=True, name=address, address=address))
    for node in unique:
        mine = [claim for claim in claims if claim.upstream == node.name]
        if node.view is None:
            edges.extend(_edge(claim, None, is_confirmed=None) for claim in mine)
            continue
        found, left = _match(mine, list(node.view.downstreams), book)
        # Addresses are translated on their way: a follower that cannot be told apart from a stranger is not accused.
        spare = len(left)
        for claim, seen in found:
            edges.append(_edge(claim, seen, is_confirmed=True if seen is not None else None if spare else _was_seen(claim)))
        strangers, idle = _strangers(node, left, unique, book, renamed)
        outsiders.extend(strangers)
        if idle:
            phantoms[node.name] = idle
    edges.sort(key=lambda edge: [one.name for one in unique].index(edge.downstream))
    return Topology(
        cluster=cluster, engine=engine, nodes=tuple(unique), edges=tuple(edges), outsiders=tuple(outsiders), phantoms=phantoms
    )


def _was_seen(claim: _Claim) -> bool | None:
    """A follower that receives must be shown by its upstream; one that does not receive cannot be."""
    return False if claim.told.is_receiving else None


def _without_aliases(nodes: Sequence[Node]) -> tuple[list[Node], dict[str, str]]:
    first: dict[str, Node] = {}
    renamed: dict[str, str] = {}
    unique: list[Node] = []
    for node in nodes:
        key = node.view.process_id if node.view is not None else ""
        if key and key in first:
            renamed[node.name] = first[key].name
            place = [one.name for one in unique].index(first[key].name)
            unique[place] = replace(unique[place], aliases=(*unique[place].aliases, node.instance))
            continue
        if key:
            first[key] = node
        renamed[node.name] = node.name
        unique.append(node)
    return unique, renamed


def _claims(node: Node, book: AddressBook, renamed: dict[str, str]) -> list[_Claim]:
    if node.view is None or node.view.role is not Role.REPLICA:
        return []
    return [_Claim(node, told, _name(book.at(told.address) if told.address else None, renamed)) for told in node.view.upstreams]


def _name(instance: Instance | None, renamed: dict[str, str]) -> str | None:
    return None if instance is None else renamed.get(instance.name)


def _match(
    claims: Sequence[_Claim], shown: list[Downstream], book: AddressBook
) -> tuple[list[tuple[_Claim, Downstream | None]], list[Downstream]]:
    """Followers and those whom the upstream shows, paired by name, then by address; and who is left over."""
    found: dict[int, Downstream] = {}
    for is_same in (_is_named, lambda claim, one: _is_at(claim, one, book)):
        for place, claim in enumerate(claims):
            if place in found:
                continue
            match = next((one for one in shown if is_same(claim, one)), None)
            if match is not None:
                found[place] = match
                shown.remove(match)
    return [(claim, found.get(place)) for place, claim in enumerate(claims)], shown


def _is_named(claim: _Claim, one: Downstream) -> bool:
    return one.name == claim.node.name


def _is_at(claim: _Claim, one: Downstream, book: AddressBook) -> bool:
    address = claim.node.instance.address
    return one.host is not None and one.port in (None, address.port) and book.is_same_host(one.host, address.host)


def _strangers(
    node: Node, left: Sequence[Downstream], nodes: Sequence[Node], book: AddressBook, renamed: dict[str, str]
) -> tuple[list[Outsider], tuple[str, ...]]:
    """Whom a node feeds besides: servers outside of the inventory, and nodes that say they follow nobody."""
    views: dict[str, NodeView] = {one.name: one.view for one in nodes if one.view is not None}
    strangers, idle = [], []
    for one in left:
        named = _name(book.named(one.name), renamed)
        if named in views:
            if not any(told.is_receiving for told in views[named].upstreams):
                idle.append(named)
            continue
        address = f"{one.host}:{one.port}" if one.port is not None else one.host
        strangers.append(Outsider(node=node.name, is_upstream=False, name=one.name, address=address, state=one.state))
    return strangers, tuple(idle)


def _edge(claim: _Claim, seen: Downstream | None, *, is_confirmed: bool | None) -> Edge:
    return Edge(
        downstream=claim.node.name,
        upstream=claim.upstream,
        address=claim.told.address,
        told=claim.told,
        seen=seen,
        is_confirmed=is_confirmed,
    )
