"""The files of a pack that tell what happened, from the journal."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from dbre.core.operation.evidence.redacting import moment, redacted
from dbre.core.operation.model import OperationRecord, StepRecord
from dbre.core.operation.states import StepPhase

__all__ = ["pretty", "story_files"]

_TEXTS = ("reason", "abort_reason", "tuning", "error", "outcome")  # what handlers, servers and people wrote


def pretty(document: Mapping[str, Any]) -> bytes:
    """JSON for people, always with the same bytes."""
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def story_files(record: OperationRecord, *, slo: Mapping[str, Any] | None = None) -> dict[str, bytes]:
    """What the journal says of an operation (read with ``reading.load``); the same record gives the same bytes."""
    files = {
        "operation.json": pretty(_operation(record)),
        "steps.jsonl": b"".join(_line(_step(one)) for one in record.steps),
        "gates.json": pretty(
            {
                "api_version": "dbre/v1",
                "kind": "OperationGates",
                "decisions": _plain(record.gates, free=("reason", "evidence")),
                "overrides": _plain(record.overrides, free=("reason", "ticket")),
            }
        ),
        "approvals.json": pretty(
            {"api_version": "dbre/v1", "kind": "OperationApprovals", "items": _plain(record.approvals, free=("comment",))}
        ),
        "snapshots.json": pretty(_snapshots(record)),
    }
    if slo is not None:
        files["slo.json"] = pretty({"api_version": "dbre/v1", "kind": "OperationSlo", **redacted(slo)})
    return files


def _operation(record: OperationRecord) -> dict[str, Any]:
    facts: dict[str, Any] = {
        name: _value(getattr(record, name))
        for name in (
            "id", "plan_hash", "state", "requested_by", "attempt", "owner", "zone", "priority", "dedup_key", "parent_id",
            "created_at", "not_before", "deadline", "started_at", "ended_at", "cancel_requested_by",
        )
    }  # fmt: skip
    texts = {name: redacted(getattr(record, name)) for name in _TEXTS}
    return {
        "api_version": "dbre/v1",
        "kind": "OperationEvidence",
        "operation": record.planned.kind,
        "definition_version": record.planned.definition_version,
        "target": record.planned.plan.target,
        "summary": redacted(record.planned.plan.summary),
        "is_complete": record.is_final,
        "hold": None if record.hold is None else _plain([record.hold], free=("reason",))[0],
        "resolutions": _plain(record.resolutions, free=("reason",)),
        **facts,
        **texts,
    }


def _step(one: StepRecord) -> dict[str, Any]:
    return _plain([one], free=("result", "error", "progress", "notes"))[0]


def _snapshots(record: OperationRecord) -> dict[str, Any]:
    plan = record.planned.plan
    done = [one for one in record.steps if one.phase is StepPhase.DO]
    looked = [one for one in record.steps if one.phase is StepPhase.VERIFY]
    return {
        "api_version": "dbre/v1",
        "kind": "OperationSnapshots",
        "before": redacted(dict(plan.observed)),
        "planned_changes": redacted([asdict(one) for one in plan.changes]),
        "after": {one.name: redacted(one.result) for one in done},
        "verification": [redacted(one.result) for one in looked],
    }


def _plain(records: Iterable[Any], *, free: tuple[str, ...]) -> list[dict[str, Any]]:
    """Records as JSON; ``free`` names the fields that hold text or data from elsewhere, which may hold secrets."""
    return [{name: redacted(one) if name in free else _value(one) for name, one in asdict(each).items()} for each in records]


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, UUID):
        return str(value)
    return value.value if isinstance(value, Enum) else value


def _line(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace")
