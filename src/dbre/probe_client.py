"""The program of a probe client: ``python -m dbre.probe_client``, with its order on standard input."""

import asyncio
import sys

from dbre.app import Engines
from dbre.capabilities.ha.clients.client import live

__all__: list[str] = []


if __name__ == "__main__":
    sys.exit(asyncio.run(live(Engines())))
