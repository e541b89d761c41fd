"""Incidents as rows of commands and of the API."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction

from dbre.capabilities.incident.actions.model import ActionItem
from dbre.capabilities.incident.impact import Spent
from dbre.capabilities.incident.model import Incident, IncidentAlert, TimelineEntry, rfc3339
from dbre.capabilities.incident.states import next_states
from dbre.core.view import Row

__all__ = ["action_row", "alert_row", "cost_row", "entry_row", "incident_row"]


def incident_row(one: Incident, *, now: datetime, costs: Sequence[Spent] = ()) -> dict[str, object]:
    """One incident; spans are in seconds, unknown is None."""
    end = one.resolved_at or (now if one.is_open else None)
    shares = [cost.consumed for cost in costs if cost.consumed is not None]
    return {
        "name": one.name,
        "id": str(one.id),
        "title": one.title,
        "state": one.state.value,
        "severity": one.severity.value,
        "urgency": one.urgency,
        "cluster": one.cluster or None,
        "slo": one.slo or None,
        "group": one.group or None,
        "opened_by": one.opened_by,
        "assignee": one.assignee or None,
        "started_at": rfc3339(one.started_at),
        "detected_at": rfc3339(one.detected_at),
        "acknowledged_at": _text(one.acknowledged_at),
        "mitigated_at": _text(one.mitigated_at),
        "resolved_at": _text(one.resolved_at),
        "closed_at": _text(one.closed_at),
        "is_open": one.is_open,
        "duration_seconds": None if end is None else (end - one.started_at).total_seconds(),
        "detect_seconds": (one.detected_at - one.started_at).total_seconds(),
        "acknowledge_seconds": _since(one.detected_at, one.acknowledged_at),
        "budget_consumed_ratio": float(max(shares)) if shares else None,
        "bad_events": sum(cost.bad for cost in costs),
        "merged_into": None if one.merged_into is None else str(one.merged_into),
        "reopened_count": one.reopened_count,
        "has_data_loss": one.has_data_loss,
        "root_cause": one.root_cause or None,
        "next_states": [state.value for state in next_states(one.state)],
    }


def entry_row(one: TimelineEntry) -> dict[str, object]:
    """One line of a timeline."""
    return {
        "at": rfc3339(one.at),
        "recorded_at": rfc3339(one.recorded_at),
        "kind": one.kind.value,
        "actor": one.actor or None,
        "text": one.text,
        "details": dict(one.details),
    }


def alert_row(one: IncidentAlert) -> dict[str, object]:
    """One alert of an incident."""
    return {
        "alert_id": one.alert_id,
        "instance": one.instance,
        "rule": one.rule,
        "severity": one.severity,
        "burn_rate": one.burn_rate,
        "fired_at": rfc3339(one.fired_at),
        "resolved_at": _text(one.resolved_at),
    }


def cost_row(one: Spent) -> Row:
    """What one SLO counted."""
    share: Fraction | None = one.consumed
    return {
        "instance": one.instance,
        "good": one.good,
        "bad": one.bad,
        "consumed_ratio": None if share is None else float(share),
        "consumed_exact": None if share is None else str(share),
    }


def action_row(one: ActionItem, *, now: datetime) -> dict[str, object]:
    """One action item."""
    return {
        "name": one.name,
        "incident": one.incident,
        "title": one.title,
        "kind": one.kind.value,
        "owner": one.owner,
        "due": one.due.isoformat(),
        "state": one.state.value,
        "is_overdue": one.is_overdue(now.date()),
        "reference": one.reference or None,
        "created_at": rfc3339(one.created_at),
        "created_by": one.created_by,
        "ended_at": _text(one.ended_at),
        "ended_by": one.ended_by or None,
        "ended_note": one.ended_note or None,
    }


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(moment)


def _since(start: datetime, end: datetime | None) -> float | None:
    return None if end is None else (end - start).total_seconds()
