"""Notices to an endpoint of your own, signed after Standard Webhooks."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dbre.capabilities.incident.channels.documents import WebhookDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.notice import Notice, Receipt
from dbre.capabilities.incident.posting import Request
from dbre.capabilities.incident.signature import sign
from dbre.core.clock import Clock

__all__ = ["SignedWebhookChannel"]


class SignedWebhookChannel:
    """One endpoint; what it gets is the notice as it is."""

    def __init__(self, document: WebhookDocument, clock: Clock) -> None:
        self._document = document
        self._clock = clock
        self._http = HttpService(document, clock)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Post it. The id of the webhook is that of the notice, at each attempt."""
        secret = await self._document.secret.resolve()
        body = json.dumps(_document(notice), sort_keys=True, separators=(",", ":")).encode()
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, webhook_id=notice.id, timestamp=timestamp, body=body),
        }
        await self._http.send(self._document.url, Request(body=body, headers=headers))
        return earlier


def _document(notice: Notice) -> Mapping[str, Any]:
    data = {
        "thread": notice.thread,
        "urgency": notice.urgency.value,
        "severity": notice.severity or None,
        "title": notice.title,
        "text": notice.text,
        "cluster": notice.cluster or None,
        "slo": notice.slo or None,
        "facts": dict(notice.facts),
        "link": notice.link or None,
        "started_at": _text(notice.started_at),
        "ended_at": _text(notice.ended_at),
        "recipients": list(notice.recipients),
    }
    return {"id": notice.id, "type": f"notice.{notice.kind.value}", "timestamp": _text(notice.at), "data": data}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
