"""What people and clocks want of an operation that runs: cancel, pause, other values, an end in time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, RowMapping

from dbre.core.operation import tables
from dbre.core.operation.model import Hold

__all__ = ["FLAG_COLUMNS", "Flags", "flags_in", "flags_of"]

_row = tables.operation.c
FLAG_COLUMNS = (
    _row.id,
    _row.owner,
    _row.attempt,
    _row.cancel_requested_by,
    _row.abort_reason,
    _row.pause_requested_by,
    _row.pause_reason,
    _row.deadline,
    _row.tuning,
)
"""What ``flags_of`` needs of an operation's row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """What others have written into an operation's row."""

    owner: str | None
    attempt: int
    cancel_requested_by: str | None
    abort_reason: str | None
    pause_requested_by: str | None
    pause_reason: str | None
    deadline: datetime | None
    tuning: Mapping[str, Any]

    def abort(self, now: datetime) -> str | None:
        """Why the operation is to end early: somebody cancels it, or its deadline has passed. None: it is not."""
        if self.cancel_requested_by is not None:
            return self.abort_reason or f"cancelled by {self.cancel_requested_by}"
        if self.deadline is not None and now >= self.deadline:
            return f"the deadline {self.deadline:%Y-%m-%d %H:%M:%S} UTC has passed"
        return None

    def pause(self, since: datetime) -> Hold | None:
        """Who wants it to stand still, and why. None: nobody."""
        person = self.pause_requested_by
        return (
            Hold(by=person, is_gate=False, reason=self.pause_reason or f"paused by {person}", since=since) if person else None
        )


def flags_of(row: RowMapping) -> Flags:
    """A row that was selected with ``FLAG_COLUMNS``."""
    return Flags(**{name: value for name, value in row.items() if name != "id"})


def flags_in(row: Row[Any]) -> Flags:
    """From a whole row of the table."""
    return Flags(**{column.name: getattr(row, column.name) for column in FLAG_COLUMNS if column.name != "id"})
