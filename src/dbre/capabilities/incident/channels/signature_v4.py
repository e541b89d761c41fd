"""Signature version 4 of AWS, for requests with a body and without a query."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

__all__ = ["AwsCredentials", "signed_headers"]

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsCredentials:
    """Who signs. Never printed."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None
    region: str

    def __repr__(self) -> str:
        return f"AwsCredentials(region={self.region!r}, ***)"


def signed_headers(
    credentials: AwsCredentials, *, service: str, url: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """The headers of a POST, with the signature.

    Source: AWS, "Create a signed AWS API request".
    """
    parts = urlsplit(url)
    stamp = f"{now:%Y%m%dT%H%M%SZ}"
    given = {**headers, "Host": parts.netloc, "X-Amz-Date": stamp}
    if credentials.session_token is not None:
        given["X-Amz-Security-Token"] = credentials.session_token
    ordered = sorted((name.lower(), " ".join(value.split())) for name, value in given.items())
    names = ";".join(name for name, _ in ordered)
    path = quote(parts.path or "/", safe="/-_.~")
    request = "\n".join(
        ("POST", path, "", *(f"{name}:{value}" for name, value in ordered), "", names, hashlib.sha256(body).hexdigest())
    )
    scope = f"{stamp[:8]}/{credentials.region}/{service}/aws4_request"
    text = "\n".join((_ALGORITHM, stamp, scope, hashlib.sha256(request.encode()).hexdigest()))
    signature = hmac.new(_key(credentials, stamp[:8], service), text.encode(), hashlib.sha256).hexdigest()
    who = f"{credentials.access_key_id}/{scope}"
    return {**given, "Authorization": f"{_ALGORITHM} Credential={who}, SignedHeaders={names}, Signature={signature}"}


def _key(credentials: AwsCredentials, day: str, service: str) -> bytes:
    key = f"AWS4{credentials.secret_access_key}".encode()
    for part in (day, credentials.region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
