"""What only looks like death: lost and late packets, no CPU, no connection left."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import Any

import psycopg
from kit.false_deaths.watched import Watched

from dbre.core.packets.cutting import Cut, Direction, cut, mend
from dbre.core.packets.detour import Detour, lay, remove
from dbre.core.packets.line import Shape
from dbre.core.packets.namespaces import Namespace
from dbre.core.packets.slow_link import SlowLink

LOSS_PERCENT = 30
LATE = Shape(delay_seconds=0.25, jitter_seconds=0.25)  # 0 to 500 ms, each way


@contextmanager
def losing(clusters: list[Watched]) -> Iterator[None]:
    """Every packet between two hosts, or to and from this machine, is lost with the same chance, once on its way."""
    table = f"bench_loss_{os.getpid()}"
    with ExitStack() as stack:
        for one in clusters:
            machine = (f"{one.network.gateway}/32",)
            for host in one.hosts.values():
                assert host.namespace is not None
                inside = Namespace.named(host.namespace)
                for name, given in (
                    (table, Cut(direction=Direction.IN, percent=LOSS_PERCENT)),
                    (f"{table}_out", Cut(direction=Direction.OUT, peers=machine, percent=LOSS_PERCENT)),
                ):
                    cut(given, name, inside)
                    stack.callback(mend, name, inside)
        yield


@contextmanager
def late(clusters: list[Watched]) -> Iterator[None]:
    """Every packet between two hosts is late, and so is what comes from them to this machine."""
    with ExitStack() as stack:
        number = 0
        for one in clusters:
            for host in one.hosts.values():
                assert host.namespace is not None
                number += 1
                inside, device = Namespace.named(host.namespace), f"bl{os.getpid()}-{number}"[-14:]
                link = SlowLink(device, LATE, inside, seed=number)
                stack.callback(link.close)
                others = tuple(f"{other.address}/32" for other in one.hosts.values() if other != host)
                peers = (*others, f"{one.network.gateway}/32")
                lay(Detour(device=device, table=40_000 + number, source=host.address, networks=peers), inside)
                stack.callback(remove, device, 40_000 + number, inside)
        yield


@contextmanager
def starving(_: list[Watched]) -> Iterator[None]:
    """Twice as many processes that want a CPU as there are CPUs."""
    words = ["nice", "-n", str(-os.nice(0)), sys.executable, "-c", "while True: pass"]  # at nice 0, wherever we are
    hogs = [subprocess.Popen(words, start_new_session=True) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for one in hogs:
            one.kill()
            one.wait()


@asynccontextmanager
async def exhausted(clusters: list[Watched]) -> AsyncIterator[None]:
    """Every connection of each primary that is not reserved is taken, again and again."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_take_all(one)) for one in clusters]
        try:
            yield
        finally:
            for one in tasks:
                one.cancel()


async def _take_all(one: Watched) -> None:
    target = one.lab.load_target()
    assert target.password is not None
    taken: list[psycopg.AsyncConnection[Any]] = []
    try:
        while True:
            primary = await one.primary()
            try:
                taken.append(
                    await psycopg.AsyncConnection.connect(
                        host=primary.address.host,
                        port=primary.address.port,
                        user=target.user,
                        password=target.password.reveal(),
                        dbname=str(target.database),
                        sslmode="disable",
                        connect_timeout=10,
                    )
                )
            except psycopg.OperationalError:
                await asyncio.sleep(0.1)
    finally:
        for connection in taken:
            connection.pgconn.finish()


TURNS: Mapping[str, tuple[Callable[[list[Watched]], Any], ...]] = {
    "loss": (losing,),
    "jitter": (late,),
    "cpu": (starving,),
    "connections": (exhausted,),
    "together": (losing, late, starving, exhausted),
}
"""What clusters suffer, in this order, again and again."""
