"""What is recorded in the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["AuditDraft", "AuditRecorder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDraft:
    """Something that somebody did, to be recorded in the transaction that does it. The moment and the index are added there."""

    action: str  # dotted, lower case: operation.submitted, operation.step_done, gate.overridden, identity.login_refused
    actor: str  # name of a principal
    subject: str  # what it was done to: operation/0192..., cluster/orders
    data: Mapping[str, Any] = field(default_factory=dict)  # JSON without secrets and without personal data


class AuditRecorder(Protocol):
    """Who appends to the log; ``AuditLog`` does."""

    async def record(self, connection: "AsyncConnection", *drafts: AuditDraft) -> None:
        """Append in the caller's transaction: both are committed, or neither."""
        ...
