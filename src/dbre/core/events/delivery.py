"""Bringing events to their subscriptions: at least once, in order, each subscription at its own pace."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import structlog

from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events.attempt import Attempt, next_pending, record
from dbre.core.events.errors import DeliveryPostponed, DeliveryRefused
from dbre.core.events.fan_out import fan_out, has_new_events
from dbre.core.events.log import TOPIC
from dbre.core.events.metrics import EventMetrics
from dbre.core.events.model import Delivery, Subscription
from dbre.core.events.registration import register
from dbre.core.events.retention import prune
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.telemetry import correlated, tracer
from dbre.core.text import printable

__all__ = ["EventDelivery"]

POLL_SECONDS = 1.0
"""How often events of other processes, and replays, are looked for; those of this process wake the delivery at once."""
RETENTION = timedelta(days=90)
"""How long events are kept by default."""
_PRUNE_EVERY_SECONDS = 3600.0
_FAREWELL_SECONDS = 2.0  # how long a stop waits for the outcome of a finished attempt to be written
_STORE_WAIT_SECONDS = 5.0  # between attempts to write an outcome to a store that is full, locked or away

_log = structlog.get_logger(__name__)
_tracer = tracer(__name__)


class EventDelivery:
    """Delivers events for as long as ``run`` runs. One a store: the control plane's.

    A handler that was interrupted, or whose outcome was not yet written when the process ended, is called again with the
    same ``event.id``.
    """

    def __init__(
        self,
        store: Store,
        subscriptions: Sequence[Subscription],
        clock: Clock,
        *,
        poll_seconds: float = POLL_SECONDS,
        retention: timedelta = RETENTION,
        metrics: EventMetrics | None = None,
    ) -> None:
        names = [one.name for one in subscriptions]
        if len(set(names)) != len(names):
            raise ValueError(f"subscriptions share a name: {sorted(names)}")
        self._store = store
        self._subscriptions = tuple(subscriptions)
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._retention = retention
        self._metrics = metrics
        self._chance = random.Random()  # noqa: S311 (jitter, not a secret)
        self._wake = {one.name: asyncio.Event() for one in subscriptions}

    async def run(self) -> None:
        """Deliver until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is waited out."""
        await self._register()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fan_out(), name="events-fan-out")
                group.create_task(self._prune(), name="events-prune")
                for one in self._subscriptions:
                    group.create_task(self._deliver(one), name=f"events-{one.name}")
        except BaseExceptionGroup as group:
            lost = group.subgroup(ControlPlaneLockLost)
            if lost is None:
                raise
            raise _first(lost) from group  # several tasks may have found out: the caller wants one clear error

    async def _register(self) -> None:
        while True:
            try:
                await register(self._store, self._subscriptions, self._clock)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                await self._wait_for_store(error, "register")
            else:
                return

    async def _fan_out(self) -> None:
        committed = self._store.listen(TOPIC)
        while True:
            committed.clear()
            try:
                if await has_new_events(self._store):
                    for name in await fan_out(self._store, self._subscriptions):
                        self._wake[name].set()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                await self._wait_for_store(error, "fan_out")
                continue
            await self._sleep(committed, self._poll_seconds)

    async def _deliver(self, subscription: Subscription) -> None:
        wake = self._wake[subscription.name]
        while True:
            wake.clear()
            try:
                due = await next_pending(self._store, subscription.name)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                await self._wait_for_store(error, subscription.name)
                continue
            wait = self._poll_seconds if due is None else self._seconds_until(due, subscription)
            if due is not None and wait <= 0:
                await self._record_for_sure(await self._traced_attempt(due, subscription))
            else:
                # Poll also while a delivery waits for its next attempt: a replay may make it due at once.
                await self._sleep(wake, min(wait, self._poll_seconds))

    async def _prune(self) -> None:
        names = [one.name for one in self._subscriptions]
        while True:
            try:
                count = await prune(self._store, before=self._clock.now() - self._retention, subscriptions=names)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                await self._wait_for_store(error, "prune")
                continue
            if count:
                _log.info("events_pruned", count=count, retention_seconds=self._retention.total_seconds())
            await self._clock.sleep(_PRUNE_EVERY_SECONDS)

    def _seconds_until(self, due: Delivery, subscription: Subscription) -> float:
        if due.next_attempt_at is None:
            return 0.0
        # Bounded, so that a wall clock that was set back does not hold a page up for longer than any backoff would.
        seconds = (due.next_attempt_at - self._clock.now()).total_seconds()
        return 0.0 if seconds > subscription.backoff.cap_seconds else seconds

    async def _traced_attempt(self, due: Delivery, subscription: Subscription) -> Attempt:
        facts = {"subscription": subscription.name, "event_id": str(due.event.id)}
        with correlated(**facts), _tracer.start_as_current_span("event.deliver") as span:
            attempt = await self._attempt(due, subscription)
            outcome = attempt.outcome
            span.set_attributes({**facts, "event_kind": due.event.kind, "attempts": attempt.attempts, "outcome": outcome})
        if self._metrics is not None:
            self._metrics.attempted(subscription.name, outcome)
        return attempt

    async def _attempt(self, due: Delivery, subscription: Subscription) -> Attempt:
        attempts = due.attempts + 1
        try:
            async with asyncio.timeout(subscription.timeout_seconds):
                await subscription.handler(due.event)
        except Exception as error:  # noqa: BLE001 (whatever a receiver raises is recorded with the delivery and retried)
            said = error.message if hasattr(error, "message") and isinstance(error.message, str) else str(error)
            if isinstance(error, TimeoutError) and not said:
                said = f"no end within {subscription.timeout_seconds:g} s"
            reason = printable(f"{type(error).__name__}: {said}", limit=500)
            wait = subscription.backoff.wait_seconds(attempts, chance=self._chance)
            if isinstance(error, DeliveryPostponed):
                wait = min(max(wait, error.wait_seconds), subscription.backoff.cap_seconds)
            is_dead = isinstance(error, DeliveryRefused) or subscription.backoff.is_exhausted(attempts)
            _log.warning(
                "event_delivery_failed",
                kind=due.event.kind,
                attempts=attempts,
                given_up=is_dead,
                error=reason,
            )
            return Attempt(delivery=due, attempts=attempts, error=reason, wait_seconds=None if is_dead else wait)
        return Attempt(delivery=due, attempts=attempts, error=None, wait_seconds=None)

    async def _record_for_sure(self, attempt: Attempt) -> None:
        # The receiver has the event: being told to stop now is no reason to send it again after the next start.
        recording = asyncio.ensure_future(self._record(attempt))
        try:
            await asyncio.shield(recording)
        except asyncio.CancelledError:
            await asyncio.wait({recording}, timeout=_FAREWELL_SECONDS)
            if not recording.cancel():
                recording.exception()  # looked at, so that it is not reported as forgotten: the caller wants to stop
            raise

    async def _record(self, attempt: Attempt) -> None:
        # The outcome is held until it is written: calling the handler again because the store is full would send twice.
        while True:
            try:
                await record(self._store, attempt, self._clock)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                await self._wait_for_store(error, attempt.delivery.subscription)
            else:
                return

    async def _wait_for_store(self, error: StoreError, doing: str) -> None:
        _log.error("event_store_failed", doing=doing, code=error.code, error=error.message)
        await self._clock.sleep(_STORE_WAIT_SECONDS)

    async def _sleep(self, wake: asyncio.Event, seconds: float) -> None:
        tasks = {asyncio.ensure_future(wake.wait()), asyncio.ensure_future(self._clock.sleep(seconds))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _first(group: BaseExceptionGroup[ControlPlaneLockLost]) -> ControlPlaneLockLost:
    one: BaseException = group
    while isinstance(one, BaseExceptionGroup):
        one = one.exceptions[0]
    return cast("ControlPlaneLockLost", one)
