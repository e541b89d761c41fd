"""Errors of the driver and the network, translated: for the budget (``Verdict``) and for people (``DbreError``)."""

import psycopg

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported, UsageError
from dbre.core.network import failure_word
from dbre.core.text import one_line
from dbre.engines.postgres.facts import meaning_of
from dbre.ports.engine import Blame, Verdict
from dbre.ports.faults import NO_ANSWER, Faults

__all__ = ["FAULTS", "CannotConnect", "classify"]


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
            return Verdict(blame=Blame.EXCLUDED, code="57014", reason=one_line(text), retryable=False)
        return Verdict(
            blame=meaning.blame, code=error.sqlstate, reason=one_line(f"{meaning.name}: {text}"), retryable=meaning.retryable
        )
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason=one_line(str(error)) or NO_ANSWER, retryable=True)
    if isinstance(error, psycopg.ProgrammingError | psycopg.DataError | psycopg.NotSupportedError):
        return Verdict(blame=Blame.EXCLUDED, code=None, reason=one_line(str(error)), retryable=False)
    if isinstance(error, psycopg.Error | OSError):
        return Verdict(blame=Blame.BAD, code=None, reason=one_line(str(error)), retryable=True)
    return None


def _network_code(error: BaseException) -> str:
    """libpq keeps the network's own errors to itself: ``connection`` finds the word where a connection was not made."""
    if isinstance(error, CannotConnect):
        return error.word
    if isinstance(error, psycopg.ProgrammingError | psycopg.DataError | psycopg.NotSupportedError):
        return "client_error"
    return failure_word(error)


def _kind(_: BaseException, verdict: Verdict | None) -> tuple[type[DbreError], str | None]:
    code = verdict.code if verdict else None
    if code is None and verdict is not None and verdict.blame is Blame.EXCLUDED:
        return UsageError, "a value that was given cannot be sent to PostgreSQL"
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


FAULTS = Faults(
    product="PostgreSQL",
    driver_error=psycopg.Error,
    code_name="sqlstate",
    classify=classify,
    network_code=_network_code,
    kind=_kind,
    judges_logins=True,
)
