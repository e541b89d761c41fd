"""Whether one address can be connected to from a namespace, tried rather than assumed."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from dbre.core.fleet import Address
from dbre.core.packets.errors import NetworkFailed
from dbre.core.packets.namespaces import Namespace

__all__ = ["Attempt", "Reached", "try_all"]

_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One connection that may be tried."""

    source: Namespace
    target: Address
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """What came of it: None where nothing answered in time, or somebody refused."""

    name: str
    seconds: float | None


async def try_all(attempts: Sequence[Attempt]) -> list[Reached]:
    """Try each once, all at the same time."""
    return list(await asyncio.gather(*(asyncio.to_thread(_try, one) for one in attempts)))


def _try(attempt: Attempt) -> Reached:
    def connect() -> float | None:
        began = time.monotonic()
        try:
            with socket.create_connection((attempt.target.host, attempt.target.port), timeout=_SECONDS):
                return time.monotonic() - began
        except OSError:
            return None

    try:
        return Reached(name=attempt.name, seconds=attempt.source.call(connect))
    except NetworkFailed:  # the namespace is gone: nothing is reached from there
        return Reached(name=attempt.name, seconds=None)
