"""Holes in the log of a repository, computed from the files that are there; the tools' own answers are not asked."""

from collections.abc import Iterator

from dbre.capabilities.backup.log.gaps import ancestry, coverage
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.second_opinion.model import LogHole
from dbre.core.errors import Conflict
from dbre.ports.backup.model import LogKind, LogPosition, Problem

__all__ = ["log_holes", "reach", "unknown_parents"]


def log_holes(catalog: Catalog, *, segment_bytes: int | None) -> tuple[LogHole, ...]:
    """Every hole behind the beginning of the oldest set, on every timeline of every server.

    Raises: Conflict where the history files contradict each other.
    """
    found: dict[tuple[str, int, int, int], LogHole] = {}
    for system_id in sorted({one.system_id for one in catalog.sets}):
        for hole in _of_system(catalog, system_id, segment_bytes):
            found[hole.system_id, hole.timeline, hole.start.value, hole.end.value] = hole
    return tuple(found[key] for key in sorted(found))


def _of_system(catalog: Catalog, system_id: str, segment_bytes: int | None) -> Iterator[LogHole]:
    switches = [one for one in catalog.switches if one.system_id == system_id]
    logs = [one for one in catalog.logs if one.system_id == system_id]
    for timeline in sorted({one.file.timeline for one in logs if one.file.kind is LogKind.SEGMENT}):
        on_line = {span.timeline for span in ancestry(switches, timeline)}
        starts = [
            one.start for one in catalog.sets if one.system_id == system_id and one.start and one.start.timeline in on_line
        ]
        if not starts:
            continue
        covered = coverage(logs, switches, start=min(starts, key=lambda one: one.value), timeline=timeline, system_id=system_id)
        for one in covered.missing:
            files = None if segment_bytes is None else -(-one.end.value // segment_bytes) - one.start.value // segment_bytes
            yield LogHole(system_id=system_id, timeline=one.timeline, start=one.start, end=one.end, files=files)


def reach(catalog: Catalog, one: BackupSet) -> LogPosition | None:
    """How far the log behind a set goes without a hole, along the newest timeline that descends from it."""
    if one.start is None or one.stop is None:
        return None
    switches = [switch for switch in catalog.switches if switch.system_id == one.system_id]
    lines = [ancestry(switches, timeline) for timeline in {one.stop.timeline, *(switch.timeline for switch in switches)}]
    mine = [line for line in lines if any(span.timeline == one.start.timeline for span in line)]
    ends = []
    for line in mine:
        try:
            covered = coverage(catalog.logs, switches, start=one.start, timeline=line[-1].timeline, system_id=one.system_id)
        except Conflict:
            continue  # the line left the set's timeline before the set was made
        ends.append(covered.end)
    return max(ends, default=None)


def unknown_parents(catalog: Catalog) -> Iterator[Problem]:
    """Timelines above the first whose history file is not in the repository: nobody can recover past the switch."""
    known = {(one.system_id, one.timeline) for one in catalog.switches}
    there = {(one.system_id, one.file.timeline) for one in catalog.logs if one.file.kind is LogKind.SEGMENT}
    for system_id, timeline in sorted(there - known):
        if timeline > 1:
            yield Problem(
                rule="backup.history_missing",
                message=f"log of timeline {timeline} of server {system_id} is there, and its history file is not",
                hint="recovery from sets of earlier timelines cannot go past the switch: make a full backup on this timeline",
                is_blocking=False,
            )
