"""A process that only probes, for a test that stops it: one JSON line an observation."""

import asyncio
import json
import sys

from observe_kit import cluster, settings

from dbre.app import Engines
from dbre.capabilities.observe import Prober
from dbre.core.clock import SystemClock
from dbre.core.fleet import Address, Fleet
from dbre.core.secrets import Secret
from dbre.ports.probe import ProbeObservation


def tell(observation: ProbeObservation) -> None:
    line = {"at": observation.scheduled_at.timestamp(), "outcome": observation.outcome, "code": observation.code}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def ignore(*_: object) -> None:
    """Events are not what this is about."""


async def main(host: str, port: str, user: str, password: str) -> None:
    target = cluster("orders", [Address(host, int(port))], user=user, password=Secret(password))
    prober = Prober(
        fleet=Fleet(clusters=(target,)),
        engines=Engines(),
        clock=SystemClock(),
        settings=settings(1.0, total=0.9),
        sink=tell,
        events=ignore,
    )
    await prober.run()


asyncio.run(main(*sys.argv[1:]))
