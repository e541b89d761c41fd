"""How any engine's errors are told to people."""

import pytest

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address
from dbre.core.network import failure_word
from dbre.core.secrets import Secret, SecretReference
from dbre.ports.engine import Access, Blame, Verdict
from dbre.ports.faults import NO_ANSWER, Faults


class Broken(Exception):
    """What a driver raises."""


def classify(error: BaseException) -> Verdict | None:
    if error.__cause__ is not None:
        return classify(error.__cause__)
    if isinstance(error, TimeoutError):
        return Verdict(blame=Blame.BAD, code=None, reason=NO_ANSWER, retryable=True)
    if isinstance(error, Broken | OSError):
        code = "X1" if isinstance(error, Broken) else None
        return Verdict(blame=Blame.BAD, code=code, reason=str(error), retryable=True)
    return None


FAULTS = Faults(
    product="Oracle",
    driver_error=Broken,
    code_name="ora",
    classify=classify,
    network_code=failure_word,
    kind=lambda _, verdict: (Denied, "ask") if verdict and verdict.code else (Unreachable, None),
)


def access(password: Secret | None = None) -> Access:
    return Access(address=Address("db", 1521), user="dbre", password=password, database="shop")


def test_the_address_comes_first_and_the_facts_are_data() -> None:
    error = Broken("no privilege")
    told = FAULTS.translate(error, access())
    assert isinstance(told, Denied)
    assert (told.message, told.hint) == ("Oracle at db:1521: no privilege (X1)", "ask")
    assert told.context == {"address": "db:1521", "ora": "X1", "user": "dbre", "database": "shop"}
    assert told.__cause__ is error


def test_a_time_that_ran_out_names_its_limit_where_it_is_known() -> None:
    assert FAULTS.translate(TimeoutError(), access(), limit_seconds=2.5).message.endswith("no answer within 2.5s")
    assert FAULTS.translate(TimeoutError(), access()).message.endswith(NO_ANSWER)


def test_a_password_that_is_echoed_is_taken_out() -> None:
    assert FAULTS.translate(Broken("hunter2 is wrong"), access(Secret("hunter2"))).message.endswith("*** is wrong (X1)")
    assert "hunter" in FAULTS.translate(Broken("hunter"), access(Secret(""))).message


def test_a_secret_that_is_gone_does_not_hide_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBRE_NO_SUCH", raising=False)
    gone = SecretReference.parse("env:DBRE_NO_SUCH").secret()
    assert FAULTS.translate(Broken("no privilege"), access(gone)).message.endswith("no privilege (X1)")


def test_errors_of_ours_pass_as_they_are() -> None:
    error = Denied("no")
    assert FAULTS.translate(error, access()) is error


@pytest.mark.parametrize(
    ("error", "code", "may_pass"),
    [
        (Broken("lock"), "X1", True),
        (ConnectionResetError("gone"), "connection_lost", True),
        (ConnectionRefusedError("no"), "connection_refused", True),
        (TimeoutError(), "timeout", False),  # the time is used up
    ],
)
def test_what_used_up_its_time_is_not_asked_again(error: Exception, code: str, may_pass: bool) -> None:
    assert FAULTS.code(error) == code
    assert FAULTS.may_pass(FAULTS.translate(error, access())) is may_pass


def test_errors_of_others_are_not_asked_again() -> None:
    assert not FAULTS.may_pass(ValueError("a bug"))
