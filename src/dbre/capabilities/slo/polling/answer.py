"""What a query of an SLI may be, and the events that its answer is."""

import math
import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from dbre.capabilities.slo.counts import Counts
from dbre.core.errors import UsageError
from dbre.core.text import printable

__all__ = ["InvalidQuery", "answer_counts", "check_query"]

_BAD, _GOOD, _MISSED = Counts(bad=1), Counts(good=1), Counts(missed=1)
_MOST_EVENTS = 10**9  # of one answer
_FIRST_WORD = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*\(*\s*(select|with|values|table)\b", re.IGNORECASE | re.DOTALL)


class InvalidQuery(UsageError):
    """A text that is not one reading query, or an answer that is no measurement."""

    code = "slo.invalid_query"


def check_query(text: str) -> str:
    """A single query; that it cannot change anything is seen to by the server, which gets it as a table of another query.

    >>> check_query("SELECT extract(epoch FROM now() - max(at)) AS value FROM public.orders")
    'SELECT extract(epoch FROM now() - max(at)) AS value FROM public.orders'

    Raises: InvalidQuery.
    """
    if _FIRST_WORD.match(text) is None:
        raise InvalidQuery("the query does not begin with SELECT, WITH or VALUES", hint="write SELECT ... AS value FROM ...")
    if ";" in re.sub(r"'[^']*'|\"[^\"]*\"|--[^\n]*", "", text.strip().removesuffix(";")):
        raise InvalidQuery("the text holds more than one statement", hint="write one SELECT without a semicolon")
    return text


def answer_counts(row: Mapping[str, object], limit: float | None) -> Counts:
    """The events that an answer is: one, good while ``value`` is at most the limit; or ``good`` of ``total``.

    NULL means that nobody knows: missed. It is neither 0 nor bad.

    >>> answer_counts({"value": Decimal("12.5")}, 300), answer_counts({"good": 8, "total": 10}, None).bad
    (Counts(good=1, bad=0, missed=0, excluded=0), 2)

    Raises: InvalidQuery for other columns, or numbers that cannot be.
    """
    named = {name.lower(): value for name, value in row.items()}
    if limit is not None:
        value = _number(named, "value")
        return _MISSED if value is None else _GOOD if value <= Decimal(str(limit)) else _BAD
    good, total = _number(named, "good"), _number(named, "total")
    if good is None or total is None:
        return _MISSED
    if good % 1 or total % 1 or not 0 <= good <= total <= _MOST_EVENTS:
        raise InvalidQuery(
            f"the query says that {good} of {total} events were good", hint="whole numbers, 0 <= good <= total <= 10^9"
        )
    return Counts(good=int(good), bad=int(total - good))


def _number(row: Mapping[str, object], name: str) -> Decimal | None:
    if name not in row:
        given = printable(", ".join(row), limit=100) or "no column"
        raise InvalidQuery(f"the answer has no column {name}; it has {given}", hint=f"write SELECT ... AS {name}")
    value = row[name]
    if value is None:
        return None
    if isinstance(value, timedelta):
        return Decimal(str(value.total_seconds()))
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value):
        raise InvalidQuery(
            f"the column {name} holds {printable(repr(value), limit=60)}, which is no number", hint="cast it to a number"
        )
    return Decimal(str(value))
