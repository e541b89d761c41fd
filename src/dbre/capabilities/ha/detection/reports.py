"""Reports in the state store: written by observers, and read by whoever counts their ages with a clock of its own."""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import RowMapping, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.ha.detection.report import Report
from dbre.capabilities.ha.detection.tables import ha_report
from dbre.capabilities.ha.detection.weighing import Heard, Rules, Weighing, weigh
from dbre.core.clock import Clock
from dbre.core.store import Store

__all__ = ["Listener", "forget_report", "last_report", "read_reports", "write_report"]

_LOOK_SECONDS = 0.1
_REMEMBERED_WITHIN = 3.0  # times the age at which a report stops to count
_row = ha_report.c


async def write_report(store: Store, report: Report, clock: Clock) -> None:
    """Replace what this observer said before."""
    row = {
        "cluster": report.cluster,
        "observer": report.observer,
        "marker": report.marker,
        "document": report.as_document(),
        "written_at": clock.now(),
    }

    async def write(connection: AsyncConnection) -> None:
        await store.insert_or_update(ha_report, [row], keys=["cluster", "observer"], connection=connection)

    await store.grouped(write)


async def forget_report(store: Store, cluster: str, observer: str) -> None:
    """Delete the report of an observer that is no more."""

    async def write(connection: AsyncConnection) -> None:
        await connection.execute(delete(ha_report).where(_row.cluster == cluster, _row.observer == observer))

    await store.grouped(write)


async def last_report(store: Store, cluster: str, observer: str) -> Report | None:
    """What this observer said last, or else what another one did that knew a primary."""
    found = await _read(store, cluster)
    own = next((one for one in found if one.observer == observer), None)
    return own or next((one for one in found if one.primary is not None), None)


async def read_reports(store: Store, cluster: str) -> Sequence[Report]:
    """What each observer of a cluster said last."""
    return await _read(store, cluster)


async def _read(store: Store, cluster: str) -> Sequence[Report]:
    async with store.read() as connection:
        wanted = select(ha_report).where(_row.cluster == cluster).order_by(_row.observer)
        rows = (await connection.execute(wanted)).mappings().all()
    return [found for row in rows if (found := _report(row, cluster)) is not None]


def _report(row: RowMapping, cluster: str) -> Report | None:
    """None for one that another version of dbre wrote in words that are not ours: that observer has said nothing to us."""
    try:
        return Report.from_document(row["document"], cluster=cluster, observer=row["observer"], marker=row["marker"])
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


class Listener:
    """Reads the reports of one cluster again and again, and knows how old each is by its own monotonic clock.

    A report that was there before the first look is of unknown age: it counts once it has changed.
    """

    def __init__(self, store: Store, cluster: str, clock: Clock) -> None:
        self._store = store
        self._cluster = cluster
        self._clock = clock
        self._seen: dict[str, tuple[str, float | None]] = {}  # observer: marker, and when it came by our clock

    async def hear(self) -> list[Heard]:
        """The reports as they are now."""
        reports = await _read(self._store, self._cluster)
        now = self._clock.monotonic()
        heard = []
        for one in reports:
            marker, since = self._seen.get(one.observer, (None, None))
            if marker != one.marker:
                since = None if marker is None else now
                self._seen[one.observer] = (one.marker, since)
            heard.append(Heard(report=one, age_seconds=now - since if since is not None else float("inf")))
        return heard

    async def settled(self, rules: Rules, *, is_enough: Callable[[Weighing], bool] = lambda _: False) -> Weighing:
        """Listen until every observer was heard anew, until it is enough, or for as long as a report may be old."""
        end = self._clock.monotonic() + rules.stale_seconds
        pause: Callable[[float], Awaitable[None]] = self._clock.sleep
        while True:
            heard = await self.hear()
            found = weigh(heard, rules)
            missing = set(rules.observers) - {one.report.observer for one in heard if one.age_seconds <= rules.stale_seconds}
            if not missing or is_enough(found) or self._clock.monotonic() > end:
                return found
            await pause(_LOOK_SECONDS)

    async def remembered(self, rules: Rules) -> str | None:
        """Whom the observers take for the primary, where nobody who was heard in time can say; None: they do not agree.

        On a machine without CPU reports come later than they may to count. That is no evidence of a death, and enough to know
        of whom one would be.
        """
        end = self._clock.monotonic() + _REMEMBERED_WITHIN * rules.stale_seconds
        while True:
            heard = [one for one in await self.hear() if one.report.observer in rules.observers]
            named = {one.report.primary for one in heard if one.age_seconds < float("inf")} - {None}
            if named or self._clock.monotonic() > end:
                return named.pop() if len(named) == 1 else None
            await self._clock.sleep(_LOOK_SECONDS)
