"""A load with a person watching: a line each second, and Ctrl-C ends it in order."""

import asyncio
import signal

from dbre.core.progress import report
from dbre.core.units import format_duration
from dbre.lab.load.client import LoadClient
from dbre.lab.load.model import LedgerAudit, LoadReport, SecondCount

__all__ = ["narrate"]


async def narrate(client: LoadClient) -> tuple[LoadReport, LedgerAudit]:
    """Run a load and compare its ledger afterwards; SIGINT and SIGTERM stop it early."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, client.stop)
    try:
        voice = asyncio.create_task(_tell_each_second(client), name="load-narrator")
        try:  # not a task group: what the load raises must reach the user as it is
            found = await client.run()
        finally:
            voice.cancel()
            await asyncio.wait((voice,))
        for outage in found.outages:
            report(f"{outage.kind}s failed for {format_duration(outage.seconds)}: {outage.reason}")
        return found, await client.audit()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def _tell_each_second(client: LoadClient) -> None:
    """Tell of a second once every operation that was due in it is settled."""
    patience = client.plan.deadline_seconds + 1
    told = 0
    while True:
        await asyncio.sleep(1)
        if client.running_seconds < patience + told:
            continue
        report(_line(client.second(told)))
        told += 1


def _line(count: SecondCount) -> str:
    words = f"second {count.second}: {count.succeeded} ok"
    if count.failed:
        words += f", {count.failed} failed"
    if count.late:
        words += f", {count.late} late"
    return words
