"""Probe clients on real servers, and what tests do to these."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from ha_live import Engines

from dbre.assembly_clients import client_ground
from dbre.capabilities.ha.clients.fleet import ProbeFleet, probe_fleet
from dbre.capabilities.ha.clients.spec import ProbeSpec
from dbre.core.fleet import Fleet
from dbre.lab.postgres import PostgresServer


@asynccontextmanager
async def clients_of(fleet: Fleet, history: Path, **asked: Any) -> AsyncIterator[ProbeFleet]:
    """Clients that act until they are told to end."""
    spec = ProbeSpec(**{"seconds": None, "rate": 100.0, **asked})
    async with probe_fleet(client_ground(fleet, Engines()), fleet.clusters[0], spec, history=history) as clients:
        yield clients


async def until_acknowledged(clients: ProbeFleet, count: int, *, by: str | None = None) -> None:
    """Wait for so many more acknowledgements, and that ``by`` gave the last one."""
    start = clients.pulse.acknowledged
    await _until(lambda: clients.pulse.acknowledged >= start + count and by in (None, clients.pulse.last_node))


async def until_silent(clients: ProbeFleet) -> None:
    """Wait until nobody has been answered for a while."""
    await _until(lambda: (clients.pulse.silent_seconds or 0) >= 1)


async def _until(is_reached: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not is_reached():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def promote(server: PostgresServer) -> None:
    """Make a replica a primary, and wait until it takes writes."""
    async with await psycopg.AsyncConnection.connect(server.conninfo(), autocommit=True) as connection:
        await connection.execute("SELECT pg_promote(true, 60)")
