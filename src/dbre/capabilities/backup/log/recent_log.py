"""The log since the newest set that can be used: all that is needed to say how far recovery gets now."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.backup.catalog.logs import list_logs
from dbre.capabilities.backup.catalog.sets import list_sets
from dbre.capabilities.backup.catalog.switches import list_switches
from dbre.capabilities.backup.log.gaps import Span, ancestry
from dbre.capabilities.backup.log.intervals import usable_sets
from dbre.capabilities.backup.model import BackupSet, Catalog, StoredLog, TimelineSwitch
from dbre.ports.backup.model import LogPosition

__all__ = ["RecentLog", "newest_set_on", "read_recent_log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentLog:
    """Of the newest usable set on the line to a timeline: from where it needs log, and its stop. None: there is no such set."""

    start: LogPosition | None
    stop: LogPosition | None
    logs: Sequence[StoredLog]
    switches: Sequence[TimelineSwitch]


async def read_recent_log(connection: AsyncConnection, cluster: str, system_id: str, timeline: int) -> RecentLog:
    """Read it from the state store. Raises: Conflict where the histories contradict each other."""
    sets = [one for one in await list_sets(connection, cluster=cluster) if one.system_id == system_id]
    switches = await list_switches(connection, [system_id])
    newest = newest_set_on(ancestry(switches, timeline), sets)
    start = newest.needs_log_from if newest is not None else None
    logs = await list_logs(connection, cluster, system_id=system_id, ends_after=start.value) if start is not None else ()
    return RecentLog(start=start, stop=newest.stop if newest is not None else None, logs=logs, switches=switches)


def newest_set_on(line: Sequence[Span], sets: Iterable[BackupSet]) -> BackupSet | None:
    """The newest usable set that was consistent before its timeline was left."""
    ends = {span.timeline: span.end for span in line}
    found = [
        one
        for one in usable_sets(Catalog(sets=tuple(sets), logs=(), switches=()))
        if one.stop is not None
        and one.stop.timeline in ends
        and ((end := ends[one.stop.timeline]) is None or one.stop.value <= end)
    ]
    return found[-1] if found else None
