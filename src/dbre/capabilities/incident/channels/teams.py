"""Microsoft Teams: an adaptive card to the webhook of a workflow."""

import json
import re
from typing import Any

from dbre.capabilities.incident.channels.documents import TeamsDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.channels.wording import clip, paragraph, tone
from dbre.capabilities.incident.documents import check_url
from dbre.capabilities.incident.notice import Notice, Receipt
from dbre.capabilities.incident.posting import Request
from dbre.core.clock import Clock
from dbre.core.text import one_line

__all__ = ["TeamsChannel", "without_markdown"]

_CARD_BYTES = 24_000  # of 28 KB, with room for the envelope
_TEXT = 4_000
_FACT = 300
_COLOURS = {"good": "good", "calm": "default", "warning": "warning", "alarm": "attention"}
_MARKDOWN = re.compile(r"([\\`*_\[\]()#+\-.!~<>|])")


def without_markdown(text: str) -> str:
    r"""Text in which no character has a meaning to a reader of Markdown.

    >>> print(without_markdown("[x](http://evil) *b*"))
    \[x\]\(http://evil\) \*b\*
    """
    return _MARKDOWN.sub(r"\\\1", text)


class TeamsChannel:
    """One channel of a team."""

    def __init__(self, document: TeamsDocument, clock: Clock) -> None:
        self._document = document
        self._http = HttpService(document, clock)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Post one card. A workflow answers before it has posted, and gives no id: messages have no thread."""
        url = check_url((await self._document.webhook_url.resolve()).reveal())
        await self._http.send(url, Request(body=_body(notice), headers={"Content-Type": "application/json"}))
        return earlier


def _body(notice: Notice) -> bytes:
    limit = _TEXT
    while True:
        body = json.dumps(_message(notice, limit), separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
        if len(body) <= _CARD_BYTES or limit < 100:
            return body
        limit //= 2  # letters of other alphabets take up to four bytes, and escaping doubles


def _message(notice: Notice, limit: int) -> dict[str, Any]:
    title = {"type": "TextBlock", "text": without_markdown(one_line(notice.title, limit=200)), "wrap": True, "size": "large"}
    body: list[dict[str, Any]] = [{**title, "weight": "bolder", "color": _COLOURS[tone(notice)]}]
    if notice.text:
        text = without_markdown(paragraph(notice.text, limit)).replace("\n", "\n\n")
        body.append({"type": "TextBlock", "text": text, "wrap": True})
    if notice.facts:
        longest = min(_FACT, max(limit // 10, 20))
        facts = [
            {"title": one_line(name, limit=60), "value": without_markdown(one_line(value, limit=longest))}
            for name, value in notice.facts[:20]
        ]
        body.append({"type": "FactSet", "facts": facts})
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": clip(one_line(notice.title, limit=200), 200),
        "body": body,
    }
    if notice.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in dbre", "url": notice.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}
