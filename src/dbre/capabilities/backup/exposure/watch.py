"""Measures the exposure of every cluster in every slot, for metrics and for the SLI."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from dbre.capabilities.backup.exposure.exposure import measure
from dbre.capabilities.backup.exposure.model import Exposure
from dbre.capabilities.backup.exposure.sli import SLOT_SECONDS, ExposureSlot, slot_of, slots
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.origin import LogOrigin, find_origin
from dbre.core.errors import DbreError
from dbre.ports.backup.model import LogPosition

__all__ = ["ExposureWatch"]


class ExposureWatch:
    """``take`` gets one event for each cluster and slot, also for slots in which nobody could measure.

    ``record`` gets what was measured: cluster, moment and seconds, None where they are unknown. ``flushed`` tells how far
    the receiver of this process is (``LogKeeper.flushed``); without it servers are asked, where they know.
    """

    def __init__(
        self,
        ground: BackupGround,
        *,
        take: Callable[[Sequence[ExposureSlot]], None] | None = None,
        record: Callable[[str, datetime, float | None], None] | None = None,
        flushed: Callable[[str], LogPosition | None] | None = None,
    ) -> None:
        self._ground = ground
        self._take = take
        self._record = record
        self._flushed = flushed
        self._latest: dict[str, Exposure] = {}
        self._origins: dict[str, LogOrigin] = {}
        self._told: dict[str, int] = {}
        self._limits = {
            cluster.name: policy.recovery_point.total_seconds()
            for cluster in ground.fleet.clusters
            if (policy := ground.policy_of(cluster.name)) is not None and policy.log.mode != "none"
        }

    @property
    def limits(self) -> Mapping[str, float]:
        """The objective of each cluster that is watched, in seconds."""
        return self._limits

    def latest(self) -> Mapping[str, Exposure]:
        """What was measured last; what is older than three slots is left out, because nobody knows any more."""
        now = self._ground.clock.now()
        return {name: one for name, one in self._latest.items() if (now - one.at).total_seconds() <= 3 * SLOT_SECONDS}

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            await self.look()
            now = self._ground.clock.now().timestamp()
            await self._ground.clock.sleep(SLOT_SECONDS - now % SLOT_SECONDS)

    async def look(self) -> None:
        """Measure every cluster once, and hand over the slots that ended since."""
        await asyncio.gather(*(self._measure(name) for name in self._limits))

    async def _measure(self, name: str) -> None:
        slot = slot_of(self._ground.clock.now())
        measured: list[Exposure] = []
        try:
            flushed = self._flushed(name) if self._flushed is not None else None
            measured.append(await measure(self._ground, name, origin=await self._find(name), flushed=flushed))
        except DbreError:  # nobody knows: the slot is bad, and the metric absent
            self._latest.pop(name, None)
        for one in measured:
            self._latest[name] = one
        if self._record is not None:
            begun = datetime.fromtimestamp(slot * SLOT_SECONDS, UTC)
            self._record(name, begun, measured[0].seconds if measured else None)
        first = self._told.get(name, slot - 1) + 1
        if first <= slot and self._take is not None:
            self._take(
                slots(name, [_in_slot(one, slot) for one in measured], first=first, last=slot, limit_seconds=self._limits[name])
            )
        self._told[name] = max(slot, self._told.get(name, slot))

    async def _find(self, name: str) -> LogOrigin | None:
        """The primary, surveyed only where it is another one; None: ``measure`` finds out why, and says so."""
        cluster, known = self._ground.fleet.cluster(name), self._origins.pop(name, None)
        try:
            found = await find_origin(self._ground, cluster, self._ground.require_policy(name), known=known)
        except DbreError:
            return None
        self._origins[name] = found
        return found


def _in_slot(one: Exposure, slot: int) -> Exposure:
    """A measurement that took long counts for the slot in which it was begun."""
    return replace(one, at=datetime.fromtimestamp(slot * SLOT_SECONDS, UTC))
