"""A schedule, and how far it has come."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from dbre.core.operation.schedule.slots import Cron

__all__ = ["Misfire", "Schedule", "ScheduleState", "Skipped"]


class Misfire(StrEnum):
    """What becomes of slots that nobody scheduled in time."""

    RUN_ONCE = "run_once"  # the last of them runs late; the others are skipped
    SKIP = "skip"  # all are skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One operation that begins by the calendar."""

    name: str
    cron: Cron
    kind: str
    input: Mapping[str, Any] = field(default_factory=dict)
    jitter: timedelta = timedelta(0)
    misfire: Misfire = Misfire.RUN_ONCE
    misfire_grace: timedelta = timedelta(minutes=5)
    priority: int = 4
    zone: str | None = None
    is_enabled: bool = True
    confirm: str | None = None  # what a severe operation asks to be typed

    @property
    def actor(self) -> str:
        """Name of the principal that submits its operations."""
        return f"schedule:{self.name}"

    @property
    def definition(self) -> str:
        """Expression and zone: where they change, what was missed by the old ones does not count for the new ones."""
        return f"{self.cron.expression} {self.cron.zone.key}"

    def dedup_key(self, slot: datetime) -> str:
        """One operation a slot, whoever submits it: ``schedule:nightly:2026-11-21T02:30Z``."""
        return f"schedule:{self.name}:{slot.astimezone(UTC):%Y-%m-%dT%H:%MZ}"

    def begins_at(self, slot: datetime) -> datetime:
        """When a slot's operation is submitted: later by the jitter, which every scheduler draws alike."""
        digest = hashlib.sha256(self.dedup_key(slot).encode()).digest()
        return slot + self.jitter * (int.from_bytes(digest[:8], "big") / 2**64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Slots that were not run."""

    slot: datetime  # the last of them
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """How far a schedule has come."""

    name: str
    definition: str | None
    last_slot: datetime | None  # the last one of which it was decided whether to run
    last_operation_id: UUID | None
    last_skipped: Skipped | None
    is_suspended: bool
    suspended_by: str | None
