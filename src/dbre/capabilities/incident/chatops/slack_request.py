"""Requests of Slack: their signature, and what they ask. Source: Slack API, "Verifying requests from Slack"."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from dbre.capabilities.incident.errors import ChatRequestInvalid, SecretUnusable, SignatureInvalid
from dbre.core.secrets import Secret

__all__ = ["LARGEST_BODY", "SKEW_SECONDS", "ChatAsk", "asked_of", "check_slack_signature", "slack_signature"]

SKEW_SECONDS = 300
LARGEST_BODY = 256 * 1024
_SHORTEST_SECRET = 16
_MOST_FIELDS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAsk:
    """What somebody wants: words as after a slash command. ``user`` is Slack's id, never a name, which anybody may choose."""

    user: str
    words: tuple[str, ...]
    is_button: bool = False


def slack_signature(secret: Secret, *, timestamp: int, body: bytes) -> str:
    """The value of ``X-Slack-Signature``.

    >>> slack_signature(Secret("8f742231b10e8888abcd99yyyzzz85a5"), timestamp=1531420618, body=b"token=x")[:11]
    'v0=3eeaac30'
    """
    key = secret.reveal().encode()
    if len(key) < _SHORTEST_SECRET:
        raise SecretUnusable(
            f"the signing secret of Slack has {len(key)} bytes; at least {_SHORTEST_SECRET} are expected",
            hint="copy it from Basic Information of the app",
        )
    return "v0=" + hmac.new(key, b"v0:%d:" % timestamp + body, hashlib.sha256).hexdigest()


def check_slack_signature(secret: Secret, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> str:
    """Let only a request pass that Slack signed in the last five minutes; its signature.

    Raises: SignatureInvalid, for whatever reason with the same words to the sender; SecretUnusable.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    stamp, given = lower.get("x-slack-request-timestamp", ""), lower.get("x-slack-signature", "")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or not given:
        raise SignatureInvalid("the request bears no signature of Slack", hint="it did not come from Slack")
    if abs((time.time() if now is None else now) - int(stamp)) > SKEW_SECONDS:
        raise SignatureInvalid(
            f"the request was signed more than {SKEW_SECONDS} s ago or ahead", hint="a replay, or one of the clocks is wrong"
        )
    expected = slack_signature(secret, timestamp=int(stamp), body=body)
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogateescape")):
        raise SignatureInvalid("the signature of the request does not fit the signing secret", hint="incidents.chat.slack")
    return given


def asked_of(body: bytes) -> ChatAsk | None:
    """What a genuine request asks; None where Slack only looks whether we are there.

    Raises: ChatRequestInvalid.
    """
    try:
        fields = parse_qs(body.decode(), max_num_fields=_MOST_FIELDS, keep_blank_values=True)
    except (UnicodeDecodeError, ValueError) as error:
        raise ChatRequestInvalid("the body is not a form") from error
    if "ssl_check" in fields:
        return None
    if "payload" in fields:
        return _interaction(fields["payload"][0])
    user, command = fields.get("user_id", [""])[0], fields.get("command", [""])[0]
    if not user or not command:
        raise ChatRequestInvalid("the form is neither a slash command nor an interaction")
    return ChatAsk(user=user, words=tuple(fields.get("text", [""])[0].split()))


_BUTTONS = {
    "incident_ack": "ack",
    "incident_resolve": "resolve",
    "incident_status": "status",
    "operation_approve": "approve",
}


def _interaction(text: str) -> ChatAsk:
    try:
        payload: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChatRequestInvalid("the payload is not JSON") from error
    user = payload.get("user") if isinstance(payload, dict) else None
    actions = payload.get("actions") if isinstance(payload, dict) else None
    name = user.get("id") if isinstance(user, dict) else None
    first = actions[0] if isinstance(actions, list) and actions and isinstance(actions[0], dict) else {}
    if not isinstance(name, str) or payload.get("type") != "block_actions":
        raise ChatRequestInvalid("the payload is not a pressed button")
    if first.get("action_id") not in _BUTTONS:
        return ChatAsk(user=name, words=(), is_button=True)  # a link button: Slack tells of it too
    return ChatAsk(user=name, words=(_BUTTONS[first["action_id"]], *str(first.get("value", "")).split()), is_button=True)
