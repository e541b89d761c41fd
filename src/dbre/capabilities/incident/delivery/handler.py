"""One channel as a subscription: which events become notices, which of them wait, and that none is sent twice."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select

from dbre.capabilities.incident.channels.documents import ChannelDocument
from dbre.capabilities.incident.delivery.records import HeldNotice, hold, is_delivered, newest_receipt, record_delivery
from dbre.capabilities.incident.delivery.summaries import DIGEST, digest_notice, escalation_notice, fallback_notice
from dbre.capabilities.incident.notice import Channel, Notice, NoticeKind, Receipt, Urgency
from dbre.capabilities.incident.notices import NOTICE_KINDS, notices_of
from dbre.capabilities.incident.oncall.escalation_desk import ESCALATED
from dbre.capabilities.incident.oncall.people import Directory
from dbre.capabilities.incident.webhook import PATIENCE
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events import DELIVERY_DEAD, Event, Subscription
from dbre.core.events.rows import EVENT_COLUMNS, event_of
from dbre.core.events.tables import event as event_table
from dbre.core.fleet import Fleet
from dbre.core.gates.calendar import Calendar
from dbre.core.operation.target_labels import labels_of
from dbre.core.selector import Selector
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["ChannelHandler", "DeliveryGround"]

_ADDRESSED = frozenset({"email", "ses", "slack", "discord", "sns"})
"""Kinds that can reach one person."""
_MACHINES = frozenset({"pagerduty", "webhook"})
"""Kinds behind which a program decides: it gets everything at once, because what it never hears of it cannot resolve."""
_MINUTE = timedelta(minutes=1)
_LOUD = frozenset({NoticeKind.ESCALATED, NoticeKind.DIGEST, NoticeKind.TEST})  # never held
_SPACING_SECONDS = {"slack": 1.0, "discord": 0.5, "teams": 0.5}
_STORE_WAIT_SECONDS = 1.0
_MAKERS_OF_NOTICES = frozenset({"incidents", "oncall"})
"""Subscriptions without which an alert never comes to be a notice of any channel."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryGround:
    """What all channels stand on."""

    store: Store
    fleet: Fleet
    directory: Directory
    clock: Clock
    base_url: str = ""


class ChannelHandler:
    """Brings events to one channel. The event delivery calls it in order, and again after an error."""

    def __init__(self, channel: Channel, document: ChannelDocument, ground: DeliveryGround) -> None:
        self._channel = channel
        self._document = document
        self._ground = ground
        self._selector = Selector.of(document.selector)
        self._quiet: Sequence[Calendar] = () if document.quiet_hours is None else document.quiet_hours.calendars()
        self._sent: deque[float] = deque()  # monotonic moments of the last minute
        self._unwritten: tuple[str, Receipt | None] | None = None  # id of a notice that the channel has, and the store has not

    @property
    def name(self) -> str:
        """Name of the subscription; stays the same over restarts."""
        return f"channel:{self._document.name}"

    def subscription(self) -> Subscription:
        """What brings events here."""
        kinds = (*NOTICE_KINDS, ESCALATED, DIGEST, *((DELIVERY_DEAD,) if self._document.is_fallback else ()))
        # Several requests may be one delivery: a thread and its first message, or everybody whom a level names.
        seconds = self._document.timeout.total_seconds() * 6 + 30
        return Subscription(name=self.name, kinds=kinds, handler=self.heard, backoff=PATIENCE, timeout_seconds=seconds)

    async def heard(self, event: Event) -> None:
        """Deliver, hold, or leave it. Raises: DeliveryRefused, DeliveryPostponed, Unreachable, a StoreError."""
        notice = await self._notice_of(event)
        if notice is None or not self._is_wanted(notice):
            return
        store, clock = self._ground.store, self._ground.clock
        async with store.read() as connection:
            if await is_delivered(connection, self._document.name, notice.id):
                return
            earlier = await newest_receipt(connection, self._document.name, notice.thread)
        held = self._held(notice)
        if self._unwritten is not None and self._unwritten[0] == notice.id:
            receipt = self._unwritten[1]
        elif held is not None:
            await hold(store, held)
            _log.info("notice_held", channel=self._document.name, notice=notice.id, reason=held.reason)
            return
        else:
            await self._keep_distance()
            receipt = await self._channel.deliver(notice, earlier=earlier)
            self._sent.append(clock.monotonic())
        self._unwritten = notice.id, receipt  # the time of the attempt may end while the store takes nothing
        await self._record(notice, receipt)
        self._unwritten = None
        _log.info("notice_delivered", channel=self._document.name, notice=notice.id, kind=notice.kind.value)

    async def _notice_of(self, event: Event) -> Notice | None:
        base_url = self._ground.base_url
        if event.kind == ESCALATED:
            return self._addressed(event, escalation_notice(event, base_url=base_url))
        if event.kind == DIGEST:
            return digest_notice(event) if event.subject == self._document.name else None
        if event.kind == DELIVERY_DEAD:
            return await self._fallback(event)
        return notices_of(event, base_url=base_url) if self._document.is_broadcast else None

    def _addressed(self, event: Event, notice: Notice | None) -> Notice | None:
        """The step for those of its people whom this channel reaches.

        A channel that reaches nobody in particular repeats the incident when it is escalated, but not at the first step,
        which comes with the news itself. Where nobody is left to be told, everybody is.
        """
        if notice is None:
            return None
        step = event.data["step"]
        named = step.get("channels") or ()
        if not step.get("people"):
            return notice if self._document.is_broadcast or self._document.is_fallback else None
        if named and self._document.name not in named:
            return None
        if self._document.kind in _ADDRESSED:
            recipients = self._ground.directory.addresses(step["people"], self._document.kind)
            return replace(notice, recipients=recipients) if recipients else None
        return notice if named or (self._document.is_broadcast and not step.get("is_first")) else None

    async def _fallback(self, event: Event) -> Notice | None:
        subscription = event.subject
        is_of_ours = subscription in _MAKERS_OF_NOTICES or subscription.startswith(("channel:", "webhook:", "alertmanager:"))
        if subscription == self.name or not is_of_ours:
            return None  # what this channel itself cannot deliver, it cannot tell of either
        async with self._ground.store.read() as connection:
            statement = select(*EVENT_COLUMNS).where(event_table.c.id == UUID(str(event.data["event_id"])))
            row = (await connection.execute(statement)).first()
        return fallback_notice(event, None if row is None else event_of(row), base_url=self._ground.base_url)

    def _is_wanted(self, notice: Notice) -> bool:
        if notice.urgency.value not in self._document.urgencies:
            return False
        if not notice.cluster or not self._selector.terms:
            return True
        return self._selector.allows(labels_of(f"cluster/{notice.cluster}", self._ground.fleet))

    def _held(self, notice: Notice) -> HeldNotice | None:
        if notice.kind in _LOUD:
            return None
        now = self._ground.clock.now()
        until = self._quiet_until(now) if notice.urgency is Urgency.TICKET else None
        if until is not None:
            return HeldNotice(channel=self._document.name, notice=notice, due_at=until, reason="quiet")
        if self._document.kind not in _MACHINES and self._sent_last_minute() >= self._document.storm_limit:
            return HeldNotice(channel=self._document.name, notice=notice, due_at=now + _MINUTE, reason="storm")
        return None

    def _quiet_until(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which a moment lies; those that follow each other are one."""
        until: datetime | None = None
        for _ in range(len(self._quiet) + 1):
            standings = [one.at(until or now) for one in self._quiet]
            ends = [one.until or (until or now) + timedelta(days=1) for one in standings if one.is_inside]
            if not ends:
                break
            until = max(ends)
        return until

    def _sent_last_minute(self) -> int:
        now = self._ground.clock.monotonic()
        while self._sent and now - self._sent[0] >= _MINUTE.total_seconds():
            self._sent.popleft()
        return len(self._sent)

    async def _keep_distance(self) -> None:
        """Stay below the rate that a service takes before it answers 429."""
        spacing = _SPACING_SECONDS.get(self._document.kind, 0.0)
        if self._sent and spacing:
            await self._ground.clock.sleep(self._sent[-1] + spacing - self._ground.clock.monotonic())

    async def _record(self, notice: Notice, receipt: Receipt | None) -> None:
        """The channel has it: it is written down for as long as it takes, because another attempt would send it twice."""
        while True:
            try:
                store, clock = self._ground.store, self._ground.clock
                await record_delivery(store, self._document.name, notice, receipt, clock=clock)
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("notice_not_recorded", channel=self._document.name, code=error.code, error=error.message)
                await self._ground.clock.sleep(_STORE_WAIT_SECONDS)
            else:
                return
