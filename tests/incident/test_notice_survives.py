"""Notices that must not be lost, and none that is sent again without need."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from incident_kit import IncidentWorld
from service_doubles import SlackWorkspace, pagerduty, service
from test_channel_alertmanager import alert, feed
from test_channel_services import channel, notice, secret
from test_notice_delivery import Recorder, handler, incident, step, tell

from dbre.capabilities.incident.delivery import handler as handling
from dbre.capabilities.incident.notice import NoticeKind, Urgency
from dbre.capabilities.incident.oncall.escalation_desk import ESCALATED
from dbre.core.errors import Unreachable
from dbre.core.events import DELIVERY_DEAD, DeliveryRefused, Event
from dbre.core.store.errors import StoreBusy

__all__ = ["secret"]


async def test_what_is_written_after_the_end_pages_nobody(world: IncidentWorld, secret: Callable[[str], str]) -> None:
    recorder = Recorder()
    one = handler(world, recorder)
    ended = incident(state="postmortem_draft", resolved_at="2026-11-21T04:00:00Z", text="postmortem revision 1 written")
    await tell(world, one, "incident.updated", ended)
    (told, _) = recorder.got[0]
    assert told.urgency is Urgency.TICKET
    with service(pagerduty) as there:
        pager = channel(kind="pagerduty", url=f"{there.url}/v2/enqueue", routing_key=secret("routing"))
        await pager.deliver(told, earlier=None)
        assert there.calls == []  # a trigger would open there what is resolved
        merged = incident(state="merged", resolved_at=None, text="a note")
        await tell(world, one, "incident.updated", merged)
        await pager.deliver(recorder.got[1][0], earlier=None)
        assert there.calls == []


def dead(subscription: str, event: Event) -> dict[str, Any]:
    facts = {"event_id": str(event.id), "event_kind": event.kind, "event_subject": event.subject}
    return {**facts, "attempts": 60, "last_error": f"ValueError: {subscription}"}


@pytest.mark.parametrize("subscription", ["incidents", "oncall"])
async def test_an_alert_that_never_became_an_incident_is_told_through_the_fallback(
    world: IncidentWorld, subscription: str
) -> None:
    recorder = Recorder()
    one = handler(world, recorder, is_fallback=True)
    event = await world.happen("slo.alert_fired", "writes@orders", world.alert("a1", cluster="orders"), deliver=False)
    told = await world.happen(DELIVERY_DEAD, subscription, dead(subscription, event), deliver=False)
    await one.heard(told)
    (found, _) = recorder.got[0]
    assert found.urgency is Urgency.PAGE
    assert found.title.startswith(f"{subscription} did not get: slo.alert_fired of writes@orders")


async def test_the_fallback_says_which_escalation_was_not_told(world: IncidentWorld) -> None:
    recorder = Recorder()
    one = handler(world, recorder, is_fallback=True)
    event = await world.happen(ESCALATED, "incident/1", step("ana"), deliver=False)
    await one.heard(await world.happen(DELIVERY_DEAD, "channel:mail", dead("channel:mail", event), deliver=False))
    assert recorder.titles == ["channel:mail did not get: INC-1 needs you: writes"]


async def test_nobody_on_call_is_told_also_where_no_channel_tells_everybody(world: IncidentWorld) -> None:
    recorder = Recorder()
    one = handler(world, recorder, is_broadcast=False, is_fallback=True)
    await tell(world, one, ESCALATED, step(reason="nobody_on_call"))
    assert "NOBODY IS ON CALL" in recorder.got[0][0].text


async def test_what_was_sent_and_could_not_be_written_down_is_not_sent_again(
    world: IncidentWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder()
    one = handler(world, recorder)
    real = handling.record_delivery

    async def full(*_: Any, **__: Any) -> None:
        raise StoreBusy("the disk is full")

    monkeypatch.setattr(handling, "record_delivery", full)
    event = await world.happen("incident.opened", "s", incident(), deliver=False)
    task = asyncio.ensure_future(one.heard(event))
    async with asyncio.timeout(30):
        while not recorder.got or not world.clock.sleepers:  # noqa: ASYNC110 (the clock of the test tells nobody)
            await asyncio.sleep(0.002)
    task.cancel()  # the time limit of the attempt
    await asyncio.gather(task, return_exceptions=True)
    monkeypatch.setattr(handling, "record_delivery", real)
    await one.heard(event)
    assert len(recorder.got) == 1
    assert len(await world.events("notice.delivered")) == 1


async def test_one_person_who_cannot_be_told_keeps_nobody_else_from_it(secret: Callable[[str], str]) -> None:
    workspace = SlackWorkspace()
    with service(workspace) as there:
        room = channel(kind="slack", url=f"{there.url}/api", token=secret("slack"), channel="C1")
        there.next_answers = [(200, {}, {"ok": False, "error": "channel_not_found"})]
        with pytest.raises(DeliveryRefused, match="channel_not_found"):
            await room.deliver(notice(NoticeKind.ESCALATED, recipients=("U0GONE00", "U0BEA000")), earlier=None)
        assert [call.json["channel"] for call in there.calls] == ["U0GONE00", "U0BEA000"]
        there.calls.clear()
        there.next_answers = [(200, {}, {"ok": True}), (503, {}, b"")]
        again = notice(NoticeKind.ESCALATED, id="0192-2", recipients=("U0ANA000", "U0BEA000"))
        with pytest.raises(Unreachable):
            await room.deliver(again, earlier=None)
        there.next_answers = [(200, {}, {"ok": True})]
        await room.deliver(again, earlier=None)
        assert [call.json["channel"] for call in there.calls] == ["U0ANA000", "U0BEA000", "U0BEA000"]


@pytest.mark.parametrize("status", [401, 403, 404, 302])
async def test_an_alertmanager_that_turns_us_away_hears_of_every_alert_once_it_does_not(
    world: IncidentWorld, status: int
) -> None:
    with service(lambda _: (200, {}, b"")) as there:
        one = feed(world, there.url)
        there.next_answers = [(status, {}, b"who are you")]
        with pytest.raises(Unreachable, match=str(status)):
            await one.heard(await alert(world))
        assert await one.repeat() == 1
