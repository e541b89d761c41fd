"""Clients that work while an experiment goes on; another capability has them, and the composition root hands them in."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from dbre.capabilities.chaos.scope_documents import ClientsOrder
from dbre.core.clock import Clock

__all__ = ["Clients", "ClientsLook", "truth_after"]

_CALM_SECONDS = 1.0  # without a word of success clients still suffer
_LONGER_SECONDS = 2.0
_LOOK_SECONDS = 0.2


class Clients(Protocol):
    """Clients at work on one cluster."""

    @property
    def silent_seconds(self) -> float | None:
        """How long none of them had an answer; None: none had one yet."""
        ...

    def mark(self) -> None:
        """Something is done to the cluster now."""
        ...

    async def truth(self) -> dict[str, Any]:
        """End them and tell what they saw: outage_seconds, lost, overlap, anomalies, ...; once."""
        ...


ClientsLook = Callable[[str, ClientsOrder, Path], AbstractAsyncContextManager[Clients]]
"""Starts clients on a cluster (by its name), which write a history; ends them, however the block ends. Raises: UsageError."""


async def truth_after(clients: Clients, clock: Clock, *, limit_seconds: float) -> dict[str, Any]:
    """Let them work until they have answers again and a little longer, then hear them."""
    deadline = clock.monotonic() + limit_seconds
    while clock.monotonic() < deadline:
        silent = clients.silent_seconds
        if silent is not None and silent < _CALM_SECONDS:
            break
        await asyncio.sleep(_LOOK_SECONDS)
    await clock.sleep(_LONGER_SECONDS)
    return await clients.truth()
