"""Holes in the log behind what can be restored, and which of them a full copy made up for. Pure."""

from collections.abc import Sequence

from dbre.capabilities.backup.log.gaps import MissingLog, ancestry, coverage
from dbre.capabilities.backup.log.intervals import usable_sets
from dbre.capabilities.backup.model import Catalog, TimelineSwitch
from dbre.core.errors import Conflict
from dbre.ports.backup.model import LogKind, LogPosition

__all__ = ["find_missing"]


def find_missing(catalog: Catalog, *, only_open: bool = False) -> tuple[MissingLog, ...]:
    """Holes in the log behind the oldest usable set of each system, on every timeline that has log, each hole once.

    ``only_open`` leaves out those behind which a full copy began: what is written since can be recovered.
    """
    found: dict[tuple[int, int], MissingLog] = {}
    usable = usable_sets(catalog)
    for system_id in sorted({one.system_id for one in usable}):
        logs = [one for one in catalog.logs if one.system_id == system_id]
        for timeline in sorted({one.file.timeline for one in logs if one.file.kind is LogKind.SEGMENT}):
            for one in (one for one in usable if one.system_id == system_id):
                if (start := one.needs_log_from) is None:
                    continue
                try:
                    seen = coverage(logs, catalog.switches, start=start, timeline=timeline, system_id=system_id)
                except Conflict:  # a set of another branch
                    continue
                holes = [hole for hole in seen.missing if not only_open or not _is_made_up_for(hole, catalog, system_id)]
                found |= {(hole.timeline, hole.end.value): hole for hole in holes}
                break
    return tuple(found[key] for key in sorted(found))


def _is_made_up_for(hole: MissingLog, catalog: Catalog, system_id: str) -> bool:
    """Whether a full copy begins behind it, on a way that leads over it: one of another branch makes up for nothing here."""
    switches = [one for one in catalog.switches if one.system_id == system_id]
    fulls = [one for one in usable_sets(catalog) if one.parent_id is None and one.system_id == system_id]
    return any(_leads_over(hole, switches, one.start) for one in fulls if one.start is not None)


def _leads_over(hole: MissingLog, switches: Sequence[TimelineSwitch], start: LogPosition) -> bool:
    if start.value < hole.end.value:
        return False
    try:
        line = ancestry(switches, start.timeline)
    except Conflict:  # nobody knows on which way it lies
        return False
    return any(one.timeline == hole.timeline and (one.end is None or hole.end.value <= one.end) for one in line)
