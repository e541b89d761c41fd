"""Slack: messages of one incident are one thread, whose first message shows the state."""

import json
from collections.abc import Mapping
from typing import Any

from dbre.capabilities.incident.channels.documents import SlackDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.channels.roll import Roll
from dbre.capabilities.incident.channels.wording import clip, lines, paragraph
from dbre.capabilities.incident.documents import check_url
from dbre.capabilities.incident.notice import Notice, NoticeKind, Receipt
from dbre.capabilities.incident.posting import Request
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.events import DeliveryPostponed, DeliveryRefused
from dbre.core.text import one_line, printable

__all__ = ["SlackChannel", "escaped"]

_HEADER = 150  # characters of a block of the kind header
_SECTION = 2_900  # of 3,000: escaping is done before cutting, but marks are added
_ANSWER_BYTES = 64_000  # chat.postMessage repeats the whole message
_MOMENTARY = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    }
)
_GONE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})
_ACTS = {"incident_ack": "Acknowledge", "incident_status": "Status", "operation_approve": "Approve this plan"}
_STATE_CHANGES = frozenset({NoticeKind.ACKNOWLEDGED, NoticeKind.RESOLVED, NoticeKind.UPDATED, NoticeKind.OPENED})


def escaped(text: str) -> str:
    """Text that Slack shows as it is: no link, no mention, no command.

    Source: Slack API, "Formatting text", "Escaping text".

    >>> escaped("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class SlackChannel:
    """One channel of a workspace, and the people whom an escalation names."""

    def __init__(self, document: SlackDocument, clock: Clock) -> None:
        self._document = document
        self._http = HttpService(document, clock, answer_bytes=_ANSWER_BYTES)
        self._roll = Roll()

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Post; into the thread where there is one, whose first message then shows the new state."""
        if self._document.webhook_url is not None:
            url = check_url((await self._document.webhook_url.resolve()).reveal())
            await self._http.send(url, Request(body=_json(self._message(notice)), headers=_HEADERS))
            return None
        if notice.recipients:
            message = self._message(notice)
            await self._roll.call(notice, lambda one: self._call("chat.postMessage", {**message, "channel": one}))
            return earlier
        channel, _, root = (earlier.reference if earlier else "").partition("/")
        if not root:
            answer = await self._call("chat.postMessage", {**self._message(notice), "channel": self._document.channel})
            return Receipt(reference=f"{answer.get('channel', self._document.channel)}/{answer.get('ts', '')}")
        # First what may be done twice: where the second request fails, the thread does not get the message again.
        if notice.kind in _STATE_CHANGES:
            await self._update({**self._message(notice), "channel": channel, "ts": root})
        # Only what somebody must act on is shown to the whole channel besides the thread.
        is_loud = notice.kind in (NoticeKind.OPENED, NoticeKind.ESCALATED)
        threaded = {**self._message(notice), "channel": channel, "thread_ts": root, "reply_broadcast": is_loud}
        await self._call("chat.postMessage", threaded)
        return earlier

    def _message(self, notice: Notice) -> dict[str, Any]:
        return _message(notice, has_buttons=self._document.has_buttons)

    async def _update(self, message: Mapping[str, Any]) -> None:
        try:
            await self._call("chat.update", message)
        except DeliveryRefused as error:
            # The thread gets the news all the same; a first message that somebody deleted is no reason to keep it back.
            if error.context.get("slack_error") not in _GONE:
                raise

    async def _call(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        assert self._document.token is not None  # noqa: S101 - the section requires it where there is no webhook
        token = (await self._document.token.resolve()).reveal()
        headers = {**_HEADERS, "Authorization": f"Bearer {token}"}
        answer = await self._http.send(
            f"{self._document.url.rstrip('/')}/{method}", Request(body=_json(arguments), headers=headers)
        )
        try:
            found = json.loads(answer.body)
        except ValueError as error:
            raise Unreachable(f"{self._http.who} answers {answer.status} without JSON") from error
        if not isinstance(found, dict) or found.get("ok") is not True:
            raise self._refusal(method, str(found.get("error", "")) if isinstance(found, dict) else "")
        return found

    def _refusal(self, method: str, code: str) -> Exception:
        shown = printable(code, limit=100) or "no reason"
        message = f"{self._http.who} refuses {method}: {shown}"
        if code in ("ratelimited", "rate_limited"):
            return DeliveryPostponed(message, wait_seconds=30)
        if code in _MOMENTARY:
            return Unreachable(message)
        refused = DeliveryRefused(message, hint="look the word up in the reference of Slack's method, then replay the event")
        refused.context = {"slack_error": code}
        return refused


_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _message(notice: Notice, *, has_buttons: bool = False) -> dict[str, Any]:
    title = one_line(notice.title, limit=_HEADER)
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(clip(title, _HEADER))}]
    texts = (paragraph(notice.text, _SECTION), clip("\n".join(lines(notice)), _SECTION))
    blocks.extend({"type": "section", "text": _plain(text)} for text in texts if text)
    elements = [_button(act, argument) for act, argument in notice.buttons if act in _ACTS] if has_buttons else []
    if notice.link:
        elements.append({"type": "button", "text": _plain("Open in dbre"), "url": notice.link, "action_id": "open"})
    if elements:
        blocks.append({"type": "actions", "elements": elements})
    # The text is what notifications show; without mrkdwn no character of it means anything.
    return {"text": escaped(title), "mrkdwn": False, "blocks": blocks, "unfurl_links": False, "unfurl_media": False}


def _button(act: str, argument: str) -> dict[str, Any]:
    return {"type": "button", "text": _plain(_ACTS[act]), "action_id": act, "value": argument}


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}
