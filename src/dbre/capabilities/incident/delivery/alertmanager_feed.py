"""Keeps an Alertmanager told: what fires is sent again and again, what is over for a quarter of an hour.

An Alertmanager forgets what it does not hear of. So the alerts are a table, and the state of that table is what is sent.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Row, delete, or_, select, update

from dbre.capabilities.incident.channels.alertmanager import AlertmanagerApi, OutgoingAlert, alert_document, tell_all
from dbre.capabilities.incident.channels.documents import AlertmanagerDocument
from dbre.capabilities.incident.delivery.handler import DeliveryGround
from dbre.capabilities.incident.delivery.tables import alertmanager_alerts
from dbre.capabilities.incident.webhook import ALERT_KINDS, PATIENCE
from dbre.core.errors import DbreError, StoreError
from dbre.core.events import DeliveryRefused, Event, Subscription
from dbre.core.moments import moment_from
from dbre.core.operation.target_labels import labels_of
from dbre.core.selector import Selector
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["AlertmanagerFeed"]

_RESOLVED_FOR = timedelta(minutes=15)
_FORGOTTEN_AFTER = timedelta(days=1)
_INTERVALS_LEFT = 4  # what fires ends this many intervals after we were last heard of

_log = structlog.get_logger(__name__)


class AlertmanagerFeed:
    """One cluster of Alertmanagers: a subscription to alert events, and a part that repeats."""

    def __init__(self, document: AlertmanagerDocument, ground: DeliveryGround) -> None:
        self._document = document
        self._ground = ground
        self._selector = Selector.of(document.selector)
        self._members = tuple(AlertmanagerApi(document, url, ground.clock) for url in document.urls)
        self._busy = asyncio.Lock()  # a repetition that was read before a change is not sent after it

    @property
    def name(self) -> str:
        """Name of the subscription; stays the same over restarts."""
        return f"alertmanager:{self._document.name}"

    def subscription(self) -> Subscription:
        """What brings alert events here."""
        seconds = self._document.timeout.total_seconds() * (len(self._members) + 1) + 30
        return Subscription(name=self.name, kinds=ALERT_KINDS, handler=self.heard, backoff=PATIENCE, timeout_seconds=seconds)

    async def heard(self, event: Event) -> None:
        """Take an alert into the table, and tell of it. Raises: DeliveryRefused, DeliveryPostponed, Unreachable, StoreError."""
        alert = self._alert_of(event)
        if alert is None:
            return
        async with self._busy:
            alert = await self._as_before(alert)
            row = {
                "channel": self._document.name,
                "alert_id": alert.alert_id,
                "document": dict(alert.document),
                "started_at": alert.started_at,
                "ended_at": alert.ended_at,
                "refused": None,
            }
            await self._ground.store.insert_or_update(alertmanager_alerts, [row], keys=["channel", "alert_id"])
            refused = await tell_all(self._members, [alert], fires_until=self._fires_until())
        if refused:
            await self._note_refused(refused)
            raise DeliveryRefused(
                f"channel {self._document.name} does not take alert {alert.alert_id}: {refused[alert.alert_id]}",
                hint="look at the log of the Alertmanager, then replay the event",
            )

    async def _as_before(self, alert: OutgoingAlert) -> OutgoingAlert:
        """With the labels and the beginning under which the Alertmanager knows it: with others, its end would be another's."""
        table = alertmanager_alerts
        chosen = (table.c.channel == self._document.name, table.c.alert_id == alert.alert_id)
        async with self._ground.store.read() as connection:
            known = (await connection.execute(select(table).where(*chosen))).first()
        if known is None:
            return alert
        document = {**alert.document, "labels": known.document["labels"]}
        return replace(alert, document=document, started_at=known.started_at)

    async def run(self) -> None:
        """Repeat until cancelled. Raises: ControlPlaneLockLost; other trouble is waited out."""
        while True:
            try:
                await self.repeat()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("alertmanager_store_failed", channel=self._document.name, code=error.code, error=error.message)
            except DbreError as error:
                _log.warning("alertmanager_not_told", channel=self._document.name, code=error.code, error=error.message)
            await self._ground.clock.sleep(self._document.resend_interval.total_seconds())

    async def repeat(self) -> int:
        """Tell of everything that fires or is over since a quarter of an hour; how many were told.

        Raises: DeliveryPostponed, Unreachable, a StoreError.
        """
        table, now = alertmanager_alerts, self._ground.clock.now()
        async with self._busy:
            statement = select(table).where(
                table.c.channel == self._document.name,
                table.c.refused.is_(None),
                or_(table.c.ended_at.is_(None), table.c.ended_at > now - _RESOLVED_FOR),
            )
            async with self._ground.store.read() as connection:
                alerts = [_of(row) for row in await connection.execute(statement.order_by(table.c.started_at))]
            refused = await tell_all(self._members, alerts, fires_until=self._fires_until()) if alerts else {}
        await self._note_refused(refused)
        await self._forget(now)
        return len(alerts) - len(refused)

    def _fires_until(self) -> datetime:
        return self._ground.clock.now() + _INTERVALS_LEFT * self._document.resend_interval

    def _alert_of(self, event: Event) -> OutgoingAlert | None:
        data = event.data
        labels = labels_of(f"cluster/{data.get('cluster')}", self._ground.fleet)
        if data.get("severity") not in self._document.urgencies:
            return None
        if self._selector.terms and not self._selector.allows(labels):
            return None
        started = moment_from(data.get("fired_at")) or event.at
        ended = moment_from(data.get("resolved_at"))
        if event.kind.endswith("_resolved"):
            ended = ended or event.at
        return OutgoingAlert(
            alert_id=str(data["alert_id"]),
            document=alert_document(event, labels={**labels, **self._document.labels}, base_url=self._ground.base_url),
            started_at=started,
            ended_at=ended,
        )

    async def _note_refused(self, refused: Mapping[str, str]) -> None:
        """What is refused once is refused always: it is not sent again, so that it does not cost every repetition."""
        table = alertmanager_alerts
        for alert_id, said in refused.items():
            _log.error("alert_refused", channel=self._document.name, alert=alert_id, error=said)
            chosen = (table.c.channel == self._document.name, table.c.alert_id == alert_id)
            async with self._ground.store.begin() as connection:
                await connection.execute(update(table).where(*chosen).values(refused=said))

    async def _forget(self, now: datetime) -> None:
        table = alertmanager_alerts
        old = (table.c.channel == self._document.name, table.c.ended_at < now - _FORGOTTEN_AFTER)
        async with self._ground.store.read() as connection:
            if (await connection.execute(select(table.c.alert_id).where(*old).limit(1))).first() is None:
                return
        async with self._ground.store.begin() as connection:
            await connection.execute(delete(table).where(*old))


def _of(row: Row[Any]) -> OutgoingAlert:
    return OutgoingAlert(alert_id=row.alert_id, document=row.document, started_at=row.started_at, ended_at=row.ended_at)
