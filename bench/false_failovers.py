"""Whether anything that only looks like a dead primary is taken for one, and whether a dead one is still found.

Run as root: ``.venv/bin/python bench/false_failovers.py [MINUTES]`` (default 60). Two clusters, each of a primary and two
replicas in network namespaces of their own: one that dbre alone fails over (``failover: auto``), one that Patroni runs and dbre
releases. Each has a control plane and three ``dbre ha observe``, each in a namespace of its own. For MINUTES they suffer, in
turns: 30 % of all packets are lost; each packet is up to 500 ms late; twice as many processes want a CPU as there are; every
connection of the primary is taken (53300); and all of it at once. Nothing of that is a dead primary: verdicts of death,
failovers, fences, restarted servers and false findings are counted, and all of them have to be 0. Patroni may move its
own leader: its lease is no business of ours. In the end the machine is left alone, each primary is killed, and has to be
replaced.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from typing import Any

from kit.false_deaths.suffering import ask_status, suffer, told
from kit.false_deaths.watched import Watched
from kit.report import report

from dbre.capabilities.ha.detection.doubts import LATELY_SECONDS
from dbre.lab import Lab, LabEngine, LabSpec

CALM_SECONDS = LATELY_SECONDS + 10  # before the control: observers that took the living for dead wait longer for so long


async def main() -> int:
    """Both clusters side by side."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        clusters = [Watched(one) for one in await _labs(stack)]
        with ExitStack() as processes:
            await asyncio.gather(*(one.prepare() for one in clusters))
            await asyncio.gather(*(one.watch(processes) for one in clusters))
            print(f"all observers hear their primaries, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
            lasted = await _suffered(clusters, minutes)
            control = {one.lab.name: await _controlled(one) for one in clusters}
    return report(_result(minutes, lasted, clusters, control))


async def _labs(stack: AsyncExitStack) -> list[Lab]:
    name = f"bench-ff-{os.getpid()}"
    specs = [
        LabSpec(name=f"{name}{kind}", engine=LabEngine.POSTGRESQL, replicas=2, patroni=patroni, network=True)
        for kind, patroni in (("n", None), ("p", "lan-fast"))
    ]
    made = await asyncio.gather(*(Lab.create(one) for one in specs), return_exceptions=True)
    labs = [one for one in made if isinstance(one, Lab)]
    for lab in labs:
        stack.push_async_callback(lab.down)
    for one in made:
        if isinstance(one, BaseException):
            raise one
    return labs


async def _suffered(clusters: list[Watched], minutes: float) -> dict[str, float]:
    """All turns, and the calm after them; how long each was on."""
    before = {one.lab.name: one.starts() for one in clusters}
    watching = [asyncio.create_task(work) for one in clusters for work in (one.listen(), ask_status(one))]
    try:
        lasted = await suffer(clusters, minutes)
        for one in clusters:
            one.turn = "calm"
        await asyncio.sleep(CALM_SECONDS)
    finally:
        ended = [one for one in watching if one.done()]
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    assert not ended, ended
    for one in clusters:
        await one.look()
        one.counts.restarts = len(before[one.lab.name] - one.starts()) if one.lab.cluster is None else 0
    print(told(clusters), file=sys.stderr, flush=True)
    return lasted


async def _controlled(one: Watched) -> dict[str, Any]:
    """The control: once all is well again, a real death."""
    if one.lab.cluster is not None:
        await one.lab.cluster.wait_healthy()
    await one.until_healthy()
    return await one.kill_and_see()


def _result(minutes: float, lasted: Mapping[str, float], clusters: list[Watched], control: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "minutes": minutes,
        "load": [round(one, 1) for one in os.getloadavg()],
        "turns_s": {name: round(seconds) for name, seconds in lasted.items()},
    }
    is_ok = True
    for one in clusters:
        kind = "patroni" if one.lab.cluster is not None else "native"
        found[kind] = one.counts.as_document() | {"control": control[one.lab.name]}
        is_ok = is_ok and not one.counts.wrong and control[one.lab.name]["states"] == ["succeeded"]
    return {**found, "is_ok": is_ok}


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
