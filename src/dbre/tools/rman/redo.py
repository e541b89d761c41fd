"""Archived redo as ranges of SCNs that recovery can really pass: with several threads it needs the redo of each of them.

Source: Oracle Database Reference 19c, V$ARCHIVED_LOG: FIRST_CHANGE# is the lowest SCN in a log, NEXT_CHANGE# the first of
the next one; Backup and Recovery User's Guide 19c, "About Media Recovery": logs of all threads are merged by SCN.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from dbre.core.programs.errors import ProgramFailed
from dbre.ports.backup.model import LogFile, LogKind
from dbre.ports.backup.repository import ForeignLog
from dbre.tools.rman.csv_rows import moment, number

__all__ = ["RedoLog", "foreign_logs", "read_redo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedoLog:
    """One archived log of one thread: ``first`` <= SCN < ``next``."""

    thread: int
    sequence: int
    incarnation: int
    first: int
    next: int
    bytes: int
    stored_at: datetime | None


def read_redo(rows: Iterable[dict[str, str]], incarnations: dict[int, int]) -> tuple[RedoLog, ...]:
    """Each log once, wherever it lies; ``incarnations`` are numbers by their RESETLOGS_CHANGE#.

    Raises: ProgramFailed where two logs of one number have different SCNs, or a row says nothing usable.
    """
    found: dict[tuple[int, int, int], RedoLog] = {}
    for row in rows:
        numbers = [number(row, name) for name in ("thread", "sequence", "resetlogs_change", "first_change", "next_change")]
        thread, sequence, resetlogs, first, following = (-1 if one is None else one for one in numbers)
        if min(thread, sequence, first) < 0 or following < first:
            raise ProgramFailed(f"archived log {sequence} of thread {thread} goes from SCN {first} to {following}")
        if resetlogs not in incarnations:
            continue  # of an incarnation that the control file has forgotten: no set of it can be restored either
        one = RedoLog(
            thread=thread,
            sequence=sequence,
            incarnation=incarnations[resetlogs],
            first=first,
            next=following,
            bytes=number(row, "bytes") or 0,
            stored_at=moment(row, "stored_at"),
        )
        known = found.setdefault((one.incarnation, thread, sequence), one)
        if (known.first, known.next) != (first, following):
            raise ProgramFailed(
                f"log {sequence} of thread {thread} is listed from SCN {known.first} and from SCN {first}",
                hint="two databases of one DBID wrote to these backups: nothing behind that log can be trusted",
            )
    return tuple(found[key] for key in sorted(found))


def foreign_logs(logs: Sequence[RedoLog], *, system_id: str, threads: Iterable[int]) -> tuple[ForeignLog, ...]:
    """The logs cut to the SCNs at which no thread has a hole; ``threads`` are those that are enabled now.

    A hole is found by sequence number or by SCN, whichever tells. Beyond the shortest enabled thread nothing counts: its
    redo is still to come. A thread without any log counts as closed since before the first one.
    """
    found: list[ForeignLog] = []
    incarnations = sorted({one.incarnation for one in logs})
    for incarnation in incarnations:
        by_thread: dict[int, list[RedoLog]] = {}
        for one in sorted(logs, key=lambda one: (one.thread, one.sequence)):
            if one.incarnation == incarnation:
                by_thread.setdefault(one.thread, []).append(one)
        holes = [hole for own in by_thread.values() for hole in _holes(own)]
        if incarnation == incarnations[-1]:
            ends = [by_thread[thread][-1].next for thread in threads if thread in by_thread]
            highest = max(own[-1].next for own in by_thread.values())
            if ends and min(ends) < highest:
                holes.append((min(ends), highest))
        for one in (one for own in by_thread.values() for one in own):
            found += [_foreign(one, start, end, system_id) for start, end in _without(one, holes)]
    return tuple(sorted(found, key=lambda one: (one.file.timeline, one.file.start, one.file.name)))


def _holes(own: Sequence[RedoLog]) -> Iterator[tuple[int, int]]:
    for before, after in pairwise(own):
        if after.first > before.next:
            yield before.next, after.first


def _without(one: RedoLog, holes: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    parts = [(one.first, one.next)]
    for low, high in holes:
        parts = [
            piece for start, end in parts for piece in ((start, min(end, low)), (max(start, high), end)) if piece[0] < piece[1]
        ]
    return parts


def _foreign(one: RedoLog, start: int, end: int, system_id: str) -> ForeignLog:
    return ForeignLog(
        system_id=system_id,
        file=LogFile(
            name=f"thread_{one.thread}_seq_{one.sequence}",
            kind=LogKind.SEGMENT,
            timeline=one.incarnation,
            start=start,
            end=end,
            size=one.bytes,
            sha256="",
        ),
        stored_at=one.stored_at,
    )
