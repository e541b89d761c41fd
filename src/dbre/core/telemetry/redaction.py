"""Takes secrets out of anything that is about to be written, and makes the rest safe and short."""

import math
import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from enum import Enum

from dbre.core.secrets import Secret
from dbre.core.text import printable

__all__ = ["LIMIT_FIELD_BYTES", "clean", "redact_text"]

LIMIT_FIELD_BYTES = 8 * 1024
_LIMIT_ITEMS = 200
_LIMIT_DEPTH = 6
_MASK = "***"

_SECRET_KEY = re.compile(
    r"(?:^|[_\-.])(?:pass(?:word|wd|phrase)?|pwd|secret|secret[_-]?key|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|"
    r"cookie|credentials?|signature|dsn)s?$",
    re.IGNORECASE,
)
_WORD = r"(?:password|passwd|passphrase|(?:\b|_)(?:pwd|secret|token|api[_-]?key|access[_-]?key)|requirepass|masterauth)"
_VALUE = r"""(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.|'')*'?|[^\s,;&"'}\])]+)"""
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), _MASK),
    # user:password@ of a URL; the password itself may hold @, : and /
    (re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]{1,30}://[^\s:/@]{0,100}:)[^\s]{0,3000}@", re.IGNORECASE), rf"\g<keep>{_MASK}@"),
    (
        re.compile(
            r"(?P<keep>\b(?:proxy-)?authorization\b[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|digest|negotiate)\s+)?)[^\s,;\"']+",
            re.IGNORECASE,
        ),
        rf"\g<keep>{_MASK}",
    ),
    (re.compile(r"(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\g<keep>{_MASK}"),
    (re.compile(rf"(?P<keep>{_WORD}[\"']?\s*(?:=>?|:)\s*){_VALUE}", re.IGNORECASE), rf"\g<keep>{_MASK}"),
    (
        re.compile(rf"(?P<keep>\b(?:password|identified\s+by(?:\s+password)?)\s+){_VALUE}(?<=['\"])", re.IGNORECASE),
        rf"\g<keep>{_MASK}",
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"), _MASK),  # JSON Web Tokens
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=]{8,}"), _MASK),  # Standard Webhooks signing secrets
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), _MASK),
)


def redact_text(text: str) -> str:
    """The text with passwords, tokens and keys replaced by ``***``, as far as their surroundings give them away.

    >>> redact_text("postgresql://dbre:hunter2@db/shop failed; password=hunter2")
    'postgresql://dbre:***@db/shop failed; password=***'
    """
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def clean(value: object, *, key: str = "", depth: int = 0) -> object:
    """A value as it may be written: JSON types, secrets masked, control characters written out, 8 KiB a text."""
    if isinstance(value, Secret) or (_SECRET_KEY.search(key) and value not in (None, "")):
        return _MASK
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return clean(value.value, depth=depth)
    if isinstance(value, int):
        return value if abs(value) < 2**63 else str(value)[:100] if abs(value) < 2**1000 else "a huge number"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return _collection(value, depth) if isinstance(value, Mapping | Sequence | Set) else _text(_shown(value))


def _collection(value: object, depth: int) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if depth >= _LIMIT_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        pairs = list(value.items())[:_LIMIT_ITEMS]
        return {_text(str(name)): clean(item, key=str(name), depth=depth + 1) for name, item in pairs}
    items = list(value)[:_LIMIT_ITEMS] if isinstance(value, Sequence | Set) else []
    return [clean(item, depth=depth + 1) for item in items]


def _shown(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001 - a log line must never fail on what it describes
        return f"<{type(value).__name__} whose str() raised {type(error).__name__}>"


def _text(text: str) -> str:
    # Patterns look at more than is kept, so that a password does not escape by being cut from what gives it away.
    shown = printable(redact_text(text[: 4 * LIMIT_FIELD_BYTES]), limit=LIMIT_FIELD_BYTES)
    encoded = shown.encode()
    if len(encoded) <= LIMIT_FIELD_BYTES:
        return shown
    return encoded[: LIMIT_FIELD_BYTES - 3].decode(errors="ignore") + "…"
