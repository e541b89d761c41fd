"""Keeps a cluster's heartbeat table in place, beside the schedule and never in its way."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Denied
from dbre.ports.engine import Access, Engine

__all__ = ["Preparation"]

log = structlog.get_logger(__name__)

_LIMIT_SECONDS = 10.0
_CLOSING_SECONDS = 1.0
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 300.0


class Preparation:
    """Creates the heartbeat table of one cluster at start-up and whenever somebody says that it is needed.

    Refusals are remembered in ``hint`` (which grant is missing) and tried again with growing pauses, because only the prober's
    observations, not this, decide what an endpoint is.
    """

    def __init__(
        self, *, cluster: str, engine: Engine, accesses: Callable[[], Sequence[Access]], clock: Clock, limit: asyncio.Semaphore
    ) -> None:
        self._cluster = cluster
        self._engine = engine
        self._accesses = accesses
        self._clock = clock
        self._limit = limit
        self._needed = asyncio.Event()
        self._needed.set()
        self.hint: str | None = None

    def want(self) -> None:
        """Ask for the table: a probe was refused in a way that a missing table or grant explains."""
        self._needed.set()

    async def run(self) -> None:
        """Prepare when asked, until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await self._needed.wait()
            self._needed.clear()
            async with self._limit:
                is_done = await self._prepare()
            pause = _FIRST_PAUSE_SECONDS if is_done else min(pause * 2, _LONGEST_PAUSE_SECONDS)
            await self._clock.sleep(pause)
            if not is_done:
                self._needed.set()

    async def _prepare(self) -> bool:
        """Ask every address: which one is the primary may not be known yet, and a replica has nothing to do."""
        last: Exception | None = None
        is_done = False
        for access in self._accesses():
            try:
                await self._prepare_at(access)
            except Exception as error:
                if not isinstance(error, DbreError | TimeoutError):
                    log.exception("heartbeat_preparation_raised", cluster=self._cluster, address=str(access.address))
                last = error if last is None or isinstance(error, Denied) else last
            else:
                is_done = True
        if is_done and not isinstance(last, Denied):
            self.hint = None
            return True
        hint = last.hint if isinstance(last, DbreError) else None
        if hint != self.hint or hint is None:
            log.warning("heartbeat_not_prepared", cluster=self._cluster, reason=str(last), hint=hint)
        self.hint = hint
        return False

    async def _prepare_at(self, access: Access) -> None:
        port = self._engine.probe(access)
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                await port.prepare()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING_SECONDS):
                    await port.aclose()
