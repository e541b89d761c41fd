"""Whether binary logs are whole, and which transactions are in them."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.text import printable
from dbre.engines.mysql.backup.binlog_events import (
    FIRST_POSITION,
    BinlogDamaged,
    Event,
    Torn,
    is_end_of_group,
    read_events,
    read_gtid,
)
from dbre.engines.mysql.backup.positions import BinlogName
from dbre.ports.backup.model import CopyFault, LogPosition, Verified

__all__ = ["Group", "open_events", "read_groups", "scan_binlogs", "whole_bytes"]

_BUFFER_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Group:
    """One transaction, or one statement that commits itself."""

    start: int
    end: int | None  # None: the file ends before it does
    gtid: str
    seconds: int  # since 1970, when its last statement began


@contextmanager
def open_events(path: Path, *, resume_at: int = 0) -> Iterator[Iterator[Event]]:
    """The events of a file: the first, and those from ``resume_at`` on."""
    with path.open("rb", buffering=_BUFFER_BYTES) as file:
        yield read_events(file, resume_at=resume_at)


def read_groups(path: Path, *, start: int = FIRST_POSITION, is_last: bool) -> Iterator[Group]:
    """Transactions from ``start`` on, in order; the last may be cut off where the file is the last one.

    Raises: BinlogDamaged, also where ``start`` is between events, and where a file that is not the last one is cut off.
    """
    group: tuple[int, str, bool] | None = None
    seconds = 0
    if path.stat().st_size < start:
        raise BinlogDamaged(f"it has {path.stat().st_size} bytes, and it is needed from {start} on")
    with open_events(path, resume_at=start) as events:
        try:
            for event in events:
                if event.offset < start:
                    continue
                if event.is_gtid:
                    gtid, is_standalone = read_gtid(event)
                    group, seconds = (event.offset, gtid, is_standalone), event.seconds
                elif group is not None:
                    seconds = max(seconds, event.seconds)
                    if is_end_of_group(event, is_standalone=group[2]):
                        yield Group(group[0], event.end, group[1], seconds)
                        group = None
        except Torn as torn:
            if not is_last:
                raise BinlogDamaged(f"{torn}, and another file follows") from torn
    if group is not None:
        yield Group(group[0], None, group[1], seconds)


def whole_bytes(path: Path, *, start: int = 0) -> int:
    """Where the last whole event ends, from ``start`` on, where one begins; 0 for a file that is damaged or has none."""
    end = 0
    try:
        with open_events(path, resume_at=start) as events:
            for event in events:
                end = max(event.end, start)
    except (Torn, BinlogDamaged, FileNotFoundError):
        pass  # what came before it counts
    return end


def scan_binlogs(files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
    """Read every event between two places with its checksum; ``files`` are named as they are stored, in order."""
    began = time.monotonic()
    faults: list[CopyFault] = []
    expected: BinlogName | None = None
    size = 0
    for number, path in enumerate(files):
        name = BinlogName.stored(path.name.removesuffix(".partial"))
        if name is None:
            faults.append(CopyFault(rule="log_damaged", subject=path.name, detail="this is no name of a binary log"))
            continue
        faults += _order_faults(name, expected, start)
        expected = name.next
        first = start.value - name.start if number == 0 and start.value > name.start else FIRST_POSITION
        reached, fault = _scan_one(path, first, is_last=number == len(files) - 1)
        faults += [CopyFault(rule="log_damaged", subject=path.name, detail=fault)] if fault else []
        size += path.stat().st_size if path.exists() else 0
        # a file's range ends where the next file begins: whoever wants the log up to there wants all of this file
        is_wanted_whole = end is not None and end.value == name.next.start
        if (
            number == len(files) - 1
            and not fault
            and end is not None
            and not is_wanted_whole
            and name.start + reached < end.value
        ):
            detail = f"it ends at {name.at(reached).text}, and the log is needed up to {end.text}"
            faults.append(CopyFault(rule="log_gap", subject=path.name, detail=detail))
    if not files and end is not None and end > start:
        faults.append(CopyFault(rule="log_gap", subject=start.text, detail="there is no file"))
    return Verified(files=len(files), bytes=size, seconds=time.monotonic() - began, faults=tuple(faults))


def _order_faults(name: BinlogName, expected: BinlogName | None, start: LogPosition) -> list[CopyFault]:
    if expected is None:
        if name.server_id != start.timeline or name.start > start.value:
            detail = f"the log is needed from {start.text} of server {start.timeline} on"
            return [CopyFault(rule="log_gap", subject=name.text, detail=detail)]
    elif name != expected:
        return [CopyFault(rule="log_gap", subject=expected.text, detail=f"{printable(name.text)} comes in its place")]
    return []


def _scan_one(path: Path, start: int, *, is_last: bool) -> tuple[int, str | None]:
    """Where the last whole event ends, and what is wrong."""
    try:
        for _ in read_groups(path, start=start, is_last=is_last):
            pass
    except BinlogDamaged as error:
        return 0, str(error)
    except OSError as error:
        return 0, f"it cannot be read: {error.strerror}"
    return whole_bytes(path), None
