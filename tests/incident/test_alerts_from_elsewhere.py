"""Alerts of another system: what nobody heard of for long, what has no cluster, and what is too much to keep."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from incident_kit import START, IncidentWorld
from sqlalchemy import func, select

from dbre.capabilities.incident.delivery.alertmanager_receiver import AlertmanagerReceiver, Heard
from dbre.capabilities.incident.delivery.tables import received_alerts
from dbre.capabilities.incident.oncall.documents import AlertmanagerWebhookDocument
from dbre.core.errors import UsageError

TOKEN = "a token of more than 16 characters"
HEADERS = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def receiver(world: IncidentWorld, tmp_path: Path) -> AlertmanagerReceiver:
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    document = AlertmanagerWebhookDocument.model_validate({"token": f"file:{tmp_path / 'token'}", "stale_after": "9h"})
    return AlertmanagerReceiver(document, world.store, world.clock)


def body(*fingerprints: str, status: str = "firing", **labels: str) -> bytes:
    alerts = [
        {
            "status": status,
            "labels": {"alertname": "DiskFull", "severity": "page", **labels},
            "annotations": {"summary": "the disk is full"},
            "startsAt": START.isoformat(),
            "endsAt": (START + timedelta(minutes=1)).isoformat(),
            "fingerprint": one,
        }
        for one in fingerprints
    ]
    return json.dumps({"version": "4", "alerts": alerts}).encode()


async def stored(world: IncidentWorld) -> int:
    async with world.store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(received_alerts))).scalar() or 0)


async def test_an_alert_that_was_given_up_and_is_told_again_fires_again(
    world: IncidentWorld, receiver: AlertmanagerReceiver
) -> None:
    await receiver.handle(body("f1"), HEADERS)
    await world.clock.advance(10 * 3600)  # the Alertmanager, or we, were away for long
    assert await receiver.end_stale() == 1
    assert await receiver.handle(body("f1"), HEADERS) == Heard(fired=1, resolved=0, known=0)
    assert await receiver.handle(body("f1"), HEADERS) == Heard(fired=0, resolved=0, known=1)
    first, second = await world.events("alertmanager.alert_fired")
    assert first.data["alert_id"] != second.data["alert_id"]  # its first incident is over: it opens one anew
    assert await receiver.handle(body("f1", status="resolved"), HEADERS) == Heard(fired=0, resolved=1, known=0)
    assert await receiver.handle(body("f1"), HEADERS) == Heard(fired=0, resolved=0, known=1)  # overtaken by its end
    (_, over) = await world.events("alertmanager.alert_resolved")
    assert over.data["alert_id"] == second.data["alert_id"]


async def test_alerts_that_are_long_over_are_forgotten(world: IncidentWorld, receiver: AlertmanagerReceiver) -> None:
    await receiver.handle(body("f1", "f2"), HEADERS)
    await receiver.handle(body("f1", status="resolved"), HEADERS)
    await world.clock.advance(20 * 86_400)
    await receiver.handle(body("f2"), HEADERS)
    await world.clock.advance(8 * 3600)
    await world.clock.advance(11 * 86_400)
    await receiver.handle(body("f2"), HEADERS)
    await receiver.forget()
    assert await stored(world) == 1  # what fires is kept


async def test_an_alert_without_a_cluster_is_written_into_its_own_incident_only(world: IncidentWorld) -> None:
    await world.fire("a1")
    told: dict[str, Any] = world.alert("b1", cluster="", slo="", rule="DiskFull", summary="of another team")
    await world.happen("alertmanager.alert_fired", "DiskFull", told)
    over = told | {"resolved_at": world.clock.now().isoformat()}
    await world.happen("alertmanager.alert_resolved", "DiskFull", over)
    assert [one.text for one in await world.timeline("INC-1") if "DiskFull" in one.text] == []
    assert len([one for one in await world.timeline("INC-2") if "DiskFull" in one.text]) == 2


async def test_a_page_opens_its_incident_also_where_its_beginning_cannot_be_measured(
    world: IncidentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def began(**_: Any) -> datetime | None:
        raise UsageError("there is no such SLO any more")

    monkeypatch.setattr(world.impact, "began", began)
    await world.fire("a1")
    assert [one.started_at for one in await world.incidents()] == [START]
