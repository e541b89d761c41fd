"""From some nodes to all that are connected with them, over the addresses that servers name."""

import asyncio
from collections.abc import Iterable, Sequence

from dbre.capabilities.ha.addresses import AddressBook
from dbre.capabilities.ha.graph import connect
from dbre.capabilities.ha.model import Node, Topology
from dbre.capabilities.ha.nodes import Nodes
from dbre.core.fleet import Address, Cluster, Fleet, Instance
from dbre.ports.topology import NodeView

__all__ = ["discover"]


async def discover(nodes: Nodes, fleet: Fleet, cluster: Cluster, *, seeds: Sequence[Instance] = ()) -> Topology:
    """Ask the seeds, and everyone in the inventory whom an answer names; by default the seeds are the cluster's instances.

    What is not in the inventory is never connected to.
    """
    book = AddressBook(fleet, cluster.engine)
    order = {one.name: place for place, one in enumerate(book.instances)}
    asked: dict[str, asyncio.Task[Node]] = {}
    prepared: set[str] = set()

    async def begin(instances: Iterable[Instance]) -> None:
        new = [one for one in instances if one.name not in asked]
        unprepared = [name for name in dict.fromkeys(one.cluster for one in new) if name not in prepared]
        await nodes.prepare(unprepared)
        prepared.update(unprepared)
        for one in nodes.silent_first(new):
            if one.name not in asked:
                asked[one.name] = asyncio.create_task(nodes.ask(one))

    try:
        await begin(seeds or cluster.instances)
        handled: set[str] = set()
        while pending := [task for name, task in asked.items() if name not in handled]:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for name in [name for name, task in asked.items() if name not in handled and task.done()]:
                handled.add(name)
                found = asked[name].result()
                if found.view is not None:
                    await begin(await _neighbours(found.view, book))
        answers = sorted((task.result() for task in asked.values()), key=lambda one: order[one.name])
    finally:
        for task in asked.values():
            task.cancel()
    await book.learn(one.instance.address.host for one in answers if one.view is not None)
    return connect(cluster.name, cluster.engine, answers, book)


async def _neighbours(view: NodeView, book: AddressBook) -> list[Instance]:
    """Who in the inventory may be meant by the addresses and names of a view."""
    addresses = [one.address for one in view.upstreams if one.address is not None]
    unknown = [one.host for one in addresses if book.at(one) is None]
    fed = [one.host for one in view.downstreams if one.host is not None and book.named(one.name) is None]
    if unknown or fed:
        await book.learn([*unknown, *fed])
        await book.learn(one.address.host for one in book.instances if not one.address.host.startswith("/"))
    found = [book.at(one) for one in addresses]
    for one in view.downstreams:
        named = book.named(one.name)
        if named is not None:
            found.append(named)
        elif one.host is not None and one.port is not None:
            found.append(book.at(Address(one.host, one.port)))
        elif one.host is not None:
            found.extend(book.on_host(one.host))
    return [one for one in found if one is not None]
