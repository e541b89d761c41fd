"""One address of an endpoint: its probe, its kept connection, and whether an attempt is still under way there."""

import asyncio
import math
from typing import cast
from weakref import WeakKeyDictionary

import structlog

from dbre.core.clock import Clock
from dbre.core.secrets import SecretUnavailable
from dbre.core.text import printable
from dbre.ports.engine import Access, Blame, Engine
from dbre.ports.probe import Outcome, Phases, ProbePort, ProbeReading, ProbeRequest

__all__ = ["Candidate"]

log = structlog.get_logger(__name__)

_CLOSE_SECONDS = 1.0


class Candidate:
    """One address that may serve an endpoint."""

    def __init__(self, *, engine: Engine, access: Access, instance: str, connecting: asyncio.Semaphore, clock: Clock) -> None:
        self.access = access
        self.instance = instance
        self._engine = engine
        self._clock = clock
        self._connecting = connecting
        self._port: ProbePort | None = None
        self._is_warm = False
        self._attempt: asyncio.Task[ProbeReading] | None = None
        self._waits: WeakKeyDictionary[asyncio.Task[ProbeReading], float] = WeakKeyDictionary()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def is_warm(self) -> bool:
        """Whether the next attempt will probably find its kept connection open."""
        return self._is_warm

    def waited_seconds(self, attempt: "asyncio.Task[ProbeReading]") -> float:
        """How long an attempt waited for its turn to open a connection, which is our doing; infinity: it waits still."""
        return self._waits.get(attempt, math.inf)

    def start(self, request: ProbeRequest) -> "asyncio.Task[ProbeReading]":
        """Begin one attempt. An earlier one that has not ended keeps its connection to itself and is cut off."""
        if self._attempt is not None:
            self.abandon(self._attempt)
        self._attempt = asyncio.create_task(self._measure(request), name=f"probe {self.access.address}")
        return self._attempt

    def abandon(self, attempt: "asyncio.Task[ProbeReading]") -> None:
        """Cut off an attempt if it is still under way, without waiting for it; its connection is not used again.

        An attempt that a later slot has taken the place of is gone already: the later one is left alone.
        """
        if attempt is self._attempt and not attempt.done():
            self.drop()

    def drop(self) -> None:
        """Give up the attempt that is under way and the kept connection; they end in the background."""
        attempt, port = self._attempt, self._port
        self._attempt, self._port, self._is_warm = None, None, False
        if port is None and (attempt is None or attempt.done()):
            return
        task = asyncio.create_task(_close(attempt, port), name=f"close probe {self.access.address}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def aclose(self) -> None:
        """Close everything and wait for it, but not for long."""
        self.drop()
        if self._closing:
            await asyncio.wait(self._closing, timeout=_CLOSE_SECONDS)

    async def _measure(self, request: ProbeRequest) -> ProbeReading:
        attempt = cast("asyncio.Task[ProbeReading]", asyncio.current_task())
        if request.fresh or not self._is_warm:
            begun = self._clock.monotonic()
            async with self._connecting:
                self._waits[attempt] = self._clock.monotonic() - begun
                reading = await self._ask(request)
        else:
            self._waits[attempt] = 0.0
            reading = await self._ask(request)
        if not request.fresh:
            self._is_warm = reading.outcome is Outcome.GOOD
        return reading

    async def _ask(self, request: ProbeRequest) -> ProbeReading:
        if self._port is None:
            self._port = self._engine.probe(self.access)
        try:
            return await self._port.measure(request)
        except Exception as error:  # noqa: BLE001 - an engine owes a reading; its bug must not stop the other endpoints
            return self._excuse(error)

    def _excuse(self, error: Exception) -> ProbeReading:
        verdict = self._engine.classify(error)
        if verdict is None and isinstance(error, SecretUnavailable):
            reason = printable(error.message, limit=200)
            return ProbeReading(outcome=Outcome.EXCLUDED, code="secret_unavailable", reason=reason, phases=Phases())
        if verdict is None:
            log.error("probe_raised", exc_info=error, address=str(self.access.address), instance=self.instance)
            reason = printable(f"{type(error).__name__}: {error}", limit=200)
            return ProbeReading(outcome=Outcome.EXCLUDED, code="probe_error", reason=reason, phases=Phases())
        outcome = Outcome.BAD if verdict.blame is Blame.BAD else Outcome.EXCLUDED
        return ProbeReading(outcome=outcome, code=verdict.code, reason=verdict.reason, phases=Phases())


async def _close(attempt: "asyncio.Task[ProbeReading] | None", port: ProbePort | None) -> None:
    if attempt is not None:
        attempt.cancel()
        await asyncio.wait({attempt}, timeout=_CLOSE_SECONDS)
    if port is not None:
        closing = asyncio.ensure_future(port.aclose())
        _, unfinished = await asyncio.wait({closing}, timeout=_CLOSE_SECONDS)
        for one in unfinished:
            one.cancel()
