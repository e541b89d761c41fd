"""The full copy that follows a promotion, asked for by whoever keeps the log, as it sees the new timeline first."""

from dbre.capabilities.backup.catalog.gaps import list_gaps
from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.log.known_gaps import RequestOperation
from dbre.capabilities.backup.log.news import LogNews
from dbre.capabilities.backup.log.origin import LogOrigin
from dbre.capabilities.backup.policy.promotions import lacks_full
from dbre.core.clock import Clock
from dbre.core.errors import DbreError
from dbre.core.store import Store

__all__ = ["NextFull"]

_TAKE = "backup.take"
_NOT_ASKED = "backup.next_full_not_asked"


class NextFull:
    """Asks once for each timeline of a cluster; the same wish of another control plane is the same operation."""

    def __init__(self, store: Store, clock: Clock, *, news: LogNews, request: RequestOperation | None) -> None:
        self._store = store
        self._clock = clock
        self._news = news
        self._request = request
        self._settled: set[tuple[str, int]] = set()

    async def look(self, origin: LogOrigin) -> None:
        """One round; nothing happens where the timeline has its copy, or it was asked for."""
        line, cluster = (origin.system_id, origin.timeline), origin.cluster.name
        if line in self._settled:
            return
        async with self._store.read() as connection:
            sets = await list_sets(connection, cluster=cluster)
            gaps = await list_gaps(connection, cluster, is_open=True)
        if any((one.system_id, one.timeline) == line for one in gaps):
            return  # a full copy is the remedy of a gap
        if not lacks_full(sets, system_id=origin.system_id, timeline=origin.timeline, now=self._clock.now()):
            return
        remedy = f"dbre backup take {cluster} --kind full"
        if self._request is not None:
            key = f"backup-timeline:{cluster}:{origin.system_id}:{origin.timeline}"
            try:
                remedy = "operation " + await self._request(_TAKE, {"cluster": cluster, "kind": "full"}, key)
            except DbreError as error:  # asked for again in the next round
                await self._news.trouble(_NOT_ASKED, error, timeline=origin.timeline, remedy=remedy)
                return
        await self._news.well(_NOT_ASKED)
        self._settled.add(line)
        message = f"{cluster} goes on along timeline {origin.timeline}, on which no full copy lies yet"
        await self._news.tell("backup.next_full", message, timeline=origin.timeline, remedy=remedy)
