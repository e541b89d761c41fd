"""HTTP requests to configured hosts: only to checked addresses, never redirected, with limits of time and of the answer."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx

from dbre import __version__
from dbre.capabilities.incident.address_guard import AddressPolicy, check_addresses
from dbre.capabilities.incident.errors import AddressRefused
from dbre.core.errors import Unreachable
from dbre.core.events import DeliveryPostponed, DeliveryRefused
from dbre.core.fleet import Address
from dbre.core.network import Target, resolve
from dbre.core.text import printable

__all__ = ["Answer", "Destination", "Request", "judge", "post"]

_RETRIED = frozenset({408, 425, 429})  # of the 4xx: the request was right, only the moment was not
_SAID = 200  # characters of an error's body that are kept for the record of the delivery


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where requests go. ``who`` names it in messages: the URL may be a secret."""

    who: str
    url: str
    timeout_seconds: float
    policy: AddressPolicy = field(default_factory=AddressPolicy)
    tls_ca_file: Path | None = None
    answer_bytes: int = 512  # of a body that are read; what follows costs nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> str:
        """The beginning of the body, fit for a log."""
        return printable(self.body.decode("utf-8", "replace"), limit=_SAID)


async def post(destination: Destination, request: Request) -> Answer:
    """Send one request and give the answer, whatever its status.

    Raises: DeliveryRefused where the host leads to a forbidden address, Unreachable for anything else in the way.
    """
    who = destination.who
    try:
        async with asyncio.timeout(destination.timeout_seconds):
            return await _exchange(destination, request)
    except TimeoutError as error:
        raise Unreachable(f"{who} did not answer within {destination.timeout_seconds:g} s") from error
    except AddressRefused as error:
        raise DeliveryRefused(f"{who}: {error.message}", hint=error.hint) from error
    except httpx.InvalidURL:
        raise Unreachable(f"{who} cannot be reached: its URL is not one") from None  # the error repeats the URL
    except httpx.LocalProtocolError:  # the error repeats the header, in which a token stands
        hint = "a token or secret has a line break or another character that no header may have"
        raise Unreachable(f"{who} cannot be asked: a header of the request is not one", hint=hint) from None
    except (httpx.HTTPError, ssl.SSLError, OSError, UnicodeError) as error:
        reason = printable(str(error), limit=_SAID) or type(error).__name__
        raise Unreachable(f"{who} cannot be reached: {reason}") from error


def judge(answer: Answer, who: str, now: datetime) -> None:
    """Let only a success pass.

    Raises: DeliveryRefused where another attempt would not help (4xx, redirect), DeliveryPostponed where the service names
    a time, Unreachable for anything else.
    """
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise DeliveryRefused(f"{who} answers {status}, a redirect; redirects are not followed", hint="write the final URL")
    message = f"{who} answers {status}" + (f": {answer.said}" if answer.said else "")
    if 400 <= status < 500 and status not in _RETRIED:
        refused = DeliveryRefused(message, hint="the receiver will not take it; look at its log, then replay the event")
        refused.context = {"status": status}
        raise refused
    wait = _retry_after(answer.headers, now)
    if wait is not None:
        raise DeliveryPostponed(f"{message}; it asks to come back in {wait:.0f} s", wait_seconds=wait)
    raise Unreachable(message)


async def _exchange(destination: Destination, request: Request) -> Answer:
    url = urlsplit(destination.url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "https" else 80)
    # Resolved here and connected to by number: a name that changes between check and use would slip past the check.
    targets = check_addresses(host, await resolve(Address(host, port)), destination.policy)
    headers = {"Host": url.netloc, "User-Agent": f"dbre/{__version__}", **request.headers}
    context = await asyncio.to_thread(_verify, destination)  # loading the authorities takes 30 ms of CPU
    # No proxy, no credentials of a .netrc, no redirect: the request goes to a checked address or nowhere.
    limits = httpx.Timeout(destination.timeout_seconds, connect=destination.timeout_seconds / len(targets))
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=limits, verify=context) as client:
        requests = []
        for target in targets:
            numeric = urlunsplit((url.scheme, _authority(target), url.path or "/", url.query, ""))
            extensions = {"sni_hostname": host} if url.scheme == "https" else {}
            requests.append(
                client.build_request(request.method, numeric, headers=headers, content=request.body, extensions=extensions)
            )
        response = await _send(client, requests)
        try:
            body = await _beginning(response, destination.answer_bytes)
        finally:
            await response.aclose()
    return Answer(status=response.status_code, headers=response.headers, body=body)


def _verify(destination: Destination) -> ssl.SSLContext | bool:
    if urlsplit(destination.url).scheme != "https":
        return False  # there is no TLS to verify
    path = destination.tls_ca_file
    return ssl.create_default_context(cafile=None if path is None else str(path))


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


async def _beginning(response: httpx.Response, limit: int) -> bytes:
    """The first bytes of a body, undecoded: an answer that never ends, or a compressed bomb, costs nothing."""
    content = b""
    async for piece in response.aiter_raw(limit):
        content += piece
        if len(content) >= limit:
            break
    return content[:limit]


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
