"""Views and topologies made by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from dbre.capabilities.ha.addresses import AddressBook
from dbre.capabilities.ha.graph import connect
from dbre.capabilities.ha.model import Node, Topology
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.ports.session import Role
from dbre.ports.topology import Contact, Downstream, LogPosition, NodeView, Upstream

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(offset: int) -> LogPosition:
    return LogPosition(text=f"0/{offset:X}", offset=offset)


def instance(number: int) -> Instance:
    return Instance(name=f"n{number}", cluster="shop", address=Address(f"10.0.0.{number}", 5432))


def fleet(count: int) -> Fleet:
    cluster = Cluster(
        name="shop",
        environment="test",
        engine="postgresql",
        instances=tuple(instance(number) for number in range(1, count + 1)),
        endpoints=(),
        databases=(),
        user=None,
        password=None,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


def primary(number: int, *, feeds: Sequence[int] = (), **given: Any) -> Node:
    known: dict[str, Any] = {
        "process_id": f"process {number}",
        "node_id": None,
        "system_id": "s1",
        "role": Role.PRIMARY,
        "is_writable": True,
        "timeline": 1,
        "position": at(1000),
        "downstreams": tuple(fed(one) for one in feeds),
        "measured_at": NOW,
    }
    return Node(instance=instance(number), contact=Contact.ANSWERED, view=NodeView(**(known | given)))


def fed(number: int, **given: Any) -> Downstream:
    known = {"name": f"n{number}", "host": f"10.0.0.{number}", "port": None, "state": "streaming", "sync_state": "async"}
    return Downstream(**(known | {"sent": at(1000)} | given))


def follows(number: int | None, *, is_receiving: bool = True, received: LogPosition | None = None, **given: Any) -> Upstream:
    known: dict[str, Any] = {
        "address": Address(f"10.0.0.{number}", 5432) if number is not None else None,
        "channel": "",
        "is_receiving": is_receiving,
        "received": received if received is not None else at(1000),
        "timeline": 1,
        "slot": None,
        "last_message_seconds": 0.1,
        "is_applying": None,
    }
    return Upstream(**(known | given))


def replica(number: int, upstream: Upstream, *, feeds: Sequence[int] = (), **given: Any) -> Node:
    known = {"role": Role.REPLICA, "is_writable": False, "upstreams": (upstream,), "has_upstream_configured": True}
    return primary(number, feeds=feeds, **(known | given))


def silent(number: int, contact: Contact = Contact.TIMEOUT) -> Node:
    return Node(instance=instance(number), contact=contact, view=None)


def topology(*nodes: Node) -> Topology:
    return connect("shop", "postgresql", nodes, AddressBook(fleet(9), "postgresql"))
