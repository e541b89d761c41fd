"""Gives held notices free: when the quiet hours end, or a storm has lasted a minute, as one summary a channel."""

import structlog

from dbre.capabilities.incident.delivery.records import due_holds, prune_deliveries, take_held
from dbre.capabilities.incident.delivery.summaries import DIGEST, digest_data
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events import EventLog
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["NoticeRelease"]

_LOOK_SECONDS = 5.0
_PRUNE_EVERY = 720  # looks: an hour

_log = structlog.get_logger(__name__)


class NoticeRelease:
    """A part of the control plane. Notices and the event that brings them are one transaction: none is lost or doubled."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._events = EventLog(clock)

    async def run(self) -> None:
        """Look until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is waited out."""
        looks = 0
        while True:
            try:
                await self.release_due()
                if looks % _PRUNE_EVERY == 0:
                    await prune_deliveries(self._store, now=self._clock.now())
                looks += 1
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("held_notices_store_failed", code=error.code, error=error.message)
            await self._clock.sleep(_LOOK_SECONDS)

    async def release_due(self) -> None:
        """Give free what is due now. Raises: a StoreError."""
        async with self._store.read() as connection:
            due = await due_holds(connection, self._clock.now())
        for channel, reason in due:
            async with self._store.begin() as connection:
                held = await take_held(connection, channel, reason, now=self._clock.now())
                if held:
                    data = digest_data(channel, reason, held)
                    await self._events.emit(connection, kind=DIGEST, subject=channel, data=data)
            _log.info("held_notices_released", channel=channel, reason=reason, count=len(held))
