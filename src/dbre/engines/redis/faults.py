"""Errors of the driver and the network, translated: for the budget (``Verdict``) and for people (``DbreError``)."""

import re

from redis import exceptions

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.network import failure_word
from dbre.core.text import one_line
from dbre.engines.redis.facts import meaning_of
from dbre.ports.engine import Blame, Verdict
from dbre.ports.faults import NO_ANSWER, Faults

__all__ = ["FAULTS", "classify", "error_word"]

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
        return Verdict(blame=meaning.blame, code=word, reason=one_line(f"{meaning.name}: {text}"), retryable=meaning.retryable)
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason=NO_ANSWER, retryable=True)
    if isinstance(error, exceptions.DataError):
        return Verdict(blame=Blame.EXCLUDED, code=None, reason=one_line(_text(error)), retryable=False)
    if isinstance(error, exceptions.RedisError | OSError):
        return Verdict(blame=Blame.BAD, code=None, reason=one_line(_text(error)), retryable=True)
    return None


def _network_code(error: BaseException) -> str:
    return "protocol" if isinstance(error, exceptions.InvalidResponse) else failure_word(error)


def _kind(error: BaseException, verdict: Verdict | None) -> tuple[type[DbreError], str | None]:
    word = verdict.code if verdict else None
    if word is None:
        return Unreachable, "check that the server runs, the address, port and firewall, and tls of the cluster in dbre.yaml"
    if word in _LOGIN_DENIED or isinstance(error, exceptions.AuthenticationError):
        return Denied, "check user, password and tls of the cluster in dbre.yaml"
    if word == "NOPERM":
        return Denied, "an administrator can grant it: dbre engine sql redis --grants --user NAME"
    if word == "ERR" and _text(error).startswith(_LACKING):
        return Unsupported, "the server lacks what this command uses: see dbre engine support redis"
    return Unreachable, None


FAULTS = Faults(
    product="Redis",
    driver_error=exceptions.RedisError,
    code_name="error_word",
    classify=classify,
    network_code=_network_code,
    kind=_kind,
)
