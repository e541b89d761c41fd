"""The slots of one cluster's SLOs as another process stores them: read once, and kept up to date by what is added."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.slo.batch_repository import BEGINNING, Batch, Place, batches_from, newest_place
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.look_back import look_back_slots
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.reading import Snapshot, snapshot_of
from dbre.capabilities.slo.series import slot_at
from dbre.capabilities.slo.slot_repository import LoadedSeries, SeriesKey, find_series, load_slots
from dbre.core.clock import Clock
from dbre.core.store import Store

__all__ = ["StoredHistory"]

_LOADED_AT_ONCE = 8  # series a snapshot: a reading that is cut short has lost no more than these
_YIELD_EVERY = 8  # assessments between two turns of the event loop


@dataclass(slots=True)
class _Known:
    """One series with everything up to a batch."""

    loaded: LoadedSeries
    place: Place


class StoredHistory:
    """The state of the SLOs of one cluster, with the work of a whole reading done once.

    Each look asks the store for the batches since the last one, so that it is as new as the store is. What does not
    continue what is known (the batches were forgotten meanwhile, or the store was restored) is read anew. Only one look
    at a time.
    """

    def __init__(
        self, store: Store, cluster: str, instances: Sequence[SloInstance], clock: Clock, *, lost_after: timedelta
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._instances = tuple(instances)
        self._clock = clock
        self._lost_after = lost_after
        self._known: dict[int, _Known] = {}

    async def statuses(self) -> tuple[SloStatus, ...]:
        """The state now, in the order of the configuration. Raises: StoreError; what was read until then is kept."""
        while (snapshot := await self._look()) is None:
            pass
        now, found = self._clock.now(), list[SloStatus]()
        for index, instance in enumerate(self._instances):
            if index % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            found.append(snapshot.status(instance, now, lost_after=self._lost_after))
        return tuple(found)

    async def _look(self) -> Snapshot | None:
        """One snapshot of the store; None where there is more to load than fits into one."""
        async with self._store.read() as connection:
            keys = await find_series(connection, self._instances)
            newest = await newest_place(connection)
            await self._follow(connection, newest)
            missing = [one for one in self._instances if one.id in keys and keys[one.id].id not in self._known]
            await self._load(connection, missing[:_LOADED_AT_ONCE], keys, newest)
            if len(missing) > _LOADED_AT_ONCE:
                return None
            self._forget(keys)
            loaded = {number: one.loaded for number, one in self._known.items()}
            return await snapshot_of(connection, self._instances, keys, loaded, now=self._clock.now(), cluster=self._cluster)

    def _first_slot(self, instance: SloInstance) -> int:
        return slot_at(self._clock.now()) - look_back_slots(instance) + 1

    async def _load(
        self, connection: AsyncConnection, instances: Sequence[SloInstance], keys: dict[str, SeriesKey], newest: Place
    ) -> None:
        needed = {keys[one.id].id: self._first_slot(one) for one in instances}
        for number, loaded in (await load_slots(connection, needed, end=2**62)).items():
            self._known[number] = _Known(loaded, newest)

    async def _follow(self, connection: AsyncConnection, newest: Place) -> None:
        """Bring what is known up to the newest batch, and let go of what does not lead there."""
        behind = {number: one for number, one in self._known.items() if one.place != newest}
        if not behind:
            return
        oldest = min(one.place.position for one in behind.values())
        batches = await batches_from(connection, oldest, series=frozenset(behind))
        for number, one in behind.items():
            if not _leads_on(one.place, batches):
                del self._known[number]
                continue
            for batch in batches:
                if batch.place.position > one.place.position and batch.runs is not None:
                    for run in batch.runs.get(number, ()):
                        one.loaded.series.add(run.start, run.counts, length=run.length)
            one.place = newest

    def _forget(self, keys: dict[str, SeriesKey]) -> None:
        """Drop what no window looks at any more, and series that are not those of the instances any more."""
        wanted = {keys[one.id].id: one for one in self._instances if one.id in keys}
        self._known = {number: one for number, one in self._known.items() if number in wanted}
        for number, one in self._known.items():
            one.loaded.series.forget_before(self._first_slot(wanted[number]))


def _leads_on(place: Place, batches: Sequence[Batch]) -> bool:
    """Whether the batches contain this very one, or begin with the first of all, and tell of everything after it."""
    later = [one for one in batches if one.place.position > place.position]
    if any(one.runs is None for one in later):
        return False
    if place == BEGINNING:
        return not batches or batches[0].place.position == 1
    return any(one.place == place for one in batches)
