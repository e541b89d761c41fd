"""What people are told of an event."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from dbre.capabilities.incident.model import Change, Incident, Severity, event_data
from dbre.capabilities.incident.notice import NoticeKind, Urgency
from dbre.capabilities.incident.notices import NOTICE_KINDS, notices_of
from dbre.capabilities.incident.states import IncidentState
from dbre.core.events import Event, Subscription

_AT = datetime(2026, 11, 21, 4, tzinfo=UTC)
_INCIDENT = Incident(
    id=UUID(int=12),
    number=12,
    title="writes of orders fail",
    state=IncidentState.DETECTED,
    severity=Severity.SEV2,
    urgency="page",
    cluster="orders",
    slo="writes",
    group="",
    opened_by="dbre",
    assignee="",
    is_severity_set=False,
    started_at=_AT,
    detected_at=_AT,
    acknowledged_at=None,
    mitigated_at=None,
    resolved_at=None,
    closed_at=None,
    changed_at=_AT,
    revision=1,
)
_ALERT = {
    "alert_id": "a-7",
    "slo": "writes",
    "cluster": "orders",
    "group": "",
    "rule": "slow",
    "severity": "ticket",
    "fired_at": "2026-11-21T04:00:00Z",
    "resolved_at": None,
    "burn_rate": 3.5,
    "summary": "burns 3.5 times too fast",
}


def _event(kind: str, data: dict[str, Any], subject: str = "x") -> Event:
    return Event(id=UUID(int=5), sequence=1, kind=kind, subject=subject, at=_AT, data=data)


async def _never(event: Event) -> None:
    raise AssertionError(event)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("incident.opened", NoticeKind.OPENED),
        ("incident.reopened", NoticeKind.OPENED),
        ("incident.updated", NoticeKind.UPDATED),
        ("incident.acknowledged", NoticeKind.ACKNOWLEDGED),
        ("incident.resolved", NoticeKind.RESOLVED),
        ("incident.merged", NoticeKind.RESOLVED),
    ],
)
def test_each_event_of_an_incident_is_told_in_its_thread(kind: str, expected: NoticeKind) -> None:
    data = event_data(_INCIDENT, by="dbre", text="an alert fired", change=Change.ALERT)
    notice = notices_of(_event(kind, data), base_url="https://dbre.example/")
    assert notice is not None
    assert (notice.kind, notice.thread, notice.id) == (expected, str(_INCIDENT.id), str(UUID(int=5)))
    assert (notice.urgency, notice.severity, notice.cluster, notice.started_at) == (Urgency.PAGE, "sev2", "orders", _AT)
    assert notice.title.startswith("INC-12 ")
    assert notice.link == "https://dbre.example/incidents/12"


def test_a_ticket_alert_is_told_by_itself_and_a_page_alert_only_through_its_incident() -> None:
    notice = notices_of(_event("slo.alert_fired", _ALERT, "writes@orders"))
    assert notice is not None
    assert (notice.urgency, notice.thread, notice.kind, notice.link) == (Urgency.TICKET, "a-7", NoticeKind.OPENED, "")
    over = notices_of(_event("slo.alert_resolved", _ALERT | {"resolved_at": "2026-11-21T05:00:00Z"}, "writes@orders"))
    assert over is not None
    assert over.kind is NoticeKind.RESOLVED
    assert over.ended_at == datetime(2026, 11, 21, 5, tzinfo=UTC)
    assert notices_of(_event("slo.alert_fired", _ALERT | {"severity": "page"})) is None


def test_an_operation_that_waits_for_consent_is_told() -> None:
    data = {"operation_id": "0192", "kind": "settings.apply", "target": "cluster/orders", "actor": "alice"}
    notice = notices_of(_event("operation.awaiting_approval", data))
    assert notice is not None
    assert (notice.kind, notice.cluster, notice.thread) == (NoticeKind.APPROVAL, "orders", "0192")


def test_what_no_maker_knows_is_told_to_nobody_and_every_maker_is_subscribed_to() -> None:
    assert notices_of(_event("incident.closed", event_data(_INCIDENT, by="alice"))) is None
    assert notices_of(_event("control_plane.started", {})) is None
    subscription = Subscription(name="x", kinds=NOTICE_KINDS, handler=_never)
    for kind in ("incident.opened", "slo.alert_fired", "operation.awaiting_approval"):
        assert subscription.wants(kind)


def test_hostile_and_broken_data_make_a_notice_all_the_same() -> None:
    data = event_data(_INCIDENT, by="dbre") | {"title": "a\nb\x1b[2J" + "x" * 9_999, "urgency": "?", "resolved_at": 7}
    notice = notices_of(_event("incident.opened", data))
    assert notice is not None
    assert "\n" not in notice.title
    assert "\x1b" not in notice.title
    assert len(notice.title) <= 200
    assert notice.urgency is Urgency.PAGE  # rather too loud than unheard
    assert notice.ended_at is None


def test_an_incident_can_be_acknowledged_where_it_is_read_until_it_is_over() -> None:
    going_on = notices_of(_event("incident.opened", event_data(_INCIDENT, by="dbre")))
    over = notices_of(_event("incident.resolved", event_data(replace(_INCIDENT, resolved_at=_AT), by="dbre")))
    assert going_on is not None
    assert over is not None
    assert ("incident_ack", "INC-12") in going_on.buttons
    assert over.buttons == ()


def test_a_plan_is_approved_by_its_hash_where_it_is_read() -> None:
    data = {"kind": "settings.apply", "target": "cluster/orders", "actor": "ann", "operation_id": "7", "plan_hash": "ab12"}
    found = notices_of(_event("operation.awaiting_approval", data))
    assert found is not None
    assert found.buttons == (("operation_approve", "7 ab12"),)
