"""Whether a span or a data point speaks for or against the database."""

import re
from collections.abc import Iterable, Mapping

from dbre.capabilities.slo.ingest.otlp.attributes import is_error, lookup
from dbre.client.classification import classify_code, classify_exception_name
from dbre.client.outcome import Outcome

__all__ = ["judge"]

_SUCCESS = frozenset({"0", "00000", "OK"})
_SQLSTATE_SUCCESS = ("00", "01", "02")  # success, warning, no data
_CODE = re.compile(r"-?[0-9]{1,6}|[0-9A-Z]{5}")
_WRAPPED = re.compile(r"^\(([A-Za-z_][\w.]*)\)\s*")  # SQLAlchemy: (psycopg.errors.UniqueViolation) duplicate key ...
_MYSQL = re.compile(r"^\(?([0-9]{4})(?:, | \([0-9A-Z]{5}\))")  # PyMySQL: (1213, 'Deadlock ...'); Connector: 1213 (40001): ...
_REDIS = re.compile(r"^([A-Z]{2,}) ")
_MYSQL_SYSTEMS = frozenset({"mysql", "mariadb"})


def judge(
    attributes: Mapping[str, str],
    *,
    has_failed: bool,
    exceptions: Iterable[tuple[str, str]] = (),
    description: str = "",
) -> Outcome:
    """Good, bad, or the caller's own fault.

    The code of the database decides where there is one (``db.response.status_code``, or ``error.type``); else the class of the
    exception; else its text. A failure of which nothing is known is bad: nothing excuses it.
    """
    has_failed = has_failed or is_error(attributes)
    code = attributes.get("db.response.status_code")
    if code is None and not has_failed:
        return Outcome.GOOD
    system = lookup(attributes, "db.system.name") or ""
    if code is not None and system:
        if code not in _SUCCESS and not (len(code) == 5 and code[:2] in _SQLSTATE_SUCCESS):
            return classify_code(system, code, description)
        return Outcome.BAD if has_failed else Outcome.GOOD
    if not has_failed:
        return Outcome.GOOD
    told = [*exceptions, (attributes.get("error.type", ""), description)]
    return next((found for name, text in told if (found := _of_exception(system, name, text)) is not None), Outcome.BAD)


def _of_exception(system: str, name: str, text: str) -> Outcome | None:
    if system and _CODE.fullmatch(name):
        return classify_code(system, name, text)
    wrapped = _WRAPPED.match(text)
    if wrapped is not None:
        name, text = wrapped[1], text[wrapped.end() :]
    pattern = _MYSQL if system in _MYSQL_SYSTEMS else _REDIS if system == "redis" else None
    code = pattern.match(text) if pattern is not None else None
    if code is not None:
        return classify_code(system, code[1], text)
    return classify_exception_name(name, text) if name else None
