"""From events to what people are told: a pure function, so that every channel says the same."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency
from dbre.capabilities.incident.states import ENDED, IncidentState
from dbre.core.events import Event
from dbre.core.moments import moment_from
from dbre.core.text import one_line

__all__ = ["NOTICE_KINDS", "notices_of"]

NOTICE_KINDS = ("incident.*", "slo.alert_fired", "slo.alert_resolved", "operation.awaiting_approval")
"""The kinds of event from which a notice may come."""

_AFTERWARDS = frozenset(one.value for one in ENDED | {IncidentState.MERGED})
_TITLE = 200
_TEXT = 4_000


def notices_of(event: Event, *, base_url: str = "") -> Notice | None:
    """The notice of one event, or None where nobody is to be told.

    ``base_url`` is where people reach the control plane; empty: notices have no link. A page alert makes no notice of its
    own: the incident that it opens does. The id is that of the event, so that a repeated delivery is recognised.
    """
    make = _MAKERS.get(event.kind)
    return None if make is None else make(event, base_url.rstrip("/"))


def _incident(kind: NoticeKind, head: str) -> Callable[[Event, str], Notice]:
    def make(event: Event, base_url: str) -> Notice:
        data = event.data
        name = _text(data, "name")
        is_after_the_end = kind is NoticeKind.UPDATED and data.get("state") in _AFTERWARDS
        return Notice(
            id=str(event.id),
            kind=kind,
            urgency=Urgency.TICKET if is_after_the_end else _urgency(data.get("urgency")),  # a postmortem wakes nobody
            thread=_text(data, "incident_id"),
            title=one_line(f"{name} {head}: {_text(data, 'title')}", limit=_TITLE),
            text=_text(data, "text")[:_TEXT],
            at=event.at,
            cluster=_text(data, "cluster"),
            slo=_text(data, "slo"),
            severity=_text(data, "severity"),
            facts=_facts(data, ("state", "severity", "cluster", "slo", "group", "assignee", "by")),
            link=f"{base_url}/incidents/{data.get('number')}" if base_url else "",
            started_at=_moment(data, "started_at"),
            ended_at=_moment(data, "resolved_at") or (event.at if is_after_the_end else None),
            buttons=() if data.get("resolved_at") else (("incident_ack", name), ("incident_status", name)),
        )

    return make


def _ticket(kind: NoticeKind, head: str) -> Callable[[Event, str], Notice | None]:
    def make(event: Event, base_url: str) -> Notice | None:
        data = event.data
        if data.get("severity") != Urgency.TICKET:
            return None
        return Notice(
            id=str(event.id),
            kind=kind,
            urgency=Urgency.TICKET,
            thread=_text(data, "alert_id"),
            title=one_line(f"{event.subject} {head}: rule {_text(data, 'rule')}", limit=_TITLE),
            text=_text(data, "summary")[:_TEXT],
            at=event.at,
            cluster=_text(data, "cluster"),
            slo=_text(data, "slo"),
            facts=_facts(data, ("rule", "cluster", "slo", "group", "burn_rate", "budget_remaining_ratio")),
            link=f"{base_url}/slo/{_path(data, 'slo')}/{_path(data, 'cluster')}" if base_url else "",
            started_at=_moment(data, "fired_at"),
            ended_at=_moment(data, "resolved_at"),
        )

    return make


def _approval(event: Event, base_url: str) -> Notice:
    data = event.data
    operation = _text(data, "operation_id")
    return Notice(
        id=str(event.id),
        kind=NoticeKind.APPROVAL,
        urgency=Urgency.TICKET,
        thread=operation,
        title=one_line(f"{_text(data, 'kind')} of {_text(data, 'target')} waits for approval", limit=_TITLE),
        text=f"asked for by {_text(data, 'actor')}; dbre op approve {operation}",
        at=event.at,
        cluster=_cluster(_text(data, "target")),
        facts=_facts(data, ("kind", "target", "actor", "operation_id")),
        link=f"{base_url}/operations/{operation}" if base_url else "",
        buttons=(("operation_approve", f"{operation} {_text(data, 'plan_hash')}"),) if data.get("plan_hash") else (),
        started_at=event.at,
    )


def _cluster(target: str) -> str:
    head, _, rest = target.partition("/")
    return rest.partition("/")[0] if head == "cluster" else ""


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return "" if value is None else str(value)


def _path(data: Mapping[str, Any], key: str) -> str:
    return quote(_text(data, key), safe="")


def _moment(data: Mapping[str, Any], key: str) -> datetime | None:
    return moment_from(data.get(key))


def _urgency(value: object) -> Urgency:
    return Urgency.TICKET if value == Urgency.TICKET else Urgency.PAGE  # what cannot be read is rather too loud than unheard


def _facts(data: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple((key, one_line(str(data[key]))) for key in keys if data.get(key) not in (None, ""))


_MAKERS: Mapping[str, Callable[[Event, str], Notice | None]] = {
    "incident.opened": _incident(NoticeKind.OPENED, "opened"),
    "incident.reopened": _incident(NoticeKind.OPENED, "opened again"),
    "incident.updated": _incident(NoticeKind.UPDATED, "changed"),
    "incident.acknowledged": _incident(NoticeKind.ACKNOWLEDGED, "acknowledged"),
    "incident.resolved": _incident(NoticeKind.RESOLVED, "resolved"),
    "incident.merged": _incident(NoticeKind.RESOLVED, "merged into another incident"),
    "slo.alert_fired": _ticket(NoticeKind.OPENED, "burns its budget"),
    "slo.alert_resolved": _ticket(NoticeKind.RESOLVED, "recovered"),
    "operation.awaiting_approval": _approval,
}
