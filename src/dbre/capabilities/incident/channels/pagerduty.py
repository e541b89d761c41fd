"""PagerDuty, Events API v2."""

import json
from collections.abc import Mapping
from typing import Any

from dbre.capabilities.incident.channels.documents import PagerDutyDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.channels.wording import clip, paragraph
from dbre.capabilities.incident.notice import Notice, NoticeKind, Receipt, Urgency
from dbre.capabilities.incident.posting import Request
from dbre.core.clock import Clock
from dbre.core.text import one_line

__all__ = ["PagerDutyChannel"]

_SUMMARY = 1024
_KEY = 255
_TEXT = 8_000  # an event may have 512 KB in all
_ACTIONS = {NoticeKind.ACKNOWLEDGED: "acknowledge", NoticeKind.RESOLVED: "resolve"}
_SEVERITIES = {"sev1": "critical", "sev2": "error", "sev3": "warning", "sev4": "info"}
_LEFT_OUT = frozenset({NoticeKind.APPROVAL, NoticeKind.DIGEST})  # of no incident: nothing would ever resolve them


class PagerDutyChannel:
    """One integration. PagerDuty knows by the key what it has heard already, so that a repeated delivery changes nothing."""

    def __init__(self, document: PagerDutyDocument, clock: Clock) -> None:
        self._document = document
        self._http = HttpService(document, clock)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Trigger, acknowledge or resolve. A test is resolved at once."""
        is_after_the_end = notice.kind is NoticeKind.UPDATED and notice.ended_at is not None
        if notice.kind in _LEFT_OUT or is_after_the_end:  # a trigger would open there what is resolved
            return earlier
        key = clip(notice.thread or notice.id, _KEY)
        await self._send(notice, key, _ACTIONS.get(notice.kind, "trigger"))
        if notice.kind is NoticeKind.TEST:
            await self._send(notice, key, "resolve")
        return Receipt(reference=key)

    async def _send(self, notice: Notice, key: str, action: str) -> None:
        secret = await self._document.routing_key.resolve()
        event: dict[str, Any] = {"routing_key": secret.reveal(), "event_action": action, "dedup_key": key}
        if action == "trigger":
            event |= {"client": "dbre", "payload": _payload(notice)}
            if notice.link:
                event |= {"client_url": notice.link, "links": [{"href": notice.link, "text": "open in dbre"}]}
        body = json.dumps(event, separators=(",", ":")).encode()
        await self._http.send(self._document.url, Request(body=body, headers={"Content-Type": "application/json"}))


def _payload(notice: Notice) -> Mapping[str, Any]:
    severity = _SEVERITIES.get(notice.severity, "critical" if notice.urgency is Urgency.PAGE else "warning")
    started = notice.started_at or notice.at
    payload = {
        "summary": clip(one_line(notice.title, limit=_SUMMARY), _SUMMARY),
        "source": one_line(notice.cluster) or "dbre",
        "severity": "info" if notice.kind is NoticeKind.TEST else severity,
        "timestamp": started.isoformat(),
        "custom_details": {"text": paragraph(notice.text, _TEXT), **{name: one_line(value) for name, value in notice.facts}},
    }
    return payload | ({"component": one_line(notice.slo)} if notice.slo else {})
