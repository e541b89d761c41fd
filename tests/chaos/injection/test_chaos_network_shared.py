"""Faults of the network on a machine that dbre shares with the server: its ports towards its peers, and nothing else."""

import json
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest_asyncio
from chaos_network_kit import Networked, goes_through, held
from injection_kit import order_on, record_of

from dbre.capabilities.chaos.injection.order import Order
from dbre.core.fleet import Address
from dbre.core.packets.commands import command
from dbre.core.packets.namespaces import Namespace
from dbre.lab.network.host import Host
from dbre.lab.redis import RedisServer, find_redis
from dbre.testing.fixtures import installed, running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ours(networked: Networked) -> AsyncIterator[RedisServer]:
    """A server in our own namespace, at the bridge's address; hosts behind the bridge are its peers."""
    site = networked.primary.site
    here = Host(address=networked.network.gateway, clients=str(networked.network.subnet))
    program = installed(lambda: find_redis(account=site.account))
    async with running(RedisServer("net-ours", site.at(here), program=program)) as server:
        yield server


def order(server: RedisServer, networked: Networked, fault: str, state: Path, **parameters: Any) -> Order:
    return replace(order_on(server, fault, state, **parameters), peers={"first": networked.primary.address})


def seconds(source: Namespace, target: Address) -> float:
    def connect() -> float:
        began = time.monotonic()
        socket.create_connection((target.host, target.port), timeout=60).close()
        return time.monotonic() - began

    return min(source.call(connect) for _ in range(3))


def tables_ruled() -> set[int]:
    """The tables of routes that rules of our own namespace lead to."""
    rules = json.loads(command("ip", "-N", "-j", "rule"))
    return {int(one["table"]) for one in rules}


async def test_a_cut_leaves_other_ports_and_other_peers_alone(ours: RedisServer, networked: Networked, tmp_path: Path) -> None:
    with socket.create_server((networked.network.gateway, 0)) as other:
        neighbour = Address(*other.getsockname())
        async with held(order(ours, networked, "partition", tmp_path)):
            assert goes_through(networked.a, ours.address) == "silence"
            assert goes_through(networked.b, ours.address) == "yes"
            assert goes_through(networked.a, neighbour) == "yes"
            assert goes_through(None, networked.primary.address) == "silence"  # where the server would go to
            assert goes_through(None, networked.replica.address) == "yes"
    assert goes_through(networked.a, ours.address) == "yes"


async def test_a_slow_line_takes_the_ports_of_the_server_only(ours: RedisServer, networked: Networked, tmp_path: Path) -> None:
    asked = order(ours, networked, "delay", tmp_path, delay="300ms")
    with socket.create_server((networked.network.gateway, 0)) as other:
        neighbour = Address(*other.getsockname())
        async with held(asked):
            assert record_of(asked).inverse["table"] in tables_ruled()
            assert seconds(networked.a, ours.address) >= 0.3
            assert seconds(networked.a, neighbour) < 0.3
            assert seconds(networked.b, ours.address) < 0.3
    assert seconds(networked.a, ours.address) < 0.3
    assert record_of(asked).inverse["table"] not in tables_ruled()
