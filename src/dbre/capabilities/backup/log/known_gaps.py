"""Gaps that the keeper of the log finds: written down once, remedied by a full copy, closed when that is there."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from dbre.capabilities.backup.catalog.gaps import insert_gap, list_gaps, update_gap
from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.log.intervals import usable_sets
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.model import Catalog, RecoveryGap
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.ids import uuid7
from dbre.core.store import Store

__all__ = ["KnownGaps", "RequestOperation"]

RequestOperation = Callable[[str, Mapping[str, Any], str], Awaitable[str]]
"""Asks for an operation: kind, input, and a key that makes the same wish one operation. Gives the operation's id."""

_REMEDY = "backup.take"


class KnownGaps:
    """The gaps of one cluster."""

    def __init__(self, store: Store, clock: Clock, cluster: str, *, news: LogNews, request: RequestOperation | None) -> None:
        self._store = store
        self._clock = clock
        self._cluster = cluster
        self._news = news
        self._request = request

    async def open(self, *, system_id: str, timeline: int, start: int, end: int | None, reason: str) -> RecoveryGap:
        """Write a gap down, tell it, and ask for a full copy; the same gap again is the first one."""
        async with self._store.begin() as connection:
            for one in await list_gaps(connection, self._cluster):
                if (one.system_id, one.timeline, one.start) == (system_id, timeline, start):
                    return one
            gap = RecoveryGap(
                id=uuid7(self._clock),
                cluster=self._cluster,
                system_id=system_id,
                timeline=timeline,
                start=start,
                end=end,
                began_at=self._clock.now(),
                ended_at=None,
                reason=reason,
                remedy="none yet",
            )
            await insert_gap(connection, gap)
        gap = replace(gap, remedy=await self._remedy(gap))
        async with self._store.begin() as connection:
            await update_gap(connection, gap)
        await self._news.tell("backup.recovery_gap", reason, gap=str(gap.id), timeline=timeline, remedy=gap.remedy)
        return gap

    async def _remedy(self, gap: RecoveryGap) -> str:
        wanted = f"a full copy: dbre backup take {self._cluster} --kind full"
        if self._request is None:
            return wanted
        try:
            return "operation " + await self._request(
                _REMEDY, {"cluster": self._cluster, "kind": "full"}, f"backup-gap:{gap.id}"
            )
        except DbreError as error:  # the gap stays, and says who has to act
            return f"{wanted} (it could not be asked for: {error.message})"

    async def close(self) -> int:
        """End the gaps behind which a full copy was sealed; how many those were."""
        closed = 0
        async with self._store.begin() as connection:
            open_gaps = await list_gaps(connection, self._cluster, is_open=True)
            if not open_gaps:
                return 0
            sets = usable_sets(Catalog(sets=tuple(await list_sets(connection, cluster=self._cluster)), logs=(), switches=()))
            for gap in open_gaps:
                after = [
                    one
                    for one in sets
                    if one.start is not None
                    and (one.system_id, one.started_at >= gap.began_at) == (gap.system_id, True)
                    and one.start.value >= (gap.start if gap.end is None else gap.end)  # in a gap, none leads out of it
                ]
                if after:
                    end = gap.end if gap.end is not None else after[0].start.value if after[0].start is not None else None
                    await update_gap(connection, replace(gap, end=end, ended_at=after[0].stopped_at or self._clock.now()))
                    closed += 1
        return closed
