"""Access tokens: made from 256 random bits, kept as hashes only."""

import hashlib
import re
import secrets
import zlib

from dbre.core.secrets import Secret

__all__ = ["TOKEN_HASH", "TOKEN_PREFIX", "is_token", "make_token", "token_digest", "token_hash"]

TOKEN_PREFIX = "dbre_"  # noqa: S105 - what every token begins with; secret scanners look for it

TOKEN_HASH = r"^sha256:[0-9a-f]{64}$"  # noqa: S105 - a pattern
"""How the configuration writes the hash of a token."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS = 43  # 62**43 > 2**256
_CHECK_CHARACTERS = 6  # 62**6 > 2**32
_TOKEN = re.compile(rf"{TOKEN_PREFIX}[0-9A-Za-z]{{{_RANDOM_CHARACTERS + _CHECK_CHARACTERS}}}", re.ASCII)


def make_token() -> Secret:
    """A new token: ``dbre_``, 256 random bits in base 62, and a CRC-32 of them.

    The prefix and the checksum let a scanner that finds one in a repository or a log know it without asking anybody.
    """
    body = _base62(secrets.randbits(256), _RANDOM_CHARACTERS)
    return Secret(TOKEN_PREFIX + body + _check(body))


def is_token(text: str) -> bool:
    """Whether the text has the form of a token, checksum included."""
    if not _TOKEN.fullmatch(text):
        return False
    return text[-_CHECK_CHARACTERS:] == _check(text[len(TOKEN_PREFIX) : -_CHECK_CHARACTERS])


def token_digest(token: str) -> bytes:
    """SHA-256 of a token. A slow hash would protect guessable secrets; nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def token_hash(token: Secret) -> str:
    """The hash as the configuration holds it: ``sha256:`` and 64 hexadecimal digits."""
    return f"sha256:{token_digest(token.reveal()).hex()}"


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK_CHARACTERS)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
