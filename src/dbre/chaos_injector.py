"""The program of an injector: ``python -m dbre.chaos_injector``, with its order and its lease on standard input."""

import asyncio
import sys

from dbre.app import Engines
from dbre.capabilities.chaos.injection.injector import hold
from dbre.core.clock import SystemClock

__all__: list[str] = []


if __name__ == "__main__":
    sys.exit(asyncio.run(hold(Engines(), SystemClock())))
