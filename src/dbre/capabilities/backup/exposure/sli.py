"""Exposure as an SLI: in every slot of ten seconds, was no more exposed than the objective allows? Unknown is bad."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.backup.exposure.model import Exposure

__all__ = ["SLOT_SECONDS", "ExposureSlot", "slot_of", "slots"]

SLOT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class ExposureSlot:
    """One event: good or bad. ``slot`` counts spans of ten seconds from 1970 on."""

    cluster: str
    slot: int
    is_good: bool


def slot_of(moment: datetime) -> int:
    """The slot that a moment lies in."""
    return int(moment.timestamp()) // SLOT_SECONDS


def slots(cluster: str, measured: Iterable[Exposure], *, first: int, last: int, limit_seconds: float) -> Sequence[ExposureSlot]:
    """One event for each slot from ``first`` to ``last``: good where something was measured, and all of it within the limit."""
    worst: dict[int, bool] = {}
    for one in measured:
        if one.cluster == cluster:
            slot = slot_of(one.at)
            worst[slot] = worst.get(slot, True) and one.is_within(limit_seconds)
    return tuple(ExposureSlot(cluster, slot, worst.get(slot, False)) for slot in range(first, last + 1))
