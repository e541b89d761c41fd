"""What an Alertmanager tells us by webhook (version 4): its alerts become events, each transition once.

An alert is known by its fingerprint and its beginning, not by the group that brought it: groups come again, late, in another
order and cut short. An alert of which nothing is heard for long is over.
"""

import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.delivery.tables import alertmanager_alerts, received_alerts
from dbre.capabilities.incident.errors import HookInvalid, HookRefused
from dbre.capabilities.incident.oncall.documents import AlertmanagerWebhookDocument
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events import EventLog
from dbre.core.ids import uuid7
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost
from dbre.core.text import one_line, quoted

__all__ = ["LARGEST_BODY", "AlertmanagerReceiver", "Heard", "ReceivedAlert", "read_webhook"]

LARGEST_BODY = 4 * 1024 * 1024
"""Bytes of a webhook that are read at most; the web floor refuses a larger one before it is read."""
_MOST_ALERTS = 10_000
_SHORTEST_TOKEN = 16
_AT_ONCE = 200  # alerts in one transaction
_LOOK_SECONDS = 60.0
_KEPT = timedelta(days=30)
_GIVEN_UP = "is_given_up"  # in the document of an alert that was ended because nothing was heard of it
_NEVER_ENDED = "0001-01-01"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedAlert:
    """One alert of a webhook."""

    fingerprint: str
    started_at: datetime
    ended_at: datetime | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a webhook brought: transitions that were new, and alerts that were known as they are."""

    fired: int
    resolved: int
    known: int


class AlertmanagerReceiver:
    """``handle`` takes webhooks; ``run`` ends alerts of which nothing is heard."""

    def __init__(self, document: AlertmanagerWebhookDocument, store: Store, clock: Clock) -> None:
        self._document = document
        self._store = store
        self._clock = clock
        self._events = EventLog(clock)

    async def handle(self, body: bytes, headers: Mapping[str, str]) -> Heard:
        """Take one webhook; it may come again. ``headers`` in lower case.

        Raises: HookRefused without the right token, HookInvalid for what is not a webhook, a StoreError.
        """
        await self._check(headers.get("authorization", ""))
        alerts = read_webhook(body)
        counts = {"fired": 0, "resolved": 0, "known": 0}
        for index in range(0, len(alerts), _AT_ONCE):  # others write in between; what was taken comes again without harm
            async with self._store.begin() as connection:
                for one in alerts[index : index + _AT_ONCE]:
                    counts[await self._take(connection, one)] += 1
        return Heard(**counts)

    async def run(self) -> None:
        """End stale alerts until cancelled. Raises: ControlPlaneLockLost; other trouble of the store is waited out."""
        while True:
            try:
                await self.end_stale()
                await self.forget()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("received_alerts_store_failed", code=error.code, error=error.message)
            await self._clock.sleep(_LOOK_SECONDS)

    async def end_stale(self) -> int:
        """End the alerts that were not heard of for too long; how many."""
        table, now = received_alerts, self._clock.now()
        stale = (table.c.ended_at.is_(None), table.c.heard_at < now - self._document.stale_after)
        async with self._store.read() as connection:
            if (await connection.execute(select(table.c.fingerprint).where(*stale).limit(1))).first() is None:
                return 0
        async with self._store.begin() as connection:
            rows = (await connection.execute(select(table).where(*stale))).all()
            for row in rows:
                one = ReceivedAlert(
                    fingerprint=row.fingerprint,
                    started_at=row.started_at,
                    ended_at=now,
                    labels=row.document["labels"],
                    annotations=row.document["annotations"],
                )
                await self._resolve(connection, one, row.alert_id, is_stale=True)
        return len(rows)

    async def forget(self) -> int:
        """Drop the alerts that are long over and of which nothing was heard since; how many."""
        table = received_alerts
        old = (table.c.ended_at.is_not(None), table.c.heard_at < self._clock.now() - _KEPT)
        async with self._store.read() as connection:
            if (await connection.execute(select(table.c.fingerprint).where(*old).limit(1))).first() is None:
                return 0
        async with self._store.begin() as connection:
            return (await connection.execute(delete(table).where(*old))).rowcount

    async def _check(self, authorization: str) -> None:
        secret = (await self._document.token.resolve()).reveal()
        if len(secret) < _SHORTEST_TOKEN:
            raise HookRefused(f"the token of oncall.alertmanager_webhook is shorter than {_SHORTEST_TOKEN} characters")
        if not hmac.compare_digest(authorization.encode(), f"Bearer {secret}".encode()):
            raise HookRefused("the webhook has no valid token", hint="http_config: authorization: credentials_file: ...")

    async def _take(self, connection: AsyncConnection, one: ReceivedAlert) -> str:
        if await _is_our_own(connection, one):
            return "known"
        table, now = received_alerts, self._clock.now()
        same = (table.c.fingerprint == one.fingerprint, table.c.started_at == one.started_at)
        known = (await connection.execute(select(table).where(*same))).first()
        # What was given up for want of news and is told again goes on: only who tells of an end is believed for good.
        is_back = known is not None and one.ended_at is None and bool(known.document.get(_GIVEN_UP))
        if known is None or is_back:
            alert_id = str(uuid7(self._clock))
            row = {
                "fingerprint": one.fingerprint,
                "started_at": one.started_at,
                "alert_id": alert_id,
                "ended_at": one.ended_at,
                "heard_at": now,
                "document": _document(one),
            }
            await self._store.insert_or_update(table, [row], keys=["fingerprint", "started_at"], connection=connection)
            if one.ended_at is not None:  # its beginning never came: nobody was told, so there is nothing to take back
                return "known"
            await self._emit(connection, "alertmanager.alert_fired", one, alert_id)
            return "fired"
        if known.ended_at is None and one.ended_at is not None:
            await self._resolve(connection, one, known.alert_id, is_stale=False)
            return "resolved"
        # A repetition, or a firing that was overtaken by its end: an alert that fires anew has another beginning.
        await connection.execute(update(table).where(*same).values(heard_at=now))
        return "known"

    async def _resolve(self, connection: AsyncConnection, one: ReceivedAlert, alert_id: str, *, is_stale: bool) -> None:
        table = received_alerts
        same = (table.c.fingerprint == one.fingerprint, table.c.started_at == one.started_at)
        document = _document(one) | ({_GIVEN_UP: True} if is_stale else {})
        values = {"ended_at": one.ended_at, "heard_at": self._clock.now(), "document": document}
        await connection.execute(update(table).where(*same).values(values))
        await self._emit(connection, "alertmanager.alert_resolved", one, alert_id, is_stale=is_stale)

    async def _emit(
        self, connection: AsyncConnection, kind: str, one: ReceivedAlert, alert_id: str, *, is_stale: bool = False
    ) -> None:
        labels, annotations = one.labels, one.annotations
        severity = labels.get("severity", "")
        data = {
            "alert_id": alert_id,
            "fingerprint": one.fingerprint,
            "rule": labels.get("alertname", ""),
            "severity": "page" if severity in ("page", "critical") else "ticket",
            "cluster": labels.get("cluster", ""),
            "slo": labels.get("slo", ""),
            "group": labels.get("group", ""),
            "summary": annotations.get("summary") or annotations.get("description") or annotations.get("title", ""),
            "labels": dict(labels),
            "fired_at": _text(one.started_at),
            "resolved_at": None if one.ended_at is None else _text(one.ended_at),
            "is_stale": is_stale,
        }
        subject = one_line(labels.get("alertname", "") or one.fingerprint, limit=200)
        await self._events.emit(connection, kind=kind, subject=subject, data=data)


def _document(one: ReceivedAlert) -> dict[str, Any]:
    return {"labels": dict(one.labels), "annotations": dict(one.annotations)}


async def _is_our_own(connection: AsyncConnection, one: ReceivedAlert) -> bool:
    """Whether we told that Alertmanager of the alert ourselves: it must not come back as another one."""
    alert_id = one.annotations.get("alert_id")
    if not alert_id:
        return False
    found = select(alertmanager_alerts.c.alert_id).where(alertmanager_alerts.c.alert_id == alert_id).limit(1)
    return (await connection.execute(found)).first() is not None


def read_webhook(body: bytes) -> Sequence[ReceivedAlert]:
    """The alerts of a webhook. Raises: HookInvalid saying what is wrong with it."""
    if len(body) > LARGEST_BODY:
        raise HookInvalid(f"the webhook has {len(body)} bytes; at most {LARGEST_BODY} are read")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise HookInvalid("the webhook is not JSON", hint="it is what Alertmanager's webhook_configs sends") from error
    alerts = document.get("alerts") if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("version") != "4" or not isinstance(alerts, list):
        raise HookInvalid("the webhook is not of Alertmanager's version 4", hint='it has "version": "4" and "alerts": [...]')
    if len(alerts) > _MOST_ALERTS:
        raise HookInvalid(f"the webhook has {len(alerts)} alerts; at most {_MOST_ALERTS} are taken", hint="set max_alerts")
    return [_alert(number, one) for number, one in enumerate(alerts)]


def _alert(number: int, one: Any) -> ReceivedAlert:
    if not isinstance(one, dict) or one.get("status") not in ("firing", "resolved"):
        raise HookInvalid(f"alert {number} of the webhook is neither firing nor resolved")
    fingerprint = one.get("fingerprint")
    if not isinstance(fingerprint, str) or not fingerprint or len(fingerprint) > 64:
        raise HookInvalid(f"alert {number} of the webhook has no fingerprint")
    started = _moment(number, one.get("startsAt"))
    if started is None:
        raise HookInvalid(f"alert {number} of the webhook has no beginning")
    ended = _moment(number, one.get("endsAt")) if one["status"] == "resolved" else None
    if one["status"] == "resolved" and ended is None:
        ended = started
    return ReceivedAlert(
        fingerprint=fingerprint,
        started_at=started,
        ended_at=ended,
        labels=_texts(one.get("labels")),
        annotations=_texts(one.get("annotations")),
    )


def _moment(number: int, value: object) -> datetime | None:
    if value is None or (isinstance(value, str) and value.startswith(_NEVER_ENDED)):
        return None
    try:
        moment = datetime.fromisoformat(str(value))
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        shown = quoted(str(value), limit=60)
        raise HookInvalid(f"alert {number} of the webhook has a moment that is none: {shown}") from error


def _texts(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {str(key)[:200]: str(text)[:4_000] for key, text in value.items()}


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
