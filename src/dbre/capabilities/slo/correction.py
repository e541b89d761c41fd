"""Times that do not count towards a budget: which slots they are, for which instances."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.slo.definition import SloInstance, instance_id
from dbre.capabilities.slo.series import SLOT_SECONDS, slot_at, slot_start

__all__ = ["STEP_SLOTS", "Correction", "Interval", "intervals_of", "slots_between"]

STEP_SLOTS = 60 // SLOT_SECONDS
"""Corrections take whole minutes, so that what is rolled up by the minute can still be corrected."""

Interval = tuple[int, int]
"""Slots ``[start, end)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """One time that does not count; ``group`` empty: for all groups."""

    id: str
    slo: str
    cluster: str
    group: str
    start_slot: int
    end_slot: int
    reason: str
    operation_id: str | None
    created_by: str
    created_at: datetime
    revoked_by: str | None = None
    revoked_at: datetime | None = None

    @property
    def instance(self) -> str:
        """What it corrects: ``slo@cluster`` or ``slo@cluster/group``."""
        return instance_id(self.slo, self.cluster, self.group)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return slot_start(self.start_slot)

    @property
    def end(self) -> datetime:
        """The moment behind its last."""
        return slot_start(self.end_slot)

    @property
    def seconds(self) -> int:
        """How long it is."""
        return (self.end_slot - self.start_slot) * SLOT_SECONDS

    def covers(self, instance: SloInstance) -> bool:
        """Whether it is about an instance."""
        is_same = (self.slo, self.cluster) == (instance.definition.name, instance.cluster.name)
        return is_same and self.revoked_at is None and self.group in ("", instance.group)


def slots_between(start: datetime, end: datetime) -> Interval:
    """The whole minutes that hold a time.

    >>> from datetime import UTC
    >>> slots_between(datetime(1970, 1, 1, 0, 0, 59, tzinfo=UTC), datetime(1970, 1, 1, 0, 1, 1, tzinfo=UTC))
    (0, 12)
    """
    return slot_at(start) // STEP_SLOTS * STEP_SLOTS, -(
        -(slot_at(end) + (slot_start(slot_at(end)) < end)) // STEP_SLOTS
    ) * STEP_SLOTS


def intervals_of(corrections: Iterable[Correction], instance: SloInstance) -> tuple[Interval, ...]:
    """The slots of an instance that do not count, in order, joined where they touch."""
    return joined([(one.start_slot, one.end_slot) for one in corrections if one.covers(instance)])


def joined(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """Intervals in order, without overlap."""
    found: list[Interval] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], high)
        elif low < high:
            found.append((low, high))
    return tuple(found)
