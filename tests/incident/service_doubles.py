"""Doubles of the hosted services on loopback: each refuses what the service documents that it refuses."""

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.policy import default as email_policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, dict[str, str], Any]
Check = Callable[["Call"], Answer]


class Wrong(Exception):
    """The request breaks a documented rule."""


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Service:
    """What came in. ``next_answers`` go out before the check is asked; None there closes the connection after reading."""

    check: Check
    calls: list[Call] = field(default_factory=list)
    next_answers: list[Answer | None] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def service(check: Check) -> Iterator[Service]:
    found = Service(check)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            call = Call(self.command, self.path, headers, body)
            found.calls.append(call)
            if found.next_answers:
                answer = found.next_answers.pop(0)
            else:
                try:
                    answer = found.check(call)
                except (Wrong, AssertionError, KeyError, ValueError, TypeError) as error:
                    answer = 400, {}, {"wrong": f"{type(error).__name__}: {error}"}
            if answer is None:
                return
            status, extra, document = answer
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            for name, value in extra.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def must(condition: object, rule: str) -> None:
    if not condition:
        raise Wrong(rule)


def pagerduty(call: Call) -> Answer:
    """Source: PagerDuty, "Send an Alert Event" and the PD-CEF fields."""
    event = call.json
    must(len(call.body) <= 512_000, "at most 512 KB")
    must(
        set(event) <= {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"},
        "unknown",
    )
    must(re.fullmatch(r"[0-9a-zA-Z]{32}", event["routing_key"]), "routing_key has 32 characters")
    must(event["event_action"] in ("trigger", "acknowledge", "resolve"), "event_action")
    must(1 <= len(event["dedup_key"]) <= 255, "dedup_key has at most 255 characters")
    if event["event_action"] == "trigger":
        payload = event["payload"]
        must(1 <= len(payload["summary"]) <= 1024, "summary has at most 1024 characters")
        must(payload["source"], "source")
        must(payload["severity"] in ("critical", "error", "warning", "info"), "severity")
        must(datetime.fromisoformat(payload["timestamp"]).tzinfo, "timestamp")
    return 202, {}, {"status": "success", "dedup_key": event["dedup_key"]}


def slack_webhook(call: Call) -> Answer:
    _slack_message(call.json)
    return 200, {}, b"ok"


class SlackWorkspace:
    """The Web API of one workspace. Source: Slack, chat.postMessage, chat.update, Block Kit."""

    def __init__(self) -> None:
        self.messages: dict[tuple[str, str], dict[str, Any]] = {}

    def __call__(self, call: Call) -> Answer:
        if call.headers.get("authorization") != "Bearer xoxb-test":
            return 200, {}, {"ok": False, "error": "invalid_auth"}
        document = call.json
        _slack_message(document)
        if not re.fullmatch(r"[CUWDG][A-Z0-9]{2,30}", document["channel"]):
            return 200, {}, {"ok": False, "error": "channel_not_found"}
        if call.path.endswith("/chat.update"):
            if (document["channel"], document["ts"]) not in self.messages:
                return 200, {}, {"ok": False, "error": "message_not_found"}
            self.messages[document["channel"], document["ts"]] = document
            return 200, {}, {"ok": True, "channel": document["channel"], "ts": document["ts"]}
        must(call.path.endswith("/chat.postMessage"), "method")
        if "thread_ts" in document:
            must((document["channel"], document["thread_ts"]) in self.messages, "thread_ts is of a message")
        ts = f"17000000{len(self.messages):02}.000100"
        self.messages[document["channel"], ts] = document
        return 200, {}, {"ok": True, "channel": document["channel"], "ts": ts, "message": document}


def _slack_message(document: dict[str, Any]) -> None:
    must(0 < len(document["text"]) <= 4_000, "text has at most 4,000 characters")
    must(not re.search(r"<(?!https?://)", document["text"]), "text holds no command")
    must(len(document["blocks"]) <= 50, "at most 50 blocks")
    must(len(json.dumps(document["blocks"], ensure_ascii=False)) <= 13_200, "blocks have at most 13,200 characters")
    for block in document["blocks"]:
        if block["type"] == "header":
            must(block["text"]["type"] == "plain_text" and 0 < len(block["text"]["text"]) <= 150, "header")
        elif block["type"] == "section":
            must(0 < len(block["text"]["text"]) <= 3_000, "a section has at most 3,000 characters")
            if block["text"]["type"] == "mrkdwn":
                must("<!" not in block["text"]["text"], "a command in text")
        else:
            must(block["type"] == "actions" and len(block["elements"]) <= 25, "actions")
            must(all(len(one["text"]["text"]) <= 75 for one in block["elements"]), "button")


def teams(call: Call) -> Answer:
    """Source: Microsoft, "Create incoming webhooks with Workflows"; Adaptive Cards schema 1.4."""
    must(len(call.body) <= 28 * 1024, "at most 28 KB")
    document = call.json
    must(document["type"] == "message", "type")
    (attachment,) = document["attachments"]
    must(attachment["contentType"] == "application/vnd.microsoft.card.adaptive", "contentType")
    card = attachment["content"]
    must(card["type"] == "AdaptiveCard" and card["version"] == "1.4", "card")
    for element in card["body"]:
        must(element["type"] in ("TextBlock", "FactSet"), "element")
        if element["type"] == "TextBlock":
            must(element["text"], "text")
            must(not re.search(r"(?<!\\)\[[^\]]*\]\(", element["text"]), "a link in text")
    return 202, {}, b""


def discord(call: Call) -> Answer:
    """Source: Discord, "Execute Webhook", "Embed Limits", "Allowed Mentions Object"."""
    must(call.path.endswith("?wait=true"), "wait")
    document = call.json
    must(len(document.get("content", "")) <= 2_000, "content")
    must(document["allowed_mentions"]["parse"] == [], "nothing in a text mentions anybody")
    (embed,) = document["embeds"]
    must(len(embed["title"]) <= 256 and len(embed["description"]) <= 4_096, "title, description")
    must(len(embed["fields"]) <= 25, "at most 25 fields")
    for one in embed["fields"]:
        must(0 < len(one["name"]) <= 256 and 0 < len(one["value"]) <= 1_024, "field")
    total = (
        len(embed["title"]) + len(embed["description"]) + sum(len(one["name"]) + len(one["value"]) for one in embed["fields"])
    )
    must(total <= 6_000, "an embed has at most 6,000 characters in all")
    return 200, {}, {"id": "1"}


def sns(call: Call) -> Answer:
    """Source: Amazon SNS API reference, Publish."""
    given = {name: values[0] for name, values in parse_qs(call.body.decode(), strict_parsing=True).items()}
    must(given["Action"] == "Publish" and given["Version"] == "2010-03-31", "action")
    must(("TopicArn" in given) != ("PhoneNumber" in given), "a topic or a number")
    must(0 < len(given["Message"].encode()) <= 262_144, "Message has at most 256 KiB")
    if "Subject" in given:
        must(re.fullmatch(r"[A-Za-z0-9][\x20-\x7e]{0,99}", given["Subject"]), "Subject is ASCII, 100 characters")
    must(_signed(call, "sns"), "signature")
    return 200, {}, b"<PublishResponse/>"


def ses(call: Call) -> Answer:
    """Source: Amazon SES API v2 reference, SendEmail."""
    must(call.path == "/v2/email/outbound-emails", "path")
    document = call.json
    must(1 <= len(document["Destination"]["ToAddresses"]) <= 50, "at most 50 recipients")
    message = message_from_bytes(base64.b64decode(document["Content"]["Raw"]["Data"], validate=True), policy=email_policy)
    must(message["From"] == document["FromEmailAddress"] and message["Message-ID"], "headers")
    must(_signed(call, "ses"), "signature")
    return 200, {}, {"MessageId": "1"}


def _signed(call: Call, name: str) -> bool:
    found = re.fullmatch(
        r"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/(\d{8})/eu-west-1/(\w+)/aws4_request, "
        r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})",
        call.headers["authorization"],
    )
    must(found, "form of the signature")
    assert found is not None
    must(found[2] == name and call.headers["x-amz-date"].startswith(found[1]), "scope")
    return {"host", "x-amz-date", "content-type"} <= set(found[3].split(";"))
