"""Errors of the driver and the network, translated: for the budget (``Verdict``) and for people (``DbreError``)."""

import asyncio
import socket
import ssl

from asyncmy import errors

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.engines.mysql.facts import meaning_of
from dbre.ports.engine import Access, Blame, Verdict

__all__ = ["TlsNotOffered", "classify", "clean", "error_number", "network_code", "translate"]

_CLIENT_NUMBERS = range(2000, 2100)
_LOGIN_DENIED = {1044, 1045, 1049, 1130, 1226, 1698, 1820, 1862, 4151}
_PRIVILEGE_DENIED = {1142, 1143, 1227, 1370}
_LACKING = {1054, 1064, 1146, 1193, 1235, 1305, 1356}


class TlsNotOffered(ConnectionError):
    """TLS is demanded and the server offers none."""


def error_number(error: BaseException) -> int | None:
    """The server's error number; None where the network, the driver or dbre spoke.

    The driver gives network failures numbers of the C client library (2000-2099): those are not the server's.
    """
    if not isinstance(error, errors.MySQLError) or not error.args or not isinstance(error.args[0], int):
        return None
    number = error.args[0]
    return None if number == 0 or number in _CLIENT_NUMBERS else number


def classify(error: BaseException) -> Verdict | None:
    """What an error means; None where it comes neither from this driver nor from its network.

    1290 is the number of every option that forbids a statement; only the read-only ones speak against the server.
    """
    if isinstance(error, DbreError):
        return classify(error.__cause__) if error.__cause__ is not None else None
    number = error_number(error)
    if number is not None:
        text = _message(error)
        meaning = meaning_of(number, getattr(error, "sqlstate", None))
        reason = clean(f"{meaning.name}: {text}")
        if number == 1290 and "read-only" not in text and "read_only" not in text:
            return Verdict(blame=Blame.EXCLUDED, code="1290", reason=clean(text), retryable=False)
        return Verdict(blame=meaning.blame, code=str(number), reason=reason, retryable=meaning.retryable)
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason="no answer in time", retryable=True)
    if isinstance(error, errors.MySQLError | OSError):
        return Verdict(blame=Blame.BAD, code=None, reason=clean(_message(error)), retryable=True)
    return None


def network_code(error: BaseException) -> str:
    """One word for a failure that has no number of the server: ``timeout``, ``connection_refused``, ``tls``, ..."""
    origin = _origin(error)
    if isinstance(origin, TimeoutError | asyncio.CancelledError):
        return "timeout"
    if isinstance(origin, socket.gaierror):
        return "dns"
    if isinstance(origin, ssl.SSLError | TlsNotOffered):
        return "tls"
    if isinstance(origin, ConnectionRefusedError | FileNotFoundError):
        return "connection_refused"
    if isinstance(origin, OSError) and not isinstance(origin, ConnectionError):
        return "network_unreachable"
    return "connection_lost"


def clean(text: str) -> str:
    """One short line without control characters, from a message that a server or a network sent."""
    return printable(" ".join(text.split()), limit=300)


def _origin(error: BaseException) -> BaseException:
    """What the network said before the driver wrapped it."""
    while isinstance(error, errors.MySQLError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _message(error: BaseException) -> str:
    error = _origin(error)
    if isinstance(error, errors.MySQLError) and len(error.args) > 1:
        return str(error.args[1])
    return str(error) or type(error).__name__


def translate(error: BaseException, access: Access, *, limit_seconds: float | None = None) -> DbreError:
    """The error that a facet raises, with the address first; the password is taken out should a server echo it."""
    if isinstance(error, DbreError):
        return error
    verdict = classify(error)
    code = verdict.code if verdict else None
    reason = verdict.reason if verdict else clean(str(error))
    if isinstance(error, TimeoutError) and limit_seconds is not None:
        reason = f"no answer within {format_duration(limit_seconds)}"
    if access.password is not None and access.password.reveal():
        reason = reason.replace(access.password.reveal(), "***")
    kind, hint = _kind(int(code) if code else None)
    context = {"address": str(access.address), "error_number": code, "user": access.user, "database": access.database}
    described = f"{reason} ({code})" if code else reason
    found = kind(f"MySQL at {access.address}: {described}", hint=hint, context=context)
    found.__cause__ = error
    return found


def _kind(number: int | None) -> tuple[type[DbreError], str | None]:
    if number is None:
        return Unreachable, "check that the server runs, and the address, port and firewall"
    if number in _LOGIN_DENIED:
        return Denied, "check user, password, databases and tls of the cluster in dbre.yaml, and the host part of the account"
    if number in _PRIVILEGE_DENIED:
        return Denied, "an administrator can grant it: dbre engine sql mysql --grants --user NAME"
    if number in _LACKING:
        return Unsupported, "the server lacks what this statement uses: see dbre engine support mysql"
    return Unreachable, None
