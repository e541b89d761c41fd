"""Which sets a retention keeps: the union of all rules, each with its words. Pure: the time is given."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime

from dbre.capabilities.backup.documents import RetentionDocument
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.core.units import format_duration
from dbre.ports.backup.model import CopyKind

__all__ = ["by_age", "is_whole", "kept_by_rules", "window_sets"]

Reasons = dict[str, list[str]]
"""Why a set is kept, by its id."""

_GROUPS: tuple[tuple[str, str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("daily", "day", lambda at: (at.year, at.month, at.day)),
    ("weekly", "ISO week", lambda at: tuple(at.isocalendar()[:2])),
    ("monthly", "month", lambda at: (at.year, at.month)),
    ("yearly", "year", lambda at: (at.year,)),
)


def by_age(sets: Iterable[BackupSet]) -> list[BackupSet]:
    """The oldest first: by when they were begun, never by timeline or position, which begin anew with a new system."""
    return sorted(sets, key=lambda one: (one.started_at, one.system_id, one.id))


def is_whole(one: BackupSet) -> bool:
    """Whether a set needs no other one."""
    return one.kind not in {CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL}


def kept_by_rules(
    usable: Sequence[BackupSet], rules: RetentionDocument, catalog: Catalog, *, now: datetime
) -> dict[str, tuple[str, ...]]:
    """The ids of the sets that some rule keeps, with every reason; ``usable`` are the sets that can be restored from.

    Window, first of each day, ISO week, month and year (in UTC, of those that have a set), newest full sets, newest proven
    set, hold; and all on which a kept one stands. Source: backup.md 4.11.
    """
    ordered, found = by_age(usable), Reasons()
    if rules.window is not None:
        words = f"needed to recover every moment of the last {format_duration(rules.window.total_seconds())}"
        _add(found, window_sets(ordered, rules, catalog, now=now), words)
    for name, span, bucket in _GROUPS:
        for one in _first_of_each(ordered, bucket, getattr(rules, name)):
            _add(found, [one], f"first of its {span}")
    whole = [one for one in ordered if is_whole(one)]
    _add(found, whole[-rules.minimum_sets :], f"one of the newest {rules.minimum_sets} full sets")
    proven = [one for one in ordered if one.proven_at is not None]
    if proven:
        newest = max(proven, key=lambda one: (one.proven_at, one.started_at, one.id))
        _add(found, [newest], "newest proven set")
    for one in ordered:
        if one.hold is not None:
            _add(found, [one], f"held: {one.hold}")
    _close(found, ordered)
    return {set_id: tuple(dict.fromkeys(reasons)) for set_id, reasons in found.items()}


def window_sets(ordered: Sequence[BackupSet], rules: RetentionDocument, catalog: Catalog, *, now: datetime) -> list[BackupSet]:
    """The newest set that ended before the window began, and all later ones, for each system that was alive in the window.

    A cluster that was rebuilt or upgraded has the sets of two systems: those of the old one are needed as long as a part of
    its life lies in the window.
    """
    if rules.window is None:
        return []
    begin = now - rules.window
    kept: list[BackupSet] = []
    systems = {one.system_id for one in ordered}
    alive = {one.system_id for one in ordered if (one.stopped_at or one.started_at) > begin}
    alive |= {log.system_id for log in catalog.logs if log.received_at > begin}
    if not alive & systems and ordered:
        alive = {ordered[-1].system_id}  # nothing came since the window began: what is newest is all that there is
    for system in sorted(systems & alive):
        own = [one for one in ordered if one.system_id == system]
        before = [one for one in own if (one.stopped_at or one.started_at) <= begin]
        anchor = max(before, key=lambda one: (one.stopped_at or one.started_at, one.id), default=None)
        kept += [one for one in own if one is anchor or (one.stopped_at or one.started_at) > begin]
    return kept


def _first_of_each(ordered: Sequence[BackupSet], bucket: Callable[[datetime], tuple[int, ...]], count: int) -> list[BackupSet]:
    firsts: dict[tuple[int, ...], BackupSet] = {}
    for one in ordered:
        firsts.setdefault(bucket(one.started_at.astimezone(UTC)), one)
    newest = sorted(firsts)[-count:] if count else []
    return [firsts[key] for key in newest]


def _add(found: Reasons, sets: Iterable[BackupSet], reason: str) -> None:
    for one in sets:
        found.setdefault(one.id, []).append(reason)


def _close(found: Reasons, ordered: Sequence[BackupSet]) -> None:
    """Keep on what kept sets stand."""
    known = {one.id: one for one in ordered}
    for set_id in list(found):
        parent = known[set_id].parent_id
        while parent is not None and parent in known:
            words = f"needed by {set_id}"
            if words in found.get(parent, []):
                break
            found.setdefault(parent, []).append(words)
            parent = known[parent].parent_id
