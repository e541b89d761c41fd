"""What one drill is to bring back, chosen once and kept with its operation."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from dbre.capabilities.backup.catalog.positions import position_of, position_value
from dbre.ports.backup.model import LogPosition, RecoveryTarget, TargetKind

__all__ = ["DrillOrder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOrder:
    """One drill. ``asked_at`` is when the disaster is supposed to have happened."""

    id: UUID
    cluster: str
    target: RecoveryTarget
    position: LogPosition | None  # of a target that is a position
    set_id: str | None  # start from this set; None: the planner chooses
    mode: str  # faithful, fast
    asked_at: datetime

    def document(self) -> dict[str, Any]:
        """As JSON, for the result of a step."""
        return {
            "id": str(self.id),
            "cluster": self.cluster,
            "target_kind": self.target.kind.value,
            "at": self.target.at.isoformat() if self.target.at else None,
            "value": self.target.value,
            "timeline": self.target.timeline,
            "position": position_value(self.position),
            "set_id": self.set_id,
            "mode": self.mode,
            "asked_at": self.asked_at.isoformat(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "DrillOrder":
        """Read what ``document`` wrote."""
        return cls(
            id=UUID(document["id"]),
            cluster=document["cluster"],
            target=RecoveryTarget(
                kind=TargetKind(document["target_kind"]),
                at=datetime.fromisoformat(document["at"]) if document["at"] else None,
                value=document["value"],
                timeline=document["timeline"],
            ),
            position=position_of(document["position"]),
            set_id=document["set_id"],
            mode=document["mode"],
            asked_at=datetime.fromisoformat(document["asked_at"]),
        )

    @property
    def target_value(self) -> str | None:
        """The target's value in words."""
        return self.target.at.astimezone(UTC).isoformat() if self.target.at is not None else self.target.value
