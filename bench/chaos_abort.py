"""How soon a fault is gone once there is a reason to end it: from the reason until every process of the server moves again.

Run: ``.venv/bin/python bench/chaos_abort.py [RUNS]`` (default 20, of each reason). The server is a Redis of its own, the fault
freezes it, and what is waited for is seen from outside, by the kernel's state of its processes every 2 ms. The reasons: the
switch of all experiments in a state store (SQLite) is closed by another connection; an SLO begins to page; a gate holds the
operation; it is cancelled. The limit is 1 s for each run of each.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from kit.report import report

from dbre.app import Engines
from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.ground import Burn, ChaosGround
from dbre.capabilities.chaos.switching.switch import close_switch, open_switch
from dbre.capabilities.chaos.watching import ExperimentAborted, Watch
from dbre.core.clock import SystemClock
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.context import FencingToken, Halt
from dbre.core.store import Store, open_store
from dbre.lab.redis import RedisServer, find_redis
from dbre.lab.temporary_site import temporary_site

LIMIT_SECONDS, RUNS = 1.0, 20
CLOCK = SystemClock()
SOMEBODY = Principal(name="bench", kind=PrincipalKind.LOCAL, grants=(Grant(role=Role.ADMIN),))
EXPERIMENT = {
    "cluster": "bench",
    "faults": [{"fault": "freeze", "instance": "one", "for": "10m"}],
    "abort": [{"slo": "writes"}],
    "may_take_last": True,
}


@dataclass
class Context:
    """As much of a step's context as a watch needs."""

    token: FencingToken = field(default_factory=lambda: FencingToken(uuid4(), 1))

    clock: SystemClock = CLOCK
    halt: Halt | None = None  # what a gate says

    async def checkpoint(self) -> None:
        """Nothing holds it but ``halt``."""

    async def progress(self, done: float, total: float | None, unit: str) -> None:
        """Nobody looks."""

    async def note(self, text: str) -> None:
        """Nobody reads."""


def fleet_of(server: RedisServer) -> Fleet:
    """An inventory of that server."""
    access = server.access()
    one = Instance(name="one", cluster="bench", address=server.address)
    return Fleet(
        clusters=(
            Cluster(
                name="bench",
                environment="bench",
                engine="redis",
                instances=(one,),
                endpoints=(),
                databases=(),
                user=access.user,
                password=access.password,
                tls=TlsMode.DISABLE,
                tls_ca_file=None,
            ),
        )
    )


End = Callable[["asyncio.Task[Any]", Context], Awaitable[None]]


async def once(server: RedisServer, ground: ChaosGround, end: End) -> float:
    """One fault: begun, ended for a reason, gone; the seconds between the last two."""
    context = Context()
    watch = Watch(ground, Experiment.model_validate(EXPERIMENT), context)  # type: ignore[arg-type]
    running = asyncio.create_task(watch.run())
    while not server.is_frozen:  # noqa: ASYNC110 - another process's doing
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    await end(running, context)
    began = time.perf_counter()
    while server.is_frozen:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.002)
    seconds = time.perf_counter() - began
    with suppress(ExperimentAborted, asyncio.CancelledError):
        await running
    return seconds


async def measure(server: RedisServer, store: Store, directory: Path, runs: int) -> dict[str, list[float]]:
    """Every reason, one after the other, so that other work on the machine hits them alike."""
    paging = {"now": False}

    async def slo(_: str, __: str) -> Burn:
        return Burn(rate=0.0, is_paging=paging["now"], remaining=1.0)

    ground = ChaosGround(
        fleet=fleet_of(server),
        engines=Engines(),
        clock=CLOCK,
        directory=directory,
        program=(sys.executable, "-P", "-m", "dbre.chaos_injector"),
        slo=slo,
        store=store,
    )

    async def by_switch(_: "asyncio.Task[Any]", __: Context) -> None:
        await close_switch(store, CLOCK, SOMEBODY, "bench")

    async def by_page(_: "asyncio.Task[Any]", __: Context) -> None:
        paging["now"] = True

    async def by_gate(_: "asyncio.Task[Any]", context: Context) -> None:
        context.halt = Halt("gate bench holds it", is_silence=False)

    async def by_cancel(task: "asyncio.Task[Any]", _: Context) -> None:
        task.cancel()

    ends: dict[str, End] = {"switch": by_switch, "page": by_page, "gate": by_gate, "cancel": by_cancel}
    found: dict[str, list[float]] = {name: [] for name in ends}
    for _ in range(runs):
        for name, end in ends.items():
            found[name].append(await once(server, ground, end))
            paging["now"] = False
            await open_switch(store, CLOCK, SOMEBODY, "bench")
    return found


async def main(runs: int) -> int:
    """Measure, and tell."""
    with temporary_site(prefix="dbre-bench-abort-") as site, tempfile.TemporaryDirectory() as directory:
        server = RedisServer("abort", site, program=find_redis(account=site.account))
        await server.start()
        try:
            url = f"sqlite:///{directory}/state.db"
            async with open_store(url, clock=CLOCK, exclusive=True, migrate=True) as store:
                found = await measure(server, store, Path(directory) / "chaos", runs)
        finally:
            await server.stop()
    result: dict[str, object] = {"runs_each": runs, "limit_seconds": LIMIT_SECONDS}
    for name, values in found.items():
        result[f"{name}_median_seconds"] = round(statistics.median(values), 3)
        result[f"{name}_max_seconds"] = round(max(values), 3)
    result["is_ok"] = all(max(values) <= LIMIT_SECONDS for values in found.values())
    return report(result)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS)))
