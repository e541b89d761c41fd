"""Alerts to a real Alertmanager, and webhooks from one."""

import asyncio
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from incident_kit import FLEET, IncidentWorld
from pydantic import TypeAdapter
from service_doubles import Answer, Call, must, service

from dbre.capabilities.incident.channels.documents import AlertmanagerDocument
from dbre.capabilities.incident.delivery.alertmanager_feed import AlertmanagerFeed
from dbre.capabilities.incident.delivery.alertmanager_receiver import AlertmanagerReceiver, Heard
from dbre.capabilities.incident.delivery.handler import DeliveryGround
from dbre.capabilities.incident.errors import HookInvalid, HookRefused
from dbre.capabilities.incident.oncall.documents import AlertmanagerWebhookDocument, OnCallDocument
from dbre.capabilities.incident.oncall.people import directory_of
from dbre.core.clock import SystemClock
from dbre.core.errors import Unreachable
from dbre.core.events import DeliveryRefused, Event
from dbre.lab.alertmanager import AlertmanagerServer

TOKEN = "a token of more than 16 characters"


def feed(world: IncidentWorld, *urls: str, clock: Any = None, **document: Any) -> AlertmanagerFeed:
    given = {"name": "am", "kind": "alertmanager", "urls": urls, "allow_loopback": True, "timeout": "20s", **document}
    ground = DeliveryGround(
        store=world.store, fleet=FLEET, directory=directory_of((), OnCallDocument()), clock=clock or SystemClock()
    )
    return AlertmanagerFeed(TypeAdapter(AlertmanagerDocument).validate_python(given), ground)


async def alert(world: IncidentWorld, kind: str = "fired", **data: Any) -> Event:
    now = SystemClock().now()
    told = world.alert(data.pop("alert_id", str(uuid4())), slo="writes", cluster="orders", **data)
    told |= {"fired_at": (now - timedelta(seconds=5)).isoformat()}
    if kind == "resolved":
        told |= {"resolved_at": now.isoformat()}
    return await world.happen(f"slo.alert_{kind}", "writes@orders", told, deliver=False)


async def eventually(server: AlertmanagerServer, rule: str, *, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        while True:
            found = await server.alerts(only=f'rule="{rule}"')
            if len(found) == count:
                return found
            await asyncio.sleep(0.1)


async def test_a_real_alertmanager_shows_an_alert_until_it_is_over(
    world: IncidentWorld, alertmanager: AlertmanagerServer
) -> None:
    url = f"http://{alertmanager.address}"
    one = feed(world, url, resend_interval="60s", labels={"bad-name.0": 'a "b"\n{{ x }}'})
    rule, alert_id = f"r{uuid4().hex}", str(uuid4())
    summary = 'hostile {{ .Labels }} <!channel> "\x00\u202e'
    await one.heard(await alert(world, alert_id=alert_id, rule=rule, summary=summary))
    (found,) = await eventually(alertmanager, rule, count=1)
    assert found["labels"] == {
        "alertname": "SloErrorBudgetBurn",
        "bad_name_0": 'a "b" {{ x }}',
        "cluster": "orders",
        "environment": "prod",
        "rule": rule,
        "severity": "page",
        "slo": "writes",
        "tier": "0",
    }
    assert "\x00" not in found["annotations"]["summary"]
    restarted = feed(world, url, resend_interval="60s")  # a new process knows from the store what fires
    assert await restarted.repeat() == 1
    await restarted.heard(await alert(world, "resolved", alert_id=alert_id, rule=rule))
    await eventually(alertmanager, rule, count=0)
    assert await restarted.repeat() == 1  # what is over is told for a quarter of an hour


async def test_an_alert_of_which_nothing_is_heard_ends_there(world: IncidentWorld, alertmanager: AlertmanagerServer) -> None:
    one = feed(world, f"http://{alertmanager.address}", resend_interval="1s")
    rule = f"r{uuid4().hex}"
    await one.heard(await alert(world, rule=rule))
    await eventually(alertmanager, rule, count=1)
    await eventually(alertmanager, rule, count=0)  # after four intervals without us


def picky(call: Call) -> Answer:
    """As Alertmanager 0.25: one bad alert makes the answer a 400, and the others of the batch are taken all the same."""
    is_bad = False
    for one in call.json:
        must(one["startsAt"] and one["endsAt"], "moments")
        is_bad |= one["labels"].get("rule") == "refused"
    return (400, {}, {"message": "bad label"}) if is_bad else (200, {}, b"")


async def test_a_400_is_followed_up_alert_by_alert(world: IncidentWorld) -> None:
    with service(picky) as found:
        one = feed(world, found.url)
        for rule in ("a", "b"):
            await one.heard(await alert(world, rule=rule))
        with pytest.raises(DeliveryRefused, match="bad label"):
            await one.heard(await alert(world, rule="refused"))
        found.calls.clear()
        assert await one.repeat() == 2  # the refused one is not sent again
        assert [len(call.json) for call in found.calls] == [2]


async def test_a_batch_with_a_bad_alert_is_neither_lost_nor_taken_for_delivered(world: IncidentWorld) -> None:
    with service(picky) as found:
        one = feed(world, found.url)
        found.next_answers = [(200, {}, b"")] * 3  # all three get into the table
        for rule in ("a", "refused", "b"):
            await one.heard(await alert(world, rule=rule))
        found.calls.clear()
        assert await one.repeat() == 2
        assert [len(call.json) for call in found.calls] == [3, 1, 1, 1]


async def test_one_member_of_a_cluster_that_takes_it_is_enough(world: IncidentWorld) -> None:
    with service(picky) as alive:
        one = feed(world, "http://127.0.0.1:9", alive.url)
        await one.heard(await alert(world, rule="a"))
        assert len(alive.calls) == 1
        nobody = feed(world, "http://127.0.0.1:9")
        with pytest.raises(Unreachable):
            await nobody.heard(await alert(world, rule="b"))
        assert await one.repeat() == 2  # it was in the table before it was told: nothing is lost


@pytest.fixture
def receiver(world: IncidentWorld, tmp_path: Path) -> AlertmanagerReceiver:
    path = tmp_path / "token"
    path.write_text(TOKEN)
    path.chmod(0o600)
    document = AlertmanagerWebhookDocument.model_validate({"token": f"file:{path}", "stale_after": "1h"})
    return AlertmanagerReceiver(document, world.store, world.clock)


HEADERS = {"authorization": f"Bearer {TOKEN}"}


def webhook(*alerts: Mapping[str, Any]) -> bytes:
    return json.dumps({"version": "4", "status": "firing", "groupKey": "g", "truncatedAlerts": 0, "alerts": alerts}).encode()


def told(
    status: str = "firing", fingerprint: str = "f1", starts: str = "2026-11-21T03:00:00Z", **changes: Any
) -> dict[str, Any]:
    ends = "2026-11-21T03:30:00Z" if status == "resolved" else "0001-01-01T00:00:00Z"
    labels = {"alertname": "DiskFull", "severity": "critical", "cluster": "orders"}
    whole = {"status": status, "fingerprint": fingerprint, "startsAt": starts, "endsAt": ends, "labels": labels}
    return whole | {"annotations": {"summary": "90 %"}, "generatorURL": ""} | changes


async def kinds(world: IncidentWorld) -> list[str]:
    return [one.kind.rpartition("_")[2] for one in await world.events("alertmanager.*")]


async def test_a_webhook_that_comes_again_changes_nothing(world: IncidentWorld, receiver: AlertmanagerReceiver) -> None:
    assert await receiver.handle(webhook(told(), told(fingerprint="f2")), HEADERS) == Heard(fired=2, resolved=0, known=0)
    assert await receiver.handle(webhook(told()), HEADERS) == Heard(fired=0, resolved=0, known=1)
    assert await receiver.handle(webhook(told("resolved")), HEADERS) == Heard(fired=0, resolved=1, known=0)
    assert await receiver.handle(webhook(told("resolved"), told()), HEADERS) == Heard(fired=0, resolved=0, known=2)
    assert await kinds(world) == ["fired", "fired", "resolved"]
    again = told(starts="2026-11-21T03:45:00Z")
    assert await receiver.handle(webhook(again), HEADERS) == Heard(fired=1, resolved=0, known=0)
    event = (await world.events("alertmanager.*"))[0]
    assert (event.data["severity"], event.data["cluster"], event.data["rule"]) == ("page", "orders", "DiskFull")


async def test_an_end_that_overtakes_its_beginning_alarms_nobody(world: IncidentWorld, receiver: AlertmanagerReceiver) -> None:
    await receiver.handle(webhook(told("resolved")), HEADERS)
    await receiver.handle(webhook(told()), HEADERS)
    assert await kinds(world) == []


async def test_an_alert_whose_end_never_comes_is_over_some_day(world: IncidentWorld, receiver: AlertmanagerReceiver) -> None:
    await receiver.handle(webhook(told()), HEADERS)
    await world.clock.advance(3_000)
    await receiver.handle(webhook(told()), HEADERS)
    await world.clock.advance(3_000)
    assert await receiver.end_stale() == 0
    await world.clock.advance(700)
    assert await receiver.end_stale() == 1
    assert await receiver.end_stale() == 0
    last = (await world.events("alertmanager.*"))[-1]
    assert (last.kind, last.data["is_stale"]) == ("alertmanager.alert_resolved", True)


async def test_our_own_alert_does_not_come_back_as_another(world: IncidentWorld, receiver: AlertmanagerReceiver) -> None:
    with service(picky) as found:
        event = await alert(world)
        await feed(world, found.url).heard(event)
        (sent,) = found.calls[0].json
    back = told(labels=sent["labels"], annotations=sent["annotations"])
    assert await receiver.handle(webhook(back), HEADERS) == Heard(fired=0, resolved=0, known=1)
    assert await kinds(world) == []


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}])
async def test_without_the_token_nothing_is_taken(
    world: IncidentWorld, receiver: AlertmanagerReceiver, headers: dict[str, str]
) -> None:
    with pytest.raises(HookRefused):
        await receiver.handle(webhook(told()), headers)
    assert await kinds(world) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"version":"3","alerts":[]}',
        webhook({"status": "firing"}),
        webhook(told(startsAt="yesterday")),
        webhook(told(startsAt="0001-01-01T00:00:00Z")),
        webhook(told(status="pending")),
        webhook(told(fingerprint="")),
        webhook(told(startsAt="9999-12-31T23:59:59-14:00")),
    ],
)
async def test_what_is_no_webhook_is_refused_whole(world: IncidentWorld, receiver: AlertmanagerReceiver, body: bytes) -> None:
    with pytest.raises(HookInvalid):
        await receiver.handle(body, HEADERS)
    assert await kinds(world) == []


@contextmanager
def hook(receiver: AlertmanagerReceiver, loop: asyncio.AbstractEventLoop) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asyncio.run_coroutine_threadsafe(receiver.handle(body, headers), loop).result(30)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        await_free = threading.Thread(target=server.shutdown)
        await_free.start()
        await_free.join()
        server.server_close()
        thread.join()


async def test_a_real_alertmanager_is_understood(
    world: IncidentWorld, receiver: AlertmanagerReceiver, alertmanager: AlertmanagerServer
) -> None:
    with hook(receiver, asyncio.get_running_loop()) as port:
        authorization = {"authorization": {"credentials": TOKEN}}
        webhooks = [{"url": f"http://127.0.0.1:{port}/", "http_config": authorization}]
        route = {"receiver": "dbre", "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"}
        await alertmanager.configure({"route": route, "receivers": [{"name": "dbre", "webhook_configs": webhooks}]})
        try:
            now = SystemClock().now()
            labels = {"alertname": "Foreign", "severity": "critical", "case": uuid4().hex}
            one = {"labels": labels, "startsAt": now.isoformat(), "endsAt": (now + timedelta(hours=1)).isoformat()}
            await alertmanager.post("/api/v2/alerts", [one])
            await _heard(world, labels, ["alertmanager.alert_fired"])
            await alertmanager.post("/api/v2/alerts", [one | {"endsAt": SystemClock().now().isoformat()}])
            await _heard(world, labels, ["alertmanager.alert_fired", "alertmanager.alert_resolved"])
        finally:
            await alertmanager.configure({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]})


async def _heard(world: IncidentWorld, labels: Mapping[str, str], expected: list[str]) -> None:
    async with asyncio.timeout(60):
        while True:
            found = [one.kind for one in await world.events("alertmanager.*") if one.data["labels"] == labels]
            if found == expected:
                return
            await asyncio.sleep(0.1)
