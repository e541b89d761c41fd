"""What a restore is asked: the input of the operation, as JSON."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from dbre.capabilities.backup.restoring.target import TargetText
from dbre.ports.backup.model import RecoveryTarget, TargetKind

__all__ = ["RestoreInput", "TargetInput", "target_input"]

_Text = Annotated[str, Field(min_length=1, max_length=200)]


class TargetInput(BaseModel):
    """Up to where; as the command read it, so that a moment is a moment and no text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: TargetKind
    at: AwareDatetime | None = None
    value: _Text | None = None
    is_inclusive: bool = True
    timeline: Annotated[int, Field(ge=1)] | None = None

    def target(self) -> RecoveryTarget:
        """The target as engines know it."""
        return RecoveryTarget(
            kind=self.kind, at=self.at, value=self.value, is_inclusive=self.is_inclusive, timeline=self.timeline
        )

    def text(self) -> TargetText:
        """The target as it is read again: what an API was given is held to the same rules as a command."""
        texts = {TargetKind.POSITION: "position", TargetKind.TRANSACTION: "transaction", TargetKind.NAME: "name"}
        given: dict[str, Any] = {texts[self.kind]: self.value or ""} if self.kind in texts else {}
        return TargetText(
            to=_iso(self.at) if self.kind is TargetKind.TIME else None,
            latest=self.kind is TargetKind.LATEST,
            immediate=self.kind is TargetKind.IMMEDIATE,
            timeline=self.timeline,
            is_inclusive=self.is_inclusive,
            **given,
        )


class RestoreInput(BaseModel):
    """Which cluster, up to where, into which directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: _Text
    target: TargetInput
    directory: Annotated[str, Field(min_length=2, max_length=4_000, pattern=r"^/")]
    vault: _Text | None = None
    set: _Text | None = None
    accept_loss: bool = False
    check: bool = False


def target_input(target: RecoveryTarget) -> dict[str, Any]:
    """A target as the document holds it."""
    return {
        "kind": target.kind.value,
        "at": _iso(target.at),
        "value": target.value,
        "is_inclusive": target.is_inclusive,
        "timeline": target.timeline,
    }


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
