"""Errors of the driver and the network, translated: for the budget (``Verdict``) and for people (``DbreError``)."""

import asyncio
import re
import socket
import ssl

from redis import exceptions

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.engines.redis.facts import meaning_of
from dbre.ports.engine import Access, Blame, Verdict

__all__ = ["classify", "clean", "error_word", "network_code", "translate"]

_WORD = re.compile(r"[A-Z][A-Z0-9_]*")
_LOGIN_DENIED = {"NOAUTH", "WRONGPASS", "DENIED"}
_LACKING = ("unknown command", "unknown subcommand", "syntax error", "unsupported", "Unknown subcommand")


def error_word(error: BaseException) -> str | None:
    """The word with which the server's error begins; None where the network, the driver or dbre spoke."""
    if not isinstance(error, exceptions.RedisError):
        return None
    if error.status_code is not None:
        return str(error.status_code)
    first = str(error).split(" ", 1)[0]
    if isinstance(error, exceptions.ResponseError):
        return first if _WORD.fullmatch(first) else "ERR"
    return None


def _text(error: BaseException) -> str:
    """The server's message without its word."""
    text, word = str(error), error_word(error)
    return text.removeprefix(f"{word} ") if word else text or type(error).__name__


def classify(error: BaseException) -> Verdict | None:
    """What an error means; None where it comes neither from this driver nor from its network."""
    if isinstance(error, DbreError):
        return classify(error.__cause__) if error.__cause__ is not None else None
    word = error_word(error)
    if word is not None:
        text = _text(error)
        meaning = meaning_of(word, text)
        return Verdict(blame=meaning.blame, code=word, reason=clean(f"{meaning.name}: {text}"), retryable=meaning.retryable)
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason="no answer in time", retryable=True)
    if isinstance(error, exceptions.DataError):
        return Verdict(blame=Blame.EXCLUDED, code=None, reason=clean(_text(error)), retryable=False)
    if isinstance(error, exceptions.RedisError | OSError):
        return Verdict(blame=Blame.BAD, code=None, reason=clean(_text(error)), retryable=True)
    return None


def network_code(error: BaseException) -> str:
    """One word for a failure that has none of the server's: ``timeout``, ``connection_refused``, ``tls``, ..."""
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "connection_refused"
    if isinstance(error, exceptions.InvalidResponse):
        return "protocol"
    if isinstance(error, OSError) and not isinstance(error, ConnectionError):
        return "network_unreachable"
    return "connection_lost"


def clean(text: str) -> str:
    """One short line without control characters, from a message that a server or a network sent."""
    return printable(" ".join(text.split()), limit=300)


def translate(error: BaseException, access: Access, *, limit_seconds: float | None = None) -> DbreError:
    """The error that a facet raises, with the address first; the password is taken out should a server echo it."""
    if isinstance(error, DbreError):
        return error
    verdict = classify(error)
    word = verdict.code if verdict else None
    reason = verdict.reason if verdict else clean(str(error))
    if isinstance(error, TimeoutError) and limit_seconds is not None:
        reason = f"no answer within {format_duration(limit_seconds)}"
    if access.password is not None and access.password.reveal():
        reason = reason.replace(access.password.reveal(), "***")
    kind, hint = _kind(error, word)
    context = {"address": str(access.address), "error_word": word, "user": access.user, "database": access.database}
    described = f"{reason} ({word})" if word else reason
    found = kind(f"Redis at {access.address}: {described}", hint=hint, context=context)
    found.__cause__ = error
    return found


def _kind(error: BaseException, word: str | None) -> tuple[type[DbreError], str | None]:
    if word is None:
        return Unreachable, "check that the server runs, the address, port and firewall, and tls of the cluster in dbre.yaml"
    if word in _LOGIN_DENIED or isinstance(error, exceptions.AuthenticationError):
        return Denied, "check user, password and tls of the cluster in dbre.yaml"
    if word == "NOPERM":
        return Denied, "an administrator can grant it: dbre engine sql redis --grants --user NAME"
    if word == "ERR" and _text(error).startswith(_LACKING):
        return Unsupported, "the server lacks what this command uses: see dbre engine support redis"
    return Unreachable, None
