"""Whether files of commands are whole."""

import time
from collections.abc import Sequence
from pathlib import Path

from dbre.engines.redis.backup.aof import AofDamaged, Torn, read_units
from dbre.engines.redis.backup.positions import IncrementName
from dbre.ports.backup.model import CopyFault, LogPosition, Verified

__all__ = ["scan_log"]


def scan_log(files: Sequence[Path], *, start: LogPosition, end: LogPosition | None) -> Verified:
    """Read every command between two places; ``files`` are named as they are stored, in order."""
    began = time.monotonic()
    faults: list[CopyFault] = []
    expected: IncrementName | None = None
    size = 0
    for number, path in enumerate(files):
        name = IncrementName.parse(path.name.removesuffix(".partial"))
        if name is None:
            faults.append(CopyFault(rule="log_damaged", subject=path.name, detail="this is no name of a file of commands"))
            continue
        if (expected is None and name.start > start.value) or (expected is not None and name != expected):
            wanted = expected.text if expected else start.text
            faults.append(CopyFault(rule="log_gap", subject=wanted, detail=f"{name.text} comes in its place"))
        expected = name.next
        is_last = number == len(files) - 1
        reached, fault = _scan_one(path, is_last=is_last)
        faults += [CopyFault(rule="log_damaged", subject=path.name, detail=fault)] if fault else []
        size += path.stat().st_size if path.exists() else 0
        # a file's range ends where the next file begins: whoever wants the log up to there wants all of this file
        is_wanted_whole = end is not None and end.value == name.next.start
        if is_last and not fault and end is not None and not is_wanted_whole and name.start + reached < end.value:
            detail = f"it ends at {name.at(reached).text}, and the log is needed up to {end.text}"
            faults.append(CopyFault(rule="log_gap", subject=path.name, detail=detail))
    if not files and end is not None and end > start:
        faults.append(CopyFault(rule="log_gap", subject=start.text, detail="there is no file"))
    return Verified(files=len(files), bytes=size, seconds=time.monotonic() - began, faults=tuple(faults))


def _scan_one(path: Path, *, is_last: bool) -> tuple[int, str | None]:
    """Where the last whole command ends, and what is wrong."""
    reached = 0
    try:
        with path.open("rb") as file:
            for unit in read_units(file):
                reached = unit.end
    except AofDamaged as error:
        return reached, str(error)
    except Torn as torn:
        return reached, None if is_last else f"{torn}, and another file follows"
    except OSError as error:
        return reached, f"it cannot be read: {error.strerror}"
    return reached, None
