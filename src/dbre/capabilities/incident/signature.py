"""Standard Webhooks signatures: made by the sender, checked by the receiver.

Source: https://www.standardwebhooks.com, specification 1.0.0, "Webhook metadata" and "Signature scheme".
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.incident.errors import SecretUnusable, SignatureInvalid
from dbre.core.secrets import Secret

__all__ = ["MIN_SECRET_BYTES", "TOLERANCE_SECONDS", "VerifiedWebhook", "check_secret", "sign", "verify_signature"]

MIN_SECRET_BYTES = 16
TOLERANCE_SECONDS = 300.0
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedWebhook:
    """What the headers of a genuine webhook say. ``id`` stays the same when it is sent again: ignore ids already seen."""

    id: str
    timestamp: int  # seconds since 1970, when this attempt was sent


def _key(secret: Secret) -> bytes:
    text = secret.reveal()
    if not text.startswith(_PREFIX):
        key = text.encode()
    else:
        try:
            key = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError) as error:
            raise SecretUnusable(
                "the webhook secret begins with whsec_, but what follows is not base64",
                hint="make one: echo whsec_$(openssl rand -base64 32)",
            ) from error
    if len(key) < MIN_SECRET_BYTES:
        raise SecretUnusable(
            f"the webhook secret has {len(key)} bytes; at least {MIN_SECRET_BYTES} are needed",
            hint="make one: echo whsec_$(openssl rand -base64 32)",
        )
    return key


def check_secret(secret: Secret) -> None:
    """Raises: SecretUnusable where nothing can be signed with it."""
    _key(secret)


def sign(secret: Secret, *, webhook_id: str, timestamp: int, body: bytes) -> str:
    """The value of the header ``webhook-signature``: ``v1,`` and the base64 of HMAC-SHA256 over ``id.timestamp.body``.

    A secret ``whsec_...`` is base64 of the key, any other text is the key itself.

    >>> secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    >>> body = b'{"test": 2432232314}'
    >>> sign(secret, webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=body)
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='
    """
    message = f"{webhook_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), message, hashlib.sha256)).decode()


def verify_signature(
    secret: Secret,
    headers: Mapping[str, str],
    body: bytes,
    *,
    tolerance_seconds: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> VerifiedWebhook:
    """Check a received webhook; ``body`` as it came, before any parsing; ``now`` in seconds since 1970.

    Raises: SignatureInvalid where a header is missing, the timestamp lies more than the tolerance away (a replay), or no
    signature fits; SecretUnusable.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in ("webhook-id", "webhook-timestamp", "webhook-signature") if not lower.get(name)]
    if missing:
        raise SignatureInvalid(f"the webhook has no header {missing[0]}", hint="it was not sent by dbre, or a proxy drops it")
    text = lower["webhook-timestamp"]
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise SignatureInvalid("the header webhook-timestamp is not a whole number of seconds")
    timestamp, present = int(text), time.time() if now is None else now
    if abs(present - timestamp) > tolerance_seconds:
        raise SignatureInvalid(
            f"the webhook was sent {abs(present - timestamp):.0f} s {'ago' if present > timestamp else 'ahead of our clock'};"
            f" the tolerance is {tolerance_seconds:.0f} s",
            hint="a replay, or one of the clocks is wrong",
        )
    expected = sign(secret, webhook_id=lower["webhook-id"], timestamp=timestamp, body=body).encode()
    given = lower["webhook-signature"].encode("utf-8", "surrogateescape").split()
    if not any([hmac.compare_digest(expected, one) for one in given]):  # noqa: C419 - a list: every one is compared, in constant time
        raise SignatureInvalid("no signature of the webhook fits the secret", hint="sender and receiver need the same secret")
    return VerifiedWebhook(id=lower["webhook-id"], timestamp=timestamp)
