"""From events to channels: each notice once, tickets in the morning, storms as a summary, a fallback when one is lost."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from incident_kit import FLEET, START, IncidentWorld
from pydantic import TypeAdapter
from sqlalchemy import func, select

from dbre.capabilities.incident.channels.documents import ChannelDocument
from dbre.capabilities.incident.delivery.handler import ChannelHandler, DeliveryGround
from dbre.capabilities.incident.delivery.records import DELIVERED
from dbre.capabilities.incident.delivery.release import NoticeRelease
from dbre.capabilities.incident.delivery.stored_notice import notice_document, notice_from
from dbre.capabilities.incident.delivery.summaries import DIGEST
from dbre.capabilities.incident.delivery.tables import held_notices
from dbre.capabilities.incident.notice import Notice, NoticeKind, Receipt
from dbre.capabilities.incident.oncall.documents import ContactDocument, OnCallDocument
from dbre.capabilities.incident.oncall.escalation_desk import ESCALATED
from dbre.capabilities.incident.oncall.people import directory_of
from dbre.core.events import DELIVERY_DEAD, Backoff, DeliveryRefused, Event, EventDelivery, Subscription

KINDS = {
    "email": {"host": "mail", "sender": "dbre@example.com", "recipients": ["dba@example.com"]},
    "teams": {"webhook_url": "env:X"},
}
DIRECTORY = directory_of((ContactDocument(name="ana", email="ana@example.com"), ContactDocument(name="bea")), OnCallDocument())


@dataclass
class Recorder:
    """A channel that keeps what it got; ``fails`` is asked first."""

    name: str = "one"
    got: list[tuple[Notice, Receipt | None]] = field(default_factory=list)
    fails: Callable[[Notice], Exception | None] = lambda _: None

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        error = self.fails(notice)
        if error is not None:
            raise error
        self.got.append((notice, earlier))
        return earlier or Receipt(reference=f"first-{notice.id}")

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice, _ in self.got]


def handler(world: IncidentWorld, recorder: Recorder, kind: str = "email", **document: Any) -> ChannelHandler:
    given = {"name": recorder.name, "kind": kind, **KINDS[kind], **document}
    ground = DeliveryGround(store=world.store, fleet=FLEET, directory=DIRECTORY, clock=world.clock)
    return ChannelHandler(recorder, TypeAdapter(ChannelDocument).validate_python(given), ground)


def incident(number: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "incident_id": f"i{number}",
        "number": number,
        "name": f"INC-{number}",
        "title": "writes",
        "state": "detected",
        "severity": "sev1",
        "urgency": "page",
        "cluster": "orders",
        "revision": 1,
    } | changes


async def tell(world: IncidentWorld, one: ChannelHandler, kind: str, data: dict[str, Any]) -> Event:
    event = await world.happen(kind, "s", data, deliver=False)
    await one.heard(event)
    return event


async def _moving(world: IncidentWorld, work: Any) -> None:
    """Let time pass while a handler keeps its distance from the message before."""
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(30):
        while not task.done():
            await asyncio.sleep(0.002)
            if world.clock.sleepers:
                await world.clock.advance(0.5, turns=1)
    await task


async def held(world: IncidentWorld) -> int:
    async with world.store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(held_notices))).scalar() or 0)


async def digests(world: IncidentWorld, one: ChannelHandler) -> Sequence[Event]:
    await NoticeRelease(world.store, world.clock).release_due()
    found = await world.events(DIGEST)
    for event in found:
        await one.heard(event)
    return found


async def check_once(world: IncidentWorld) -> None:
    recorder = Recorder()
    opened = await tell(world, handler(world, recorder), "incident.opened", incident())
    restarted = handler(world, recorder)
    await restarted.heard(opened)  # the outcome was not written before the process ended
    await tell(world, restarted, "incident.resolved", incident(state="resolved"))
    assert [(notice.kind, earlier) for notice, earlier in recorder.got] == [
        (NoticeKind.OPENED, None),
        (NoticeKind.RESOLVED, Receipt(reference=f"first-{opened.id}")),
    ]
    shown = [(one.data["thread"], one.data["notice_kind"]) for one in await world.events(DELIVERED)]
    assert shown == [("i1", "opened"), ("i1", "resolved")]  # what timelines show


async def test_a_notice_is_brought_once_and_its_thread_is_remembered(world: IncidentWorld) -> None:
    await check_once(world)


async def test_a_notice_is_brought_once_on_postgresql(postgres_world: IncidentWorld) -> None:
    await check_once(postgres_world)


async def test_a_failed_delivery_is_not_remembered(world: IncidentWorld) -> None:
    recorder = Recorder(fails=lambda _: DeliveryRefused("no"))
    one = handler(world, recorder)
    event = await world.happen("incident.opened", "s", incident(), deliver=False)
    with pytest.raises(DeliveryRefused):
        await one.heard(event)
    recorder.fails = lambda _: None
    await one.heard(event)
    assert len(recorder.got) == 1


async def test_a_channel_hears_of_its_clusters_and_urgencies_only(world: IncidentWorld) -> None:
    recorder = Recorder()
    one = handler(world, recorder, selector={"tier": "0"}, urgencies=["page"])
    await tell(world, one, "incident.opened", incident(1, cluster="stock"))
    await tell(world, one, "incident.opened", incident(2, cluster="orders", urgency="ticket"))
    await tell(world, one, "incident.opened", incident(3, cluster="orders"))
    await tell(world, one, "incident.opened", incident(4, cluster=""))
    assert recorder.titles == ["INC-3 opened: writes", "INC-4 opened: writes"]


QUIET = {"time_zone": "Europe/Madrid", "when": [{"days": ["sat", "sun"]}, {"days": ["fri"], "from": "18:00", "until": "24:00"}]}


async def test_tickets_wait_for_the_end_of_quiet_hours_and_pages_do_not(world: IncidentWorld) -> None:
    recorder = Recorder()
    one = handler(world, recorder, quiet_hours=QUIET)  # START is a Saturday, 05:00 in Madrid
    await tell(world, one, "incident.opened", incident(1, urgency="ticket"))
    await tell(world, one, "incident.opened", incident(2))
    await world.clock.advance(1)  # notices are told in the order of their moments
    await tell(world, one, "incident.resolved", incident(1, urgency="ticket", state="resolved"))
    assert recorder.titles == ["INC-2 opened: writes"]
    await world.clock.advance(43 * 3600 - 60)  # Sunday 23:59
    assert await digests(world, one) == []
    await world.clock.advance(120)
    assert len(await digests(world, one)) == 1
    assert recorder.got[-1][0].title == "2 messages came while tickets wait: 1 subject, 1 over already"
    assert await held(world) == 0
    assert len(await digests(world, one)) == 1  # and once only
    assert len(recorder.got) == 2


async def test_a_storm_becomes_a_summary_a_minute(world: IncidentWorld) -> None:
    recorder = Recorder()
    one = handler(world, recorder, storm_limit=20)
    for number in range(100):
        await tell(world, one, "incident.opened", incident(number))
    assert len(recorder.got) == 20
    await world.clock.advance(61)
    await digests(world, one)
    (summary,) = [notice for notice, _ in recorder.got[20:]]
    assert summary.title == "80 messages came at once and were held back: 80 subjects, 0 over already"
    assert summary.text.endswith("- and 40 more")
    assert summary.urgency.value == "page"
    await tell(world, one, "incident.opened", incident(500))
    assert recorder.titles[-1] == "INC-500 opened: writes"


def step(*people: str, channels: Sequence[str] = (), **changes: Any) -> dict[str, Any]:
    told = {"policy": "p", "reason": "level", "level": 1, "round": 1, "people": list(people), "channels": list(channels)}
    return incident() | {"step": {**told, "is_first": True} | changes}


async def test_an_escalation_reaches_only_those_whom_it_names(world: IncidentWorld) -> None:
    mail, room = Recorder(name="mail"), Recorder(name="room")
    by_mail, by_room = handler(world, mail, "email", is_broadcast=False), handler(world, room, "teams")
    for data in (
        step("ana"),
        step("bea"),
        step("ana", channels=["room"]),
        step("ana", is_first=False),
        step(reason="exhausted"),
    ):
        for one in (by_mail, by_room):
            await _moving(world, tell(world, one, ESCALATED, data))
    assert [notice.recipients for notice, _ in mail.got] == [("ana@example.com",)] * 2
    assert [dict(notice.facts).get("told") for notice, _ in room.got] == ["ana", "ana", None]
    assert "NOBODY ANSWERED" in room.got[-1][0].text


async def test_what_a_channel_gives_up_is_told_through_the_fallback(world: IncidentWorld) -> None:
    broken = Recorder(name="broken", fails=lambda _: DeliveryRefused("invalid token"))
    fallback = Recorder(name="fallback")
    ours = [handler(world, broken), handler(world, fallback, is_fallback=True)]
    subscriptions: list[Subscription] = [one.subscription() for one in ours]
    quick = Backoff(base_seconds=0.01, cap_seconds=0.01, max_attempts=2)
    delivery = EventDelivery(
        world.store,
        [Subscription(name=one.name, kinds=one.kinds, handler=one.handler, backoff=quick) for one in subscriptions],
        world.clock,
        poll_seconds=0.05,
    )
    task = asyncio.ensure_future(delivery.run())
    await world.happen("incident.opened", "s", incident(), deliver=False)
    async with asyncio.timeout(60):
        while len(fallback.got) < 2:
            await world.clock.advance(0.5)
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(fallback.titles) == ["INC-1 opened: writes", "channel:broken did not get: INC-1 opened: writes"]
    told = next(notice for notice, _ in fallback.got if notice.title.startswith("channel:"))
    assert "invalid token" in told.text
    assert ("replay", "dbre events replay channel:broken") in told.facts


async def test_a_channel_does_not_tell_of_its_own_failure(world: IncidentWorld) -> None:
    recorder = Recorder()
    one = handler(world, recorder, is_fallback=True)
    data = {"event_id": str(START), "event_kind": "x.y", "event_subject": "s", "attempts": 1, "last_error": "e"}
    event = await world.happen(DELIVERY_DEAD, "channel:one", data, deliver=False)
    await one.heard(event)
    assert recorder.got == []


def test_a_stored_notice_is_the_notice() -> None:
    one = Notice(
        id="1",
        kind=NoticeKind.OPENED,
        urgency="ticket",  # type: ignore[arg-type]  # as JSON has it
        thread="t",
        title="a",
        text="b",
        at=START,
        facts=(("x", "y"),),
        started_at=START - timedelta(hours=1),
        recipients=("a",),
    )
    assert notice_from(notice_document(one)) == one
