"""From which sets a moment can be recovered: usable ones with all that they stand on, the newest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.restoring.lineage import Line
from dbre.ports.backup.model import CopyKind

__all__ = ["Chain", "candidates"]

_STANDS_ALONE = frozenset({CopyKind.FULL, CopyKind.LOGICAL, CopyKind.SNAPSHOT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A set with what it stands on, the full copy first; ``fault`` says why it cannot be used."""

    sets: tuple[BackupSet, ...]
    fault: str | None = None

    @property
    def newest(self) -> BackupSet:
        """The set itself."""
        return self.sets[-1]


def candidates(
    catalog: Catalog, line: Line, *, before: datetime | None = None, until: int | None = None, set_id: str | None = None
) -> Iterator[Chain]:
    """Sets of a line that were consistent before a moment (strictly) and at or before a position, the newest first.

    Source: backup.md 4.9. At the very moment at which a copy ended it is not consistent yet for recovery by time: the server
    would go on to the next commit, and PostgreSQL 18 then silently gives newer data than were asked for.
    """
    for one in sorted(catalog.sets, key=lambda one: (one.started_at, one.id), reverse=True):
        is_meant = one.system_id == line.system_id and (set_id is None or one.id == set_id)
        if is_meant and _is_usable(one) and _is_before(one, before, until) and _is_on(one, line):
            yield _closed(catalog, one, line)


def _is_usable(one: BackupSet) -> bool:
    return one.state is SetState.SEALED and one.stopped_at is not None


def _is_before(one: BackupSet, before: datetime | None, until: int | None) -> bool:
    if before is not None and (one.stopped_at is None or one.stopped_at >= before):
        return False
    return until is None or one.stop is None or one.stop.value <= until


def _is_on(one: BackupSet, line: Line) -> bool:
    return all(position is None or line.holds(position.timeline, position.value) for position in (one.start, one.stop))


def _closed(catalog: Catalog, one: BackupSet, line: Line) -> Chain:
    chain: list[BackupSet] = [one]
    while chain[0].kind not in _STANDS_ALONE:
        child, parent = chain[0], catalog.get(chain[0].parent_id or "")
        fault = _fault(child, parent, line, chain)
        if parent is None or fault is not None:
            return Chain(sets=tuple(chain), fault=fault)
        chain.insert(0, parent)
    return Chain(sets=tuple(chain))


def _fault(child: BackupSet, parent: BackupSet | None, line: Line, chain: Sequence[BackupSet]) -> str | None:
    if parent is None:
        return f"set {child.id} stands on {child.parent_id or 'a set that it does not name'}, which is not in the catalog"
    if any(one.id == parent.id for one in chain):
        return f"set {child.id} stands on itself by way of {parent.id}"
    if parent.state is not SetState.SEALED:
        return f"set {child.id} stands on {parent.id}, which is {parent.state.value}"
    if parent.system_id != child.system_id:
        return f"set {child.id} stands on {parent.id}, which is of another system"
    if not _is_on(parent, line):
        return f"set {child.id} stands on {parent.id}, which is of another timeline"
    return None
