import psycopg
import psycopg.errors
import pytest

from dbre.client import Outcome, classify_code, classify_error
from dbre.client.classification import classify_exception_name
from dbre.client.codes import BAD_MYSQL, BAD_REDIS
from dbre.client.conditions import BAD_CONDITIONS, INVALID_CONDITIONS
from dbre.engines.mysql.facts import ERRORS as MYSQL
from dbre.engines.postgres.facts import meaning_of
from dbre.engines.redis.facts import ERRORS as REDIS
from dbre.ports.engine import Blame

_CONDITIONS = {
    name: one.sqlstate
    for name, one in vars(psycopg.errors).items()
    if isinstance(one, type) and isinstance(getattr(one, "sqlstate", None), str)
}


@pytest.mark.parametrize("sqlstate", sorted(set(_CONDITIONS.values())))
def test_sqlstates_are_judged_as_the_engine_judges_probes_but_for_logins(sqlstate):
    expected = Outcome.BAD if meaning_of(sqlstate).blame is Blame.BAD and sqlstate[:2] != "28" else Outcome.INVALID
    assert classify_code("postgresql", sqlstate) is expected


def test_names_of_conditions_say_what_their_codes_say():
    assert set(_CONDITIONS) == BAD_CONDITIONS | INVALID_CONDITIONS
    for name, sqlstate in _CONDITIONS.items():
        assert classify_exception_name(f"psycopg.errors.{name}") is classify_code("postgresql", sqlstate), name


def test_numbers_of_mysql_are_judged_as_the_engine_judges_probes():
    for meaning in MYSQL:
        assert (meaning.number in BAD_MYSQL) is (meaning.blame is Blame.BAD), meaning
    assert all(number in BAD_MYSQL for number in (126, 145, 2002, 2013))


def test_words_of_redis_are_judged_as_the_engine_judges_probes():
    for meaning in REDIS:
        if not meaning.prefix:
            assert (meaning.word in BAD_REDIS) is (meaning.blame is Blame.BAD), meaning


@pytest.mark.parametrize(
    ("system", "code", "message", "outcome"),
    [
        ("postgresql", "57014", "canceling statement due to statement timeout", Outcome.BAD),
        ("postgresql", "57014", "canceling statement due to user request", Outcome.INVALID),
        ("postgresql", "28P01", "", Outcome.INVALID),
        ("mysql", "1290", "running with the --read-only option", Outcome.BAD),
        ("mysql", "1290", "running with the --secure-file-priv option", Outcome.INVALID),
        ("redis", "ERR", "max number of clients reached", Outcome.BAD),
        ("redis", "ERR", "unknown command", Outcome.INVALID),
        ("mongodb", "10107", "", Outcome.BAD),
        ("mongodb", "11000", "", Outcome.INVALID),
        ("mssql", "1205", "", Outcome.BAD),
        ("oracle.db", "ORA-00060", "", Outcome.BAD),
        ("oracle.db", "ORA-00001", "", Outcome.INVALID),
        ("cockroachdb", "40001", "", Outcome.BAD),
        ("", "nonsense", "", Outcome.INVALID),
    ],
)
def test_codes_of_each_database(system, code, message, outcome):
    assert classify_code(system, code, message) is outcome


def test_wrappers_are_looked_through():
    class Wrapped(Exception):
        orig = psycopg.errors.UniqueViolation("twice")

    wrapped = RuntimeError("of the application")
    wrapped.__cause__ = psycopg.OperationalError("the connection is lost")
    assert classify_error(Wrapped("x")) is Outcome.INVALID
    assert classify_error(wrapped) is Outcome.BAD
    assert classify_error(ZeroDivisionError()) is Outcome.INVALID
    assert classify_error(ConnectionResetError()) is Outcome.BAD
