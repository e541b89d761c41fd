"""Amazon SNS and SES: requests signed by hand, because the SDK would be the largest dependency of all."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from dbre.capabilities.incident.channels.documents import AwsDocument, SesDocument, SnsDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.channels.mail_message import mail_message
from dbre.capabilities.incident.channels.roll import Roll
from dbre.capabilities.incident.channels.signature_v4 import AwsCredentials, signed_headers
from dbre.capabilities.incident.channels.wording import clip, plain_text
from dbre.capabilities.incident.notice import Notice, Receipt
from dbre.capabilities.incident.posting import Answer, Request
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.text import one_line

__all__ = ["SesChannel", "SnsChannel"]

_SUBJECT = 100
_MESSAGE = 60_000  # characters; SNS takes 256 KiB, and a character has up to four bytes
_SMS = 1_600
_THROTTLED = re.compile(r"Throttl|TooManyRequests|ServiceUnavailable|InternalError|InternalFailure|RequestExpired")


class _AwsService:
    def __init__(self, document: AwsDocument, clock: Clock, *, service: str) -> None:
        self._document = document
        self._clock = clock
        self._service = service
        self._http = HttpService(document, clock, answer_bytes=2_048)

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        document = self._document
        token = document.session_token
        credentials = AwsCredentials(
            access_key_id=(await document.access_key_id.resolve()).reveal(),
            secret_access_key=(await document.secret_access_key.resolve()).reveal(),
            session_token=None if token is None else (await token.resolve()).reveal(),
            region=document.region,
        )
        signed = signed_headers(credentials, service=self._service, url=url, headers=headers, body=body, now=self._clock.now())
        answer = await self._http.exchange(url, Request(body=body, headers=signed))
        self._retry_where_busy(answer)
        self._http.judge(answer)

    def _retry_where_busy(self, answer: Answer) -> None:
        """Some services say with a 400 that they are too busy."""
        if 400 <= answer.status < 500 and answer.status != 429 and _THROTTLED.search(answer.said):
            raise Unreachable(f"{self._http.who} answers {answer.status}: {answer.said}")


class SnsChannel:
    """A topic; people whom an escalation names get a text message each."""

    def __init__(self, document: SnsDocument, clock: Clock) -> None:
        self._document = document
        self._aws = _AwsService(document, clock, service="sns")
        self._roll = Roll()

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Publish."""
        title = one_line(notice.title, limit=200)
        text = clip(f"{title}\n{notice.link}" if notice.link else title, _SMS)
        await self._roll.call(notice, lambda number: self._publish({"PhoneNumber": number, "Message": text}))
        if not notice.recipients and self._document.topic_arn is not None:
            message = {"TopicArn": self._document.topic_arn, "Subject": _subject(title)}
            message["Message"] = f"{title}\n\n{plain_text(notice, limit=_MESSAGE)}"
            if self._document.topic_arn.endswith(".fifo"):
                message |= {"MessageGroupId": clip(notice.thread or notice.id, 128), "MessageDeduplicationId": notice.id[:128]}
            await self._publish(message)
        return earlier

    async def _publish(self, parameters: Mapping[str, str]) -> None:
        url = self._document.url or f"https://sns.{self._document.region}.amazonaws.com/"
        body = urlencode({"Action": "Publish", "Version": "2010-03-31", **parameters}).encode()
        await self._aws.send(url, body, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"})


class SesChannel:
    """E-mail through SES; the same message that the other e-mail channel sends."""

    def __init__(self, document: SesDocument, clock: Clock) -> None:
        self._document = document
        self._aws = _AwsService(document, clock, service="ses")

    @property
    def name(self) -> str:
        """Its name in the configuration."""
        return self._document.name

    async def deliver(self, notice: Notice, *, earlier: Receipt | None) -> Receipt | None:
        """Send one message."""
        recipients: Sequence[str] = notice.recipients or self._document.recipients
        if not recipients:
            return earlier
        message = mail_message(notice, sender=self._document.sender, recipients=recipients)
        document = {
            "FromEmailAddress": self._document.sender,
            "Destination": {"ToAddresses": list(recipients)},
            "Content": {"Raw": {"Data": base64.b64encode(message.as_bytes()).decode()}},
        }
        root = self._document.url or f"https://email.{self._document.region}.amazonaws.com"
        body = json.dumps(document, separators=(",", ":")).encode()
        await self._aws.send(f"{root.rstrip('/')}/v2/email/outbound-emails", body, {"Content-Type": "application/json"})
        return earlier


def _subject(title: str) -> str:
    """ASCII without control characters that begins with a letter or digit: SNS refuses anything else."""
    text = re.sub(r"[^\x20-\x7e]", "?", title)
    return clip(text if text[:1].isalnum() else f"dbre {text}", _SUBJECT)
