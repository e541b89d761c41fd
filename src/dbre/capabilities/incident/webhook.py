"""Posts alert events to receivers: signed, with limits of time, never redirected, never to a forbidden address."""

import json
from datetime import UTC

import structlog

from dbre.capabilities.incident.address_guard import AddressPolicy
from dbre.capabilities.incident.documents import ReceiverDocument
from dbre.capabilities.incident.posting import Destination, Request, judge, post
from dbre.capabilities.incident.signature import sign
from dbre.core.clock import Clock
from dbre.core.events import Backoff, Event, Subscription

__all__ = ["ALERT_KINDS", "PATIENCE", "Webhook", "webhook_body", "webhook_subscriptions"]

ALERT_KINDS = ("slo.alert_fired", "slo.alert_resolved")
PATIENCE = Backoff(base_seconds=0.5, cap_seconds=120.0, max_attempts=150)
"""About two and a half hours: a receiver that comes back hears of an alert within two minutes."""

_log = structlog.get_logger(__name__)


def webhook_body(event: Event) -> bytes:
    """The JSON body; the same bytes at each attempt.

    >>> from datetime import datetime
    >>> from uuid import UUID
    >>> webhook_body(Event(id=UUID(int=7), sequence=1, kind="a.b", subject="s", at=datetime(2026, 1, 1, tzinfo=UTC), data={}))
    b'{"data":{},"id":"00000000-0000-0000-0000-000000000007","subject":"s","timestamp":"2026-01-01T00:00:00Z","type":"a.b"}'
    """
    document = {
        "id": str(event.id),
        "type": event.kind,
        "timestamp": event.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "subject": event.subject,
        "data": dict(event.data),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class Webhook:
    """One receiver. Called with an event by the event delivery, which repeats it after an error."""

    def __init__(self, receiver: ReceiverDocument, *, clock: Clock) -> None:
        self._receiver = receiver
        self._clock = clock
        self._destination = Destination(
            who=f"receiver {receiver.name}",
            url=receiver.url,
            timeout_seconds=receiver.timeout.total_seconds(),
            policy=AddressPolicy(allow_loopback=receiver.allow_loopback, allow_private=receiver.allow_private),
            tls_ca_file=receiver.tls_ca_file,
        )

    async def __call__(self, event: Event) -> None:
        """Deliver one event, or do nothing where the receiver does not want its severity.

        Raises: DeliveryRefused where another attempt would not help (4xx, redirect, forbidden address), DeliveryPostponed
        where the receiver names a time, Unreachable for anything else.
        """
        if event.data.get("severity") not in self._receiver.severities:
            return
        secret = await self._receiver.secret.resolve()
        body, timestamp = webhook_body(event), int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": str(event.id),
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, webhook_id=str(event.id), timestamp=timestamp, body=body),
        }
        answer = await post(self._destination, Request(body=body, headers=headers))
        judge(answer, self._destination.who, self._clock.now())
        _log.info("webhook_delivered", receiver=self._receiver.name, event_id=str(event.id), status=answer.status)


def webhook_subscriptions(
    receivers: tuple[ReceiverDocument, ...], *, clock: Clock, backoff: Backoff | None = None
) -> list[Subscription]:
    """One subscription to alert events for each receiver, so that a slow one holds up no other."""
    return [
        Subscription(
            name=f"webhook:{receiver.name}",
            kinds=ALERT_KINDS,
            handler=Webhook(receiver, clock=clock),
            backoff=backoff or PATIENCE,
            timeout_seconds=receiver.timeout.total_seconds() + 15,  # the webhook's own limit, and time to fetch the secret
        )
        for receiver in receivers
    ]
