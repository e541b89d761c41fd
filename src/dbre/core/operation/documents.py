"""Operations and previews as JSON documents, and back: what the API, the command line and everything on top of them read."""

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from dbre.core.errors import DbreError
from dbre.core.gates.model import GateDecision
from dbre.core.operation.desk import Preview
from dbre.core.operation.model import Approval, GateRecord, Hold, OperationRecord, Override, Resolved, StepRecord
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.states import OperationState

__all__ = [
    "DocumentUnreadable",
    "operation_document",
    "operation_from_document",
    "plan_document",
    "preview_document",
    "preview_from_document",
]

Record = TypeVar("Record")
_PARTS: Mapping[str, type] = {
    "steps": StepRecord,
    "approvals": Approval,
    "overrides": Override,
    "gates": GateRecord,
    "resolutions": Resolved,
}
_PLAIN = (
    "requested_by", "reason", "attempt", "owner", "zone", "priority", "dedup_key", "parent_id", "created_at", "not_before",
    "deadline", "started_at", "ended_at", "cancel_requested_by", "abort_reason", "tuning", "error", "outcome",
)  # fmt: skip


class DocumentUnreadable(DbreError):
    """A document that another dbre wrote lacks something that this one needs."""

    code = "operation.document_unreadable"


def plan_document(planned: PlannedOperation) -> dict[str, Any]:
    """The plan with its hash: what is reviewed, kept in a file and submitted."""
    return planned.document() | {"plan_hash": planned.hash}


def operation_document(record: OperationRecord) -> dict[str, Any]:
    """Everything that is known of an operation; unknown is null, moments are UTC as RFC 3339."""
    plan = record.planned.plan
    return {
        "id": str(record.id),
        "operation": record.planned.kind,
        "target": plan.target,
        "summary": plan.summary,
        "risk": plan.risk.value,
        "state": record.state.value,
        "is_final": record.is_final,
        "exit_code": int(record.exit_code),
        "plan_hash": record.plan_hash,
        **{name: _plain(getattr(record, name)) for name in _PLAIN},
        "hold": _plain(record.hold),
        **{name: _plain(getattr(record, name)) for name in _PARTS},
        "plan": record.planned.document(),
    }


def operation_from_document(document: Mapping[str, Any]) -> OperationRecord:
    """Read what ``operation_document`` wrote; keys that a newer dbre added are ignored. Raises: DocumentUnreadable."""
    try:
        journal: dict[str, Any] = {name: tuple(_record(shape, one) for one in document[name]) for name, shape in _PARTS.items()}
        return OperationRecord(
            id=UUID(document["id"]),
            planned=PlannedOperation.from_document(document["plan"]),
            plan_hash=str(document["plan_hash"]),
            state=OperationState(document["state"]),
            hold=None if document["hold"] is None else _record(Hold, document["hold"]),
            **journal,
            **_plain_fields(document),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentUnreadable(
            f"the document of an operation cannot be read: {_why(error)}",
            hint="client and control plane should have the same version: dbre version",
        ) from error


def preview_document(preview: Preview) -> dict[str, Any]:
    """A plan with its hash and what the gates say of it now."""
    return {
        "plan": plan_document(preview.planned),
        "decisions": [_plain(one) for one in preview.decisions],
        "approvals_needed": preview.approvals_needed,
    }


def preview_from_document(document: Mapping[str, Any]) -> Preview:
    """Read what ``preview_document`` wrote. Raises: DocumentUnreadable."""
    try:
        return Preview(
            planned=PlannedOperation.from_document(document["plan"]),
            decisions=tuple(_record(GateDecision, one) for one in document["decisions"]),
            approvals_needed=int(document["approvals_needed"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentUnreadable(
            f"the document of a plan cannot be read: {_why(error)}",
            hint="client and control plane should have the same version: dbre version",
        ) from error


def _record(shape: type[Record], document: Mapping[str, Any]) -> Record:
    return TypeAdapter(shape).validate_python({str(key): value for key, value in document.items()})


def _plain_fields(document: Mapping[str, Any]) -> dict[str, Any]:
    moments = {"created_at", "not_before", "deadline", "started_at", "ended_at"}
    given = {name: document[name] for name in _PLAIN}
    given |= {name: None if given[name] is None else datetime.fromisoformat(given[name]) for name in moments}
    return given | {"parent_id": None if given["parent_id"] is None else UUID(given["parent_id"])}


def _why(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_input=False)[:3])
    return f"no {error}" if isinstance(error, KeyError) else str(error)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
