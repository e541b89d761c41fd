"""All faults in turns, and what is asked of the clusters meanwhile."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from kit.dbre_command import answer
from kit.false_deaths.faults import TURNS
from kit.false_deaths.watched import Watched

LONGEST_TURN_SECONDS = 120.0
_STATUS_PAUSE_SECONDS = 2.0  # after each answer; a command takes a second of CPU, and more where there is none
_STATUS_TOLD = ("0", "3")


async def suffer(clusters: list[Watched], minutes: float) -> dict[str, float]:
    """All turns, one after the other, each once at least, until the time is over; how long each was on."""
    end = time.monotonic() + minutes * 60
    turn = min(LONGEST_TURN_SECONDS, minutes * 60 / len(TURNS))
    lasted: dict[str, float] = dict.fromkeys(TURNS, 0.0)
    while time.monotonic() < end - 1:
        for name, faults in TURNS.items():
            begun = time.monotonic()
            if begun >= end and all(lasted.values()):
                break
            async with AsyncExitStack() as stack:
                for fault in faults:
                    found = fault(clusters)
                    if hasattr(found, "__aenter__"):
                        await stack.enter_async_context(found)
                    else:
                        stack.enter_context(found)
                for one in clusters:
                    one.turn = name
                until = begun + turn if not lasted[name] else min(begun + turn, end)
                await asyncio.sleep(max(0.0, until - time.monotonic()))
                lasted[name] += time.monotonic() - begun
            for one in clusters:
                one.turn = "between"
                await one.look()
            print(f"{name}: {time.monotonic() - begun:.0f} s, {told(clusters)}", file=sys.stderr, flush=True)
    return lasted


def told(clusters: list[Watched]) -> str:
    """What was counted until now, in a line."""
    return "; ".join(
        f"{one.lab.name}: {dict(one.counts.verdicts)}, {one.counts.failovers} failovers, {len(one.counts.deaths)} deaths, "
        f"{one.counts.statuses.answered} statuses, false: {one.counts.false_findings}"
        for one in clusters
    )


async def ask_status(one: Watched) -> None:
    """``dbre ha status``, as a person or a script would, again and again; until cancelled."""
    statuses = one.counts.statuses
    while True:
        begun = time.monotonic()
        try:
            found = await answer(one.lab.config_file, ["ha", "status", one.lab.name])
        except TimeoutError:
            statuses.codes["late"] += 1
        else:
            code = str(found.code)
            statuses.codes[code] += 1
            one.counts.take_status(found.items)
            if code not in _STATUS_TOLD:
                statuses.complaints.append(f"{one.turn}: {found.complaints.strip()[:300]}")
        statuses.seconds.append(time.monotonic() - begun)
        await asyncio.sleep(_STATUS_PAUSE_SECONDS)
