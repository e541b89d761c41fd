"""From things that happened in the fleet to lines of a timeline: pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.incident.ledger import Entry
from dbre.capabilities.incident.model import TimelineKind
from dbre.core.events import Event
from dbre.core.moments import moment_from
from dbre.core.operation.target_labels import cluster_of
from dbre.core.text import one_line

__all__ = ["TIMELINE_KINDS", "Happening", "happening_of"]

TIMELINE_KINDS = (
    "slo.*",
    "alertmanager.*",
    "observe.endpoint_good",
    "observe.endpoint_bad",
    "observe.role_changed",
    "operation.*",
    "deploy.*",
    "core.clock_stepped",
    "notice.*",
    "oncall.*",
)
"""The kinds of event that may get a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A line, and where it belongs: to the incidents of a cluster, to one incident, or (nothing named) to all that are open."""

    entry: Entry
    actor: str = ""
    cluster: str | None = None
    incident_id: str | None = None
    alert_id: str | None = None  # of an alert of no cluster: it belongs to the incident that the alert does


def happening_of(event: Event) -> Happening | None:
    """The line for an event; None: it says nothing about an incident. The event's id is the line's key."""
    for prefix, make in _MAKERS:
        if event.kind == prefix or (prefix.endswith(".") and event.kind.startswith(prefix)):
            return make(event)
    return None


def _entry(event: Event, kind: TimelineKind, text: str, **details: Any) -> Entry:
    at = moment_from(event.data.get("scheduled_at")) or event.at  # a probe's slot, not the moment of its being told
    shown = one_line(text, limit=500)
    return Entry(text=shown, kind=kind, at=at, key=str(event.id), details={"event": event.kind} | details)


def _alert(event: Event) -> Happening:
    data = event.data
    verb = "fired" if event.kind.endswith("_fired") else "is over"
    text = f"{data.get('severity')} alert {data.get('rule')} of {event.subject} {verb}"
    details = {key: data.get(key) for key in ("alert_id", "burn_rate", "threshold", "budget_remaining_ratio")}
    entry, cluster = _entry(event, TimelineKind.ALERT, text, **details), _word(data, "cluster")
    return Happening(entry=entry, cluster=cluster, alert_id=None if cluster else str(data.get("alert_id")))


def _endpoint(event: Event) -> Happening:
    data = event.data
    where = f"{data.get('cluster')} {data.get('purpose')}"
    if event.kind.endswith("good"):
        text = f"probe of {where} is good again on {data.get('instance')}"
    else:
        text = f"probe of {where} is {data.get('outcome')}: {data.get('reason') or data.get('code') or 'no reason is known'}"
    details = {key: data.get(key) for key in ("outcome", "before", "code", "instance")}
    return Happening(entry=_entry(event, TimelineKind.PROBE, text, **details), cluster=_word(data, "cluster"))


def _role(event: Event) -> Happening:
    data = event.data
    text = (
        f"{data.get('cluster')} {data.get('purpose')} moved from {data.get('before_instance')} ({data.get('before_role')})"
        f" to {data.get('instance')} ({data.get('role')})"
    )
    if data.get("before_system_id") and data.get("before_system_id") != data.get("system_id"):
        text += "; it is another database system"
    return Happening(entry=_entry(event, TimelineKind.ROLE, text), cluster=_word(data, "cluster"))


def _operation(event: Event) -> Happening:
    data = event.data
    state, target = str(data.get("state", "")).replace("_", " "), str(data.get("target", ""))
    text = f"operation {data.get('kind')} on {target}: {state}"
    entry = _entry(event, TimelineKind.OPERATION, text, operation_id=data.get("operation_id"), state=data.get("state"))
    return Happening(entry=entry, actor=_word(data, "actor") or "", cluster=cluster_of(target))


def _deploy(event: Event) -> Happening:
    data = event.data
    text = f"deploy of {data.get('what')} {data.get('version') or ''}".rstrip()
    if data.get("note"):
        text += f": {data['note']}"
    return Happening(
        entry=_entry(event, TimelineKind.DEPLOY, text), actor=_word(data, "by") or "", cluster=_word(data, "cluster")
    )


def _clock(event: Event) -> Happening:
    return Happening(entry=_entry(event, TimelineKind.TELEMETRY, "the clock of the control plane jumped"))


def _notice(event: Event) -> Happening | None:
    """Notifications: whichever event of telling people names the thread, which is the incident's id."""
    data = event.data
    thread = _word(data, "incident_id") or _word(data, "thread")
    if thread is None:
        return None
    step = data.get("step")
    if isinstance(step, dict):
        data = {**data, **step}
    words = [event.kind.replace(".", " ").replace("_", " ")]
    words += [
        f"{key} {_listed(data[key])}"
        for key in ("reason", "channel", "contact", "level", "people")
        if data.get(key) not in (None, "", [])
    ]
    return Happening(entry=_entry(event, TimelineKind.NOTIFICATION, ", ".join(words)), incident_id=thread)


def _listed(value: object) -> str:
    return " and ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _word(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    return value if isinstance(value, str) and value else None


_MAKERS: tuple[tuple[str, Callable[[Event], Happening | None]], ...] = (
    ("slo.alert_fired", _alert),
    ("slo.alert_resolved", _alert),
    ("alertmanager.alert_fired", _alert),
    ("alertmanager.alert_resolved", _alert),
    ("observe.endpoint_good", _endpoint),
    ("observe.endpoint_bad", _endpoint),
    ("observe.role_changed", _role),
    ("operation.", _operation),
    ("deploy.", _deploy),
    ("core.clock_stepped", _clock),
    ("notice.", _notice),
    ("oncall.", _notice),
)
