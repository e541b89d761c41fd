"""Answers Slack: who is it, may they, what do they want."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from dbre.capabilities.incident.chatops.commands import ChatCommands, ChatGround
from dbre.capabilities.incident.chatops.slack_request import (
    LARGEST_BODY,
    SKEW_SECONDS,
    ChatAsk,
    asked_of,
    check_slack_signature,
)
from dbre.capabilities.incident.errors import ChatRequestInvalid, SignatureInvalid
from dbre.capabilities.incident.incidents_document import SlackAppDocument
from dbre.core.errors import DbreError, Denied
from dbre.core.identity.access import Access
from dbre.core.identity.local import local_principal
from dbre.core.identity.model import Principal, PrincipalKind
from dbre.core.text import HIDDEN, one_line, printable

__all__ = ["ChatReply", "SlackReceiver"]

_PATIENCE_SECONDS = 2.5  # Slack gives up after 3
_LIMIT_SECONDS = 60.0  # of a command that goes on behind the answer
_LONGEST_ANSWER = 3_000
_REMEMBERED = 10_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatReply:
    """What goes back: a status, and a JSON body or nothing."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"


class SlackReceiver:
    """``handle`` takes the body as it came, before any parsing. One request acts once, however often it is sent."""

    def __init__(self, document: SlackAppDocument, access: Access, ground: ChatGround) -> None:
        self._document = document
        self._access = access
        self._ground = ground
        self._taken: dict[str, float] = {}  # signature and when it is too old to be sent again
        self._behind: set[asyncio.Task[str]] = set()

    async def handle(self, body: bytes, headers: Mapping[str, str]) -> ChatReply:
        """Answer one request. 401: not signed by Slack, or sent again; 400: nothing that we know; 200: said in words."""
        if len(body) > LARGEST_BODY:
            return ChatReply(status=413)
        now = self._ground.clock.now().timestamp()
        try:
            signature = check_slack_signature(await self._document.signing_secret.resolve(), headers, body, now=now)
            self._take(signature, now)
            ask = asked_of(body)
        except SignatureInvalid as error:
            _log.warning("slack_request_refused", reason=error.message)
            return ChatReply(status=401)
        except ChatRequestInvalid as error:
            _log.warning("slack_request_not_understood", reason=error.message)
            return ChatReply(status=400)
        if ask is None or (ask.is_button and not ask.words):
            return ChatReply(status=200)
        return _said(await self._answer(ask))

    async def aclose(self) -> None:
        """Wait for commands that go on behind their answer."""
        if self._behind:
            await asyncio.wait(self._behind, timeout=_LIMIT_SECONDS)

    def _take(self, signature: str, now: float) -> None:
        self._taken = {one: until for one, until in self._taken.items() if until >= now}
        if signature in self._taken:
            raise SignatureInvalid("the request was taken already", hint="a replay")
        if len(self._taken) >= _REMEMBERED:
            raise SignatureInvalid(f"more than {_REMEMBERED} requests came in {2 * SKEW_SECONDS} s")
        self._taken[signature] = now + 2 * SKEW_SECONDS

    async def _answer(self, ask: ChatAsk) -> str:
        task = asyncio.create_task(self._carried_out(ask))
        self._behind.add(task)
        task.add_done_callback(self._behind.discard)
        done, _ = await asyncio.wait({task}, timeout=_PATIENCE_SECONDS)
        return task.result() if done else "it takes longer; ask for the status in a moment"

    async def _carried_out(self, ask: ChatAsk) -> str:
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                principal = self._principal(ask.user)
                answer = await ChatCommands(self._ground, principal).answer(ask.words)
            _log.info(
                "chat_command_answered",
                user=ask.user,
                principal=principal.name,
                command=one_line(ask.words[0], limit=20) if ask.words else "help",
            )
        except TimeoutError:
            return f"it did not end within {_LIMIT_SECONDS:.0f} s"
        except DbreError as error:
            _log.info("chat_command_refused", user=ask.user, code=error.code)
            return error.message + (f" ({error.hint})" if error.hint else "")
        return answer

    def _principal(self, user: str) -> Principal:
        """Raises: Denied for a user of Slack who stands for nobody here, also where the identity was removed since."""
        name = self._document.users.get(user)
        if name is None:
            raise Denied(
                f"the Slack user {printable(user, limit=40)} stands for nobody here",
                hint="an administrator adds it to incidents.chat.slack.users",
            )
        if self._access.is_embedded:
            return Principal(name=name, kind=PrincipalKind.PERSON, grants=local_principal().grants)
        identity = self._access.identity(name)
        if identity is None:
            raise Denied(f"{name} is not known here any more", hint="access.principals")
        return Principal(name=identity.name, kind=identity.kind, grants=identity.grants)


def _said(text: str) -> ChatReply:
    document = {"response_type": "ephemeral", "text": mrkdwn(text)}
    return ChatReply(status=200, body=json.dumps(document, ensure_ascii=True).encode())


def mrkdwn(text: str) -> str:
    r"""Text in which nothing is a command to Slack: ``<!channel>`` of a database's error pages nobody.

    >>> mrkdwn("a <!channel> & b")
    'a &lt;!channel&gt; &amp; b'
    """
    lines = [HIDDEN.sub("\ufffd", line) for line in text.split("\n")]
    shown = "\n".join(lines)
    if len(shown) > _LONGEST_ANSWER:
        shown = shown[: _LONGEST_ANSWER - 1] + "…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
