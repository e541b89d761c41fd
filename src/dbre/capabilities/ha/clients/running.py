"""A run of probe clients from begin to end, told while it lasts; Ctrl-C ends it early, and what was seen still counts."""

import asyncio
import signal
from pathlib import Path

from dbre.capabilities.ha.clients.fleet import ProbeFleet, probe_fleet
from dbre.capabilities.ha.clients.ground import ClientGround
from dbre.capabilities.ha.clients.spec import ProbeSpec
from dbre.capabilities.ha.clients.truth import ClientTruth
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster
from dbre.core.progress import report

__all__ = ["run_probe"]

_TELL_SECONDS = 1.0
_SILENT_SECONDS = 1.0  # without an acknowledgement, after which it is told


async def run_probe(
    ground: ClientGround, cluster: Cluster, spec: ProbeSpec, *, history: Path, model: str | None, keep: bool
) -> tuple[ClientTruth, list[str]]:
    """Let clients act as long as they should; the truth, and notes for the user."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with probe_fleet(ground, cluster, spec, history=history) as fleet:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, told.set)
        try:
            await _until_over(fleet, told)
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)
        report("clients end; reading what is there")
        truth = await fleet.finish(model=model)
        if keep:
            return truth, [f"the rows of run {fleet.run} stay in the database"]
        try:
            await fleet.remove()
        except DbreError as error:
            return truth, [error.message]
    return truth, []


async def _until_over(fleet: ProbeFleet, told: asyncio.Event) -> None:
    ends = [asyncio.create_task(fleet.wait()), asyncio.create_task(told.wait())]
    narrator = asyncio.create_task(_tell(fleet))
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (*ends, narrator):
            task.cancel()
        await asyncio.gather(*ends, narrator, return_exceptions=True)


async def _tell(fleet: ProbeFleet) -> None:
    """Each second, what changed; silence as soon as it is one."""
    while True:
        await asyncio.sleep(_TELL_SECONDS)
        pulse = fleet.pulse
        words = f"{fleet.now:.0f}s: {pulse.acknowledged} acknowledged by {pulse.last_node or 'nobody'}"
        if pulse.failed or pulse.unknown:
            words += f", {pulse.failed} failed, {pulse.unknown} unknown"
        if pulse.silent_seconds is not None and pulse.silent_seconds > _SILENT_SECONDS:
            words += f"; nothing for {pulse.silent_seconds:.1f}s"
        report(words)
