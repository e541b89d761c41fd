"""The word of an observer to a watchdog: one datagram, signed, each used once."""

import hashlib
import hmac
import json
from dataclasses import dataclass
from enum import StrEnum

from dbre.core.secrets import Secret

__all__ = ["LIMIT_BYTES", "Beacon", "Word", "read_beacon", "write_beacon"]

LIMIT_BYTES = 1024
_KEYS = ("cluster", "instance", "observer", "run", "number", "word")


class Word(StrEnum):
    """What an observer says of one server."""

    HOLD = "hold"  # it is the primary, and I hear it
    FREE = "free"  # it is a replica: it needs nobody who vouches for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon:
    """One word. ``run`` and ``number`` make it one that was never sent before."""

    cluster: str
    instance: str
    observer: str
    run: str
    number: int
    word: Word


def write_beacon(one: Beacon, secret: Secret) -> bytes:
    """As it is sent: its text, and a signature before it."""
    text = json.dumps({key: getattr(one, key) for key in _KEYS}, separators=(",", ":")).encode()
    return _signature(text, secret) + text


def read_beacon(data: bytes, secret: Secret) -> Beacon | None:
    """What was signed with the secret; None for anything else, however it looks."""
    if not 32 < len(data) <= LIMIT_BYTES or not hmac.compare_digest(data[:32], _signature(data[32:], secret)):
        return None
    found = json.loads(data[32:])
    return Beacon(**{key: found[key] for key in _KEYS if key != "word"}, word=Word(found["word"]))


def _signature(text: bytes, secret: Secret) -> bytes:
    return hmac.digest(secret.reveal().encode(), b"dbre ha beacon\0" + text, hashlib.sha256)
