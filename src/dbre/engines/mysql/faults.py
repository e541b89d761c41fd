"""Errors of the driver and the network, translated: for the budget (``Verdict``) and for people (``DbreError``)."""

from asyncmy import errors

from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.network import failure_word
from dbre.core.text import one_line
from dbre.engines.mysql.facts import meaning_of
from dbre.ports.engine import Blame, Verdict
from dbre.ports.faults import NO_ANSWER, Faults

__all__ = ["FAULTS", "TlsNotOffered", "classify", "error_number"]

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
        reason = one_line(f"{meaning.name}: {text}")
        if number == 1290 and "read-only" not in text and "read_only" not in text:
            return Verdict(blame=Blame.EXCLUDED, code="1290", reason=one_line(text), retryable=False)
        return Verdict(blame=meaning.blame, code=str(number), reason=reason, retryable=meaning.retryable)
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason=NO_ANSWER, retryable=True)
    if isinstance(error, errors.MySQLError | OSError):
        return Verdict(blame=Blame.BAD, code=None, reason=one_line(_message(error)), retryable=True)
    return None


def _network_code(error: BaseException) -> str:
    origin = _origin(error)
    return "tls" if isinstance(origin, TlsNotOffered) else failure_word(origin)


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


def _kind(_: BaseException, verdict: Verdict | None) -> tuple[type[DbreError], str | None]:
    number = int(verdict.code) if verdict and verdict.code else None
    if number is None:
        return Unreachable, "check that the server runs, and the address, port and firewall"
    if number in _LOGIN_DENIED:
        return Denied, "check user, password, databases and tls of the cluster in dbre.yaml, and the host part of the account"
    if number in _PRIVILEGE_DENIED:
        return Denied, "an administrator can grant it: dbre engine sql mysql --grants --user NAME"
    if number in _LACKING:
        return Unsupported, "the server lacks what this statement uses: see dbre engine support mysql"
    return Unreachable, None


FAULTS = Faults(
    product="MySQL",
    driver_error=errors.MySQLError,
    code_name="error_number",
    classify=classify,
    network_code=_network_code,
    kind=_kind,
)
