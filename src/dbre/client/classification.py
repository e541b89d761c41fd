"""Whether an error is the database's fault: by its code, else by the class of the exception."""

import re

from dbre.client.codes import (
    BAD_MONGODB,
    BAD_MYSQL,
    BAD_ORACLE,
    BAD_REDIS,
    BAD_SQLSERVER,
    BAD_SQLSTATES,
)
from dbre.client.conditions import BAD_CONDITIONS, BAD_EXCEPTIONS, INVALID_CONDITIONS, INVALID_EXCEPTIONS
from dbre.client.outcome import Outcome

__all__ = ["classify_code", "classify_error", "classify_exception_name", "code_of"]

_NUMBERS = {
    "mysql": BAD_MYSQL,
    "mariadb": BAD_MYSQL,
    "mongodb": BAD_MONGODB,
    "mssql": BAD_SQLSERVER,
    "microsoft.sql_server": BAD_SQLSERVER,
    "oracle": BAD_ORACLE,
    "oracle.db": BAD_ORACLE,
}
_NUMBER = re.compile(r"(?:[A-Z]+-)?(-?[0-9]{1,6})")
_SQLSTATE = re.compile(r"[0-9A-Z]{5}")
_REDIS_WORD = re.compile(r"[A-Z]{2,}")
_USER_CANCEL = "user request"  # of 57014; the same code as a statement timeout
_READ_ONLY = ("read-only", "read_only")  # of 1290, the number of every option that forbids a statement
_CAUSES = 5  # wrappers of wrappers


def classify_code(system: str, code: str, message: str = "") -> Outcome:
    """What a database's own code says; ``system`` is the name of OpenTelemetry (``db.system.name``).

    >>> classify_code("postgresql", "53300"), classify_code("postgresql", "23505")
    (<Outcome.BAD: 'bad'>, <Outcome.INVALID: 'invalid'>)
    >>> classify_code("mysql", "1213"), classify_code("redis", "WRONGTYPE")
    (<Outcome.BAD: 'bad'>, <Outcome.INVALID: 'invalid'>)
    """
    system = system.lower()
    if system == "redis":
        word = _REDIS_WORD.match(code)
        is_full = code == "ERR" and "max number of clients" in message
        return _bad_if(is_full or (word is not None and word[0] in BAD_REDIS))
    numbers = _NUMBERS.get(system)
    number = _NUMBER.fullmatch(code)
    if numbers is not None and number is not None:
        value = int(number[1])
        if value == 1290 and numbers is BAD_MYSQL and message and not any(word in message for word in _READ_ONLY):
            return Outcome.INVALID
        return _bad_if(value in numbers)
    if _SQLSTATE.fullmatch(code):  # also of servers that speak PostgreSQL's protocol, and of MySQL's drivers
        return _of_sqlstate(code, message)
    return Outcome.INVALID


def _of_sqlstate(code: str, message: str) -> Outcome:
    if code == "57014" and _USER_CANCEL in message:
        return Outcome.INVALID
    return _bad_if(code in BAD_SQLSTATES or code[:2] in BAD_SQLSTATES)


def _bad_if(is_bad: bool) -> Outcome:
    return Outcome.BAD if is_bad else Outcome.INVALID


def classify_exception_name(name: str, message: str = "") -> Outcome | None:
    """What the class of an exception says, as ``psycopg.errors.UniqueViolation``; None: nothing.

    >>> classify_exception_name("psycopg.errors.DeadlockDetected")
    <Outcome.BAD: 'bad'>
    """
    short = name.rpartition(".")[2]
    condition = short if short in BAD_CONDITIONS | INVALID_CONDITIONS else short.removesuffix("Error")
    if condition in BAD_CONDITIONS:
        return Outcome.INVALID if condition == "QueryCanceled" and _USER_CANCEL in message else Outcome.BAD
    if condition in INVALID_CONDITIONS or short in INVALID_EXCEPTIONS:
        return Outcome.INVALID
    return Outcome.BAD if short in BAD_EXCEPTIONS else None


def code_of(error: BaseException) -> tuple[str, str] | None:
    """System and code that an exception of a driver carries; None where no server spoke.

    Knows psycopg 3 and 2, asyncpg, the MySQL drivers, pymongo and redis-py by what their exceptions look like, so that none
    of them must be installed.
    """
    sqlstate = getattr(error, "sqlstate", None) or getattr(error, "pgcode", None)
    package = type(error).__module__.partition(".")[0]
    first = error.args[0] if error.args else None
    if package in {"pymysql", "asyncmy", "MySQLdb", "aiomysql", "mysql"}:
        number = first if isinstance(first, int) else getattr(error, "errno", None)
        return ("mysql", str(number)) if isinstance(number, int) and number else None
    if isinstance(sqlstate, str) and _SQLSTATE.fullmatch(sqlstate):
        return "postgresql", sqlstate
    if package == "pymongo" and isinstance(getattr(error, "code", None), int):
        return "mongodb", str(getattr(error, "code", ""))
    if package in {"redis", "valkey"} and type(error).__name__ not in BAD_EXCEPTIONS:
        # redis-py strips the word of those replies that have a class of their own.
        word = str(getattr(error, "status_code", None) or first or "").partition(" ")[0]
        return ("redis", word) if _REDIS_WORD.fullmatch(word) else None
    return None


def classify_error(error: BaseException) -> Outcome:
    """What an exception that a request ended with says about the database.

    The wrappers of SQLAlchemy and Django are looked through. An exception that comes from no driver and no network is the
    application's own.
    """
    seen: BaseException | None = error
    for _ in range(_CAUSES):
        if seen is None:
            break
        found = _judge(seen)
        if found is not None:
            return found
        origin = getattr(seen, "orig", None)
        seen = origin if isinstance(origin, BaseException) else seen.__cause__
    return Outcome.INVALID


def _judge(error: BaseException) -> Outcome | None:
    code, message = code_of(error), str(error)
    if code is not None:
        return classify_code(*code, message)
    if isinstance(getattr(error, "orig", None), BaseException):
        return None  # a wrapper: the driver's own exception knows more
    if isinstance(error, OSError):  # every network error, and TimeoutError
        return Outcome.BAD
    if error.__cause__ is not None and type(error).__module__.startswith("django"):
        return None
    return classify_exception_name(f"{type(error).__module__}.{type(error).__qualname__}", message)
