"""What tests of faults share: orders, a runner in a process of its own, and questions to the kernel."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from dbre.app import Engines
from dbre.capabilities.chaos.injection.model import Phase
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.record import Record, new_fault_id, read_records
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.lab.server import LabServer
from dbre.ports.engine import Access

INJECTOR = (sys.executable, "-P", "-m", "dbre.chaos_injector")
PATIENCE = 60.0
ENGINES = Engines()
SMALL = {"max_connections": "20", "archive_mode": "on", "archive_command": "/bin/true"}

# A runner: starts an injection for each order on its standard input, says when it is on, and renews the leases.
_RUNNER = """
import asyncio, sys
from dbre.capabilities.chaos.injection.order import Order
from dbre.capabilities.chaos.injection.supervising import Injection
async def main():
    held = [await Injection.start((sys.executable, "-P", "-m", "dbre.chaos_injector"), Order.read(line))
            for line in sys.stdin.buffer.read().splitlines()]
    for one in held:
        await one.wait_until_on()
    print("on", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def order_on(
    server: LabServer, fault: str, state: Path, /, *, access: Access | None = None, seconds: float = 120.0, **parameters: Any
) -> Order:
    """An order about a server of the lab; ``state`` is where state files are kept."""
    given = access or server.access()
    tag = new_fault_id()
    return Order(
        id=tag,
        operation="test",
        fault=fault,
        cluster="orders",
        instance="one",
        engine=server.engine,
        access=replace(given, application_name=f"dbre:chaos:{tag}"),
        seconds=seconds,
        directory=str(state),
        parameters=parameters,
    )


def fleet_with(server: LabServer) -> Fleet:
    """An inventory of one cluster with that server."""
    access = server.access()
    cluster = Cluster(
        name="orders",
        environment="test",
        engine=server.engine,
        instances=(Instance(name="one", cluster="orders", address=server.address),),
        endpoints=(),
        databases=(access.database,) if access.database else (),
        user=access.user,
        password=access.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


@asynccontextmanager
async def runner(*orders: Order) -> AsyncIterator[asyncio.subprocess.Process]:
    """A runner that holds these faults."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", "-c", _RUNNER, stdin=pipe, stdout=pipe)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join(one.line() for one in orders))
        process.stdin.close()
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"on\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that has to become true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.05)


def record_of(order: Order) -> Record:
    """The state file of a fault."""
    (found,) = [one for one in read_records(Path(order.directory)) if one.id == order.id]
    return found


def ballasts(directory: Path) -> list[Path]:
    """Files that faults made there."""
    return list(directory.glob(".dbre-chaos-*"))


def is_over(order: Order) -> bool:
    """Whether the fault was seen to be gone, and its injector has ended."""
    record = record_of(order)
    return record.phase is Phase.REVERTED and record.holder() is None


def has_no_injector(order: Order) -> bool:
    """Whether nobody holds the fault any more."""
    return record_of(order).holder() is None


def has_stopped_injector(order: Order) -> bool:
    """Whether the injector is held by SIGSTOP."""
    holder = record_of(order).holder()
    return holder is not None and holder.is_stopped
