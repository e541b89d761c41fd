"""Posts alert events to receivers: signed, with limits of time, never redirected, never to a forbidden address."""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit, urlunsplit

import httpx
import structlog

from dbre import __version__
from dbre.capabilities.incident.address_guard import AddressPolicy, check_addresses
from dbre.capabilities.incident.documents import ReceiverDocument
from dbre.capabilities.incident.errors import AddressRefused
from dbre.capabilities.incident.signature import sign
from dbre.core.clock import Clock
from dbre.core.errors import Unreachable
from dbre.core.events import Backoff, DeliveryPostponed, DeliveryRefused, Event, Subscription
from dbre.core.fleet import Address
from dbre.core.network import Target, resolve
from dbre.core.text import printable

__all__ = ["ALERT_KINDS", "PATIENCE", "Webhook", "webhook_body", "webhook_subscriptions"]

ALERT_KINDS = ("slo.alert_fired", "slo.alert_resolved")
PATIENCE = Backoff(base_seconds=0.5, cap_seconds=120.0, max_attempts=150)
"""About two and a half hours: a receiver that comes back hears of an alert within two minutes."""
_ANSWER_BYTES = 512  # of an error's body that are kept for the record of the delivery
_RETRIED = frozenset({408, 425, 429})  # of the 4xx: the request was right, only the moment was not

_log = structlog.get_logger(__name__)


def webhook_body(event: Event) -> bytes:
    """The JSON body; the same bytes at each attempt.

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
        self._policy = AddressPolicy(allow_loopback=receiver.allow_loopback, allow_private=receiver.allow_private)
        self._seconds = receiver.timeout.total_seconds()

    async def __call__(self, event: Event) -> None:
        """Deliver one event, or do nothing where the receiver does not want its severity.

        Raises: DeliveryRefused where another attempt would not help (4xx, redirect, forbidden address), DeliveryPostponed
        where the receiver names a time, Unreachable for anything else.
        """
        if event.data.get("severity") not in self._receiver.severities:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await self._post(event)
        except TimeoutError as error:
            raise Unreachable(f"{self._name} did not answer within {self._seconds:g} s") from error
        except AddressRefused as error:
            raise DeliveryRefused(f"{self._name}: {error.message}", hint=error.hint) from error
        except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError) as error:
            reason = printable(str(error), limit=200) or type(error).__name__
            raise Unreachable(f"{self._name} cannot be reached: {reason}") from error

    @property
    def _name(self) -> str:
        return f"receiver {self._receiver.name}"

    async def _post(self, event: Event) -> None:
        url = urlsplit(self._receiver.url)
        host = url.hostname or ""
        port = url.port or (443 if url.scheme == "https" else 80)
        # Resolved here and connected to by number: a name that changes between check and use would slip past the check.
        targets = check_addresses(host, await resolve(Address(host, port)), self._policy)
        secret = await self._receiver.secret.resolve()
        body, timestamp = webhook_body(event), int(self._clock.now().timestamp())
        headers = {
            "Host": url.netloc,
            "Content-Type": "application/json",
            "User-Agent": f"dbre/{__version__}",
            "webhook-id": str(event.id),
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, webhook_id=str(event.id), timestamp=timestamp, body=body),
        }
        context = await asyncio.to_thread(self._verify, url.scheme)  # loading the authorities takes 30 ms of CPU
        # No proxy, no credentials of a .netrc, no redirect: the request goes to a checked address or nowhere.
        limits = httpx.Timeout(self._seconds, connect=self._seconds / len(targets))
        async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=limits, verify=context) as client:
            requests = []
            for target in targets:
                numeric = urlunsplit((url.scheme, _authority(target), url.path or "/", url.query, ""))
                extensions = {"sni_hostname": host} if url.scheme == "https" else {}
                requests.append(client.build_request("POST", numeric, headers=headers, content=body, extensions=extensions))
            response = await _send(client, requests)
            try:
                await self._judge(response, event)
            finally:
                await response.aclose()

    def _verify(self, scheme: str) -> ssl.SSLContext | bool:
        if scheme != "https":
            return False  # there is no TLS to verify
        path = self._receiver.tls_ca_file
        return ssl.create_default_context(cafile=None if path is None else str(path))

    async def _judge(self, response: httpx.Response, event: Event) -> None:
        status = response.status_code
        if 200 <= status < 300:
            _log.info("webhook_delivered", receiver=self._receiver.name, event_id=str(event.id), status=status)
            return
        if 300 <= status < 400:
            raise DeliveryRefused(
                f"{self._name} answers {status}, a redirect; redirects are not followed", hint="write the final URL"
            )
        said = printable((await _beginning(response)).decode("utf-8", "replace"), limit=200)
        message = f"{self._name} answers {status}" + (f": {said}" if said else "")
        if 400 <= status < 500 and status not in _RETRIED:
            raise DeliveryRefused(message, hint="the receiver will not take it; look at its log, then replay the event")
        wait = _retry_after(response.headers, self._clock.now())
        if wait is not None:
            raise DeliveryPostponed(f"{message}; it asks to come back in {wait:.0f} s", wait_seconds=wait)
        raise Unreachable(message)


async def _send(client: httpx.AsyncClient, requests: Sequence[httpx.Request]) -> httpx.Response:
    """The answer of the first address that takes a connection; one that is dead must not keep a page from the others."""
    for request in requests[:-1]:
        try:
            return await client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent yet
            continue
    return await client.send(requests[-1], stream=True)


def _authority(target: Target) -> str:
    return f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"


async def _beginning(response: httpx.Response) -> bytes:
    """The first bytes of a body, undecoded: an answer that never ends, or a compressed bomb, costs nothing."""
    content = b""
    async for piece in response.aiter_raw(_ANSWER_BYTES):
        content += piece
        if len(content) >= _ANSWER_BYTES:
            break
    return content[:_ANSWER_BYTES]


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds of the header ``Retry-After``, which is a number or a date; None where it is absent or makes no sense."""
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), 86_400))
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), 86_400.0)


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
