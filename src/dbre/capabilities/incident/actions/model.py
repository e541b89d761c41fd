"""An action item: what, of which kind, by whom, until when."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

__all__ = ["ActionItem", "ActionKind", "ActionState"]


class ActionKind(StrEnum):
    """What the item does about the next incident of its kind."""

    PREVENT = "prevent"
    DETECT = "detect"
    MITIGATE = "mitigate"


class ActionState(StrEnum):
    """How far it has come."""

    OPEN = "open"
    DONE = "done"
    DROPPED = "dropped"  # decided against, with a reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionItem:
    """One item; ``name`` is how people call it."""

    incident_id: UUID
    incident: str  # INC-12
    number: int
    title: str
    kind: ActionKind
    owner: str
    due: date
    state: ActionState
    reference: str  # a ticket elsewhere
    created_at: datetime
    created_by: str
    ended_at: datetime | None
    ended_by: str
    ended_note: str

    @property
    def name(self) -> str:
        """``INC-12/3``."""
        return f"{self.incident}/{self.number}"

    def is_overdue(self, today: date) -> bool:
        """Whether it is still open after its day."""
        return self.state is ActionState.OPEN and today > self.due
