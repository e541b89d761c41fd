"""What is strange about a set, compared with those before it. Pure."""

from collections.abc import Sequence
from statistics import median

from dbre.capabilities.backup.model import BackupSet
from dbre.core.units import format_bytes, format_percent
from dbre.ports.backup.model import ChecksumState

__all__ = ["anomalies"]

_COMPARED = 5  # sets of the same kind
_FEWEST = 2
_JUMP = 3.0
"""Times as large, or as small, as the median of those before it: ransomware, a lost tablespace, a bulk load."""
_INCOMPRESSIBLE = 0.9
_TIMES = 1.5
"""A set that compresses to more than the first, and that many times worse than usual: somebody encrypted what was data."""
_SMALLEST_BYTES = 64 * 2**20  # below this an increment's size says nothing


def anomalies(new: BackupSet, earlier: Sequence[BackupSet]) -> tuple[str, ...]:
    """Sentences on what a person should look at; none where nothing is strange or too little is known."""
    found: list[str] = []
    if new.checksums is ChecksumState.BAD:
        found.append("pages of the source are damaged: their checksums do not fit")
    same = [one for one in earlier if one.kind is new.kind and one.system_id == new.system_id and one.id != new.id]
    if len(same) < _FEWEST:
        return tuple(found)
    for words, size, before in (
        ("reads", new.bytes_source, [one.bytes_source for one in same[-_COMPARED:]]),
        ("is stored in", new.bytes_stored, [one.bytes_stored for one in same[-_COMPARED:] if one.bytes_stored is not None]),
    ):
        if size is None or len(before) < _FEWEST:
            continue
        usual = median(before)
        if max(size, usual) < _SMALLEST_BYTES:
            continue
        if usual and (size > _JUMP * usual or size * _JUMP < usual):
            found.append(
                f"it {words} {format_bytes(size)}, and the {len(before)} {new.kind} sets before it have a median of"
                f" {format_bytes(round(usual))}"
            )
    told = _compression(new, same[-_COMPARED:])
    return (*found, told) if told is not None else tuple(found)


def _compression(new: BackupSet, same: Sequence[BackupSet]) -> str | None:
    earlier = [one.bytes_stored / one.bytes_source for one in same if one.bytes_stored is not None and one.bytes_source]
    if len(earlier) < _FEWEST or new.bytes_stored is None or new.bytes_source < _SMALLEST_BYTES:
        return None
    now, usual = new.bytes_stored / new.bytes_source, median(earlier)
    if now <= _INCOMPRESSIBLE or now <= _TIMES * usual:
        return None
    return (
        f"it compresses to {format_percent(now, digits=0)} of its size, and the {len(earlier)} sets before it to"
        f" {format_percent(usual, digits=0)}: data that somebody encrypted look so"
    )
