"""Discord: embeds to the webhook of a channel."""

import json
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dbre.capabilities.incident.channels.documents import DiscordDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.channels.wording import clip, paragraph, tone
from dbre.capabilities.incident.documents import check_url
from dbre.capabilities.incident.notice import Notice, Receipt
from dbre.capabilities.incident.posting import Answer, Request
from dbre.core.clock import Clock
from dbre.core.events import DeliveryPostponed
from dbre.core.text import one_line

__all__ = ["DiscordChannel"]

_TITLE, _DESCRIPTION, _FIELDS, _NAME, _VALUE = 256, 2_400, 16, 60, 120  # of 256, 4,096, 25, 256, 1,024; and 6,000 in all
_COLOURS = {"good": 0x2E7D32, "calm": 0x546E7A, "warning": 0xF9A825, "alarm": 0xC62828}
_MARKDOWN = re.compile(r"([\\`*_~|>\[\]()#<:@-])")
_ANSWER_BYTES = 4_096
_LONGEST_WAIT = 3_600.0


class DiscordChannel:
    """One channel of a server."""

    def __init__(self, document: DiscordDocument, clock: Clock) -> None:
        self._document = document
        self._http = HttpService(document, clock, answer_bytes=_ANSWER_BYTES)

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Post one embed. People are mentioned only where an escalation names them; nothing in a text can."""
        url = urlsplit(check_url((await self._document.webhook_url.resolve()).reveal()))
        waiting = urlunsplit((url.scheme, url.netloc, url.path, "wait=true", ""))  # the answer then tells of what is wrong
        body = json.dumps(_message(notice), separators=(",", ":")).encode()
        answer = await self._http.exchange(waiting, Request(body=body, headers={"Content-Type": "application/json"}))
        self._postpone(answer)
        self._http.judge(answer)
        return earlier

    def _postpone(self, answer: Answer) -> None:
        """Discord says in the body how long to wait, to the millisecond; its header counts whole seconds."""
        if answer.status != 429:
            return
        try:
            wait = float(json.loads(answer.body)["retry_after"])
        except (ValueError, TypeError, KeyError):
            return  # then the header counts
        if not 0 <= wait <= _LONGEST_WAIT:
            return
        raise DeliveryPostponed(f"{self._http.who} answers 429 and asks to come back in {wait:g} s", wait_seconds=wait)


def _message(notice: Notice) -> dict[str, Any]:
    embed: dict[str, Any] = {
        "title": _plain(one_line(notice.title, limit=200), _TITLE),
        "description": _plain(paragraph(notice.text, _DESCRIPTION), _DESCRIPTION),
        "color": _COLOURS[tone(notice)],
        "timestamp": notice.at.isoformat(),
        "fields": [
            {"name": clip(one_line(name), _NAME), "value": _plain(one_line(value), _VALUE) or "-", "inline": True}
            for name, value in notice.facts[:_FIELDS]
        ],
    }
    if notice.link:
        embed["url"] = notice.link
    people = [one for one in notice.recipients if one.isascii() and one.isdigit()]
    return {
        "content": " ".join(f"<@{one}>" for one in people),
        "embeds": [embed],
        "allowed_mentions": {"parse": [], "users": people},
    }


def _plain(text: str, limit: int) -> str:
    """Escaped, and cut so that no escape is cut in two."""
    escaped = _MARKDOWN.sub(r"\\\1", text)
    return escaped if len(escaped) <= limit else _MARKDOWN.sub(r"\\\1", clip(text, limit // 2))
