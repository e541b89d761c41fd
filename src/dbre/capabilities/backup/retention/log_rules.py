"""Which log files a retention keeps: what makes kept sets consistent, and all log after the oldest that promises recovery."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta

from dbre.capabilities.backup.documents import RetentionDocument
from dbre.capabilities.backup.log.gaps import Span, ancestry
from dbre.capabilities.backup.model import BackupSet, Catalog, LogState, SetState, StoredLog
from dbre.capabilities.backup.retention.plan import Fate, LogDecision, SetDecision
from dbre.capabilities.backup.retention.rules import by_age, is_whole, window_sets
from dbre.core.errors import Conflict
from dbre.ports.backup.model import LogKind

__all__ = ["decide_logs"]

_CLOCKS = timedelta(hours=1)
"""How far the clock of a server and ours may be apart when a log file is set beside a set that has no position yet."""

_RUNNING = frozenset({SetState.RUNNING, SetState.COPIED, SetState.VERIFIED})
_GONE = frozenset({Fate.DELETE, Fate.COLLECT})


def decide_logs(
    catalog: Catalog,
    decisions: Sequence[SetDecision],
    rules: RetentionDocument,
    *,
    now: datetime,
    in_use: frozenset[str] = frozenset(),
) -> tuple[LogDecision, ...]:
    """Decide on every log file that is not deleted yet; in the order of the catalog."""
    systems = {log.system_id for log in catalog.logs}
    judges = {system: _SystemLog(system, catalog, decisions, rules, now, in_use) for system in sorted(systems)}
    return tuple(
        LogDecision(log=log, is_kept=is_kept, reason=reason)
        for log in catalog.logs
        if log.state is not LogState.DELETED
        for is_kept, reason in [judges[log.system_id].decide(log)]
    )


class _SystemLog:
    """What the log of one system is still needed for."""

    def __init__(
        self,
        system: str,
        catalog: Catalog,
        decisions: Sequence[SetDecision],
        rules: RetentionDocument,
        now: datetime,
        in_use: frozenset[str],
    ) -> None:
        own = [one for one in decisions if one.set.system_id == system]
        self._staying = by_age(one.set for one in own if one.fate not in _GONE)
        self._switches = [one for one in catalog.switches if one.system_id == system]
        self._lines: dict[int, tuple[Span, ...] | None] = {}
        self._promising = _promising(self._staying, own, rules, catalog, now)
        self._promising += [one for one in self._staying if one.id in in_use]
        self._floors: dict[int, int | None] = {}
        self._needed = _needed(self._staying)

    def decide(self, log: StoredLog) -> tuple[bool, str]:
        """Whether a file is kept, and why."""
        file = log.file
        if not self._staying:
            return True, "no set of this system is known yet"
        if file.kind is LogKind.HISTORY:
            return True, "tells where a timeline began"
        line = self._line(file.timeline)
        if line is None:
            return True, "the histories of its timelines contradict each other, so nobody can tell"
        for one in self._staying:
            if one.state in _RUNNING and (one.start is None or one.stop is None) and log.received_at > one.started_at - _CLOCKS:
                return True, f"set {one.id} is being made"
        if (found := self._needed_by(log)) is not None:
            return True, f"makes set {found} consistent"
        floor = self._floor(file.timeline, line)
        if floor is not None and file.end > floor:
            return True, "recovery from a kept set reads it"
        return (
            False,
            "before every kept set from which moments are recovered" if floor is not None else "no kept set leads to it",
        )

    def _needed_by(self, log: StoredLog) -> str | None:
        starts, spans = self._needed.get(log.file.timeline, ([], []))
        # spans of sets may overlap, so all that begin before the file ends are looked at, the last first
        for start, stop, set_id in reversed(spans[: bisect_right(starts, log.file.end)]):
            if start < log.file.end and stop > log.file.start:
                return set_id
        return None

    def _floor(self, timeline: int, line: Sequence[Span]) -> int | None:
        """Where the log of a timeline begins to be needed; None: no set leads to it."""
        if timeline not in self._floors:
            spans = {span.timeline: span for span in line}
            starts = [
                one.start.value
                for one in self._promising
                if one.start is not None and one.start.timeline in spans and _is_on(one.start.value, spans[one.start.timeline])
            ]
            self._floors[timeline] = min(starts, default=None)
        return self._floors[timeline]

    def _line(self, timeline: int) -> tuple[Span, ...] | None:
        if timeline not in self._lines:
            try:
                self._lines[timeline] = ancestry(self._switches, timeline)
            except Conflict:
                self._lines[timeline] = None
        return self._lines[timeline]


def _is_on(value: int, span: Span) -> bool:
    return span.start <= value and (span.end is None or value <= span.end)


def _promising(
    staying: Sequence[BackupSet], own: Sequence[SetDecision], rules: RetentionDocument, catalog: Catalog, now: datetime
) -> list[BackupSet]:
    """The sets from which every later moment is to be recovered; the others promise no more than themselves.

    Those of the window, what they stand on not included; without a window the newest full sets; those that are being made;
    and those in their grace, so that they come back as they were.
    """
    usable = [one for one in staying if one.state in {SetState.SEALED, SetState.TOMBSTONED}]
    if rules.window is not None:
        chosen = window_sets(usable, rules, catalog, now=now)
    else:
        chosen = [one for one in usable if is_whole(one)][-rules.minimum_sets :]
    in_grace = {one.set.id for one in own if one.fate in {Fate.IN_GRACE, Fate.TOMBSTONE, Fate.REVIVE}}
    running = [one for one in staying if one.state in _RUNNING]
    return [*chosen, *usable[-1:], *running, *(one for one in usable if one.id in in_grace)]


def _needed(staying: Sequence[BackupSet]) -> dict[int, tuple[list[int], list[tuple[int, int, str]]]]:
    """By timeline: from where to where log is needed to make a set consistent, ordered by where that begins."""
    found: dict[int, list[tuple[int, int, str]]] = {}
    for one in staying:
        if one.start is not None and one.stop is not None:
            found.setdefault(one.stop.timeline, []).append((one.start.value, one.stop.value, one.id))
            if one.start.timeline != one.stop.timeline:
                found.setdefault(one.start.timeline, []).append((one.start.value, one.stop.value, one.id))
    return {timeline: ([one[0] for one in spans], spans) for timeline, spans in ((t, sorted(s)) for t, s in found.items())}
