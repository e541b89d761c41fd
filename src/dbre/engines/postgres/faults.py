"""Errors of the driver and the network, translated: for the budget (``Verdict``) and for people (``DbreError``)."""

import asyncio
import contextlib
import socket

import psycopg

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported, UsageError
from dbre.core.secrets import SecretUnavailable
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.engines.postgres.facts import meaning_of
from dbre.ports.engine import Access, Blame, Verdict

__all__ = ["CannotConnect", "classify", "clean", "network_code", "translate"]


class CannotConnect(psycopg.OperationalError):
    """No connection, and the server gave no SQLSTATE; ``word`` says which way it failed."""

    def __init__(self, message: str, *, word: str) -> None:
        super().__init__(message)
        self.word = word  # dns, connection_refused, network_unreachable, tls, connection_lost, timeout


def classify(error: BaseException) -> Verdict | None:
    """What an error means; None where it comes neither from this driver nor from its network.

    57014 is the code of a statement timeout and of a cancel on request: the server's message tells them apart. A message in
    a language that we do not know counts against the server, because nobody but the timer cancels our statements.
    """
    if isinstance(error, DbreError) and error.__cause__ is not None:
        return classify(error.__cause__)
    if isinstance(error, psycopg.Error) and error.sqlstate is not None:
        meaning = meaning_of(error.sqlstate)
        text = error.diag.message_primary or str(error)
        if error.sqlstate == "57014" and "user request" in text:
            return Verdict(blame=Blame.EXCLUDED, code="57014", reason=clean(text), retryable=False)
        return Verdict(
            blame=meaning.blame, code=error.sqlstate, reason=clean(f"{meaning.name}: {text}"), retryable=meaning.retryable
        )
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason=clean(str(error)) or "no answer in time", retryable=True)
    if isinstance(error, psycopg.ProgrammingError | psycopg.DataError | psycopg.NotSupportedError):
        return Verdict(blame=Blame.EXCLUDED, code=None, reason=clean(str(error)), retryable=False)
    if isinstance(error, psycopg.Error | OSError):
        return Verdict(blame=Blame.BAD, code=None, reason=clean(str(error)), retryable=True)
    return None


def network_code(error: BaseException) -> str:
    """One word for a failure that has no SQLSTATE: ``timeout``, ``connection_refused``, ``connection_lost``, ..."""
    if isinstance(error, CannotConnect):
        return error.word
    if isinstance(error, TimeoutError | asyncio.CancelledError):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, psycopg.ProgrammingError | psycopg.DataError | psycopg.NotSupportedError):
        return "client_error"
    return "connection_lost"


def clean(text: str) -> str:
    """One short line without control characters, from a message that a server or a network sent."""
    return printable(" ".join(text.split()), limit=300)


def translate(error: BaseException, access: Access, *, limit_seconds: float | None = None) -> DbreError:
    """The error that a facet raises, with the address first; the password is taken out should a server echo it."""
    if isinstance(error, DbreError):
        return error
    verdict = classify(error)
    code = verdict.code if verdict else None
    reason = verdict.reason if verdict else clean(str(error))
    if isinstance(error, TimeoutError) and not str(error) and limit_seconds is not None:
        reason = f"no answer within {format_duration(limit_seconds)}"
    reason = _without_password(reason, access)
    is_ours = code is None and verdict is not None and verdict.blame is Blame.EXCLUDED
    kind, hint = (UsageError, "a value that was given cannot be sent to PostgreSQL") if is_ours else _kind(code)
    context = {"address": str(access.address), "sqlstate": code, "user": access.user, "database": access.database}
    described = f"{reason} ({code})" if code else reason
    found = kind(f"PostgreSQL at {access.address}: {described}", hint=hint, context=context)
    found.__cause__ = error
    return found


def _without_password(text: str, access: Access) -> str:
    with contextlib.suppress(SecretUnavailable):  # what cannot be read now was not sent either
        if access.password is not None and (password := access.password.reveal()):
            return text.replace(password, "***")
    return text


def _kind(code: str | None) -> tuple[type[DbreError], str | None]:
    if code is None:
        return Unreachable, "check that the server runs, and the address, port and firewall"
    if code.startswith("28"):
        return Denied, "check user, password and tls of the cluster in dbre.yaml, and pg_hba.conf of the server"
    if code == "3D000":
        return Denied, "check databases of the cluster in dbre.yaml"
    if code == "42501":
        return Denied, "an administrator can grant it: dbre engine sql postgresql --grants --user NAME"
    if code.startswith(("42", "0A", "3F")):
        return Unsupported, "the server lacks what this statement uses: see dbre engine support postgresql"
    return Unreachable, None
