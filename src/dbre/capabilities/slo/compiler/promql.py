"""Pieces of PromQL, written such that nothing in a name or a number can change their meaning."""

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

__all__ = ["annotation", "duration", "is_selector", "matcher", "number", "one_of", "selector", "string"]

_UNITS = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
_STRING = r'"(?:[^"\\\n]|\\.)*"|' + r"'(?:[^'\\\n]|\\.)*'"
_MATCHER = rf"\s*[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*(?:{_STRING})\s*"
_SELECTOR = re.compile(rf"\s*(?:[a-zA-Z_:][\w:]*\s*)?(?:\{{(?:{_MATCHER}(?:,{_MATCHER})*,?)?\s*\}})?\s*")


def string(text: str) -> str:
    r"""A string literal.

    >>> print(string('a"b\\c'))
    "a\"b\\c"
    """
    named = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(named.get(one, one if one.isprintable() else f"\\U{ord(one):08x}") for one in text) + '"'


def matcher(label: str, value: str) -> str:
    """One label that must have one value."""
    return f"{label}={string(value)}"


def selector(metric: str, labels: Mapping[str, str]) -> str:
    """A metric with the given labels.

    >>> selector("up", {"job": "dbre"})
    'up{job="dbre"}'
    """
    terms = ", ".join(matcher(label, value) for label, value in labels.items())
    return f"{metric}{{{terms}}}" if terms else metric


def one_of(label: str, values: list[str]) -> str:
    """One label that must have one of some values, taken literally (RE2).

    >>> one_of("slo", ["a.b", "c"])
    'slo=~"a\\\\\\\\.b|c"'
    """
    if len(values) == 1:
        return matcher(label, values[0])
    literal = "|".join(re.sub(r"([^\w\- ])", r"\\\1", value, flags=re.ASCII) for value in values)
    return f"{label}=~{string(literal)}"


def number(value: Fraction | Decimal | int) -> str:
    """A number, exact where decimals can be: never ``0.0009999999999999432``.

    >>> number(1 - Fraction("0.999")), number(Fraction(28, 30)), number(Fraction("14.4") / 1000)
    ('0.001', '0.93333333333333333', '0.0144')
    """
    fraction = Fraction(value)
    rest = fraction.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    places = Decimal(fraction.numerator) / Decimal(fraction.denominator)
    if rest == 1 and Fraction(places) == fraction:
        return f"{places.normalize():f}"
    return f"{places:.17g}"


def duration(seconds: int) -> str:
    """A duration in its largest whole unit, as dashboards and people write it.

    >>> duration(300), duration(5400), duration(30 * 86_400), duration(14 * 86_400)
    ('5m', '90m', '30d', '14d')
    """
    for unit, size in _UNITS[1:]:  # days rather than weeks: 30d and 28d side by side
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    raise AssertionError(seconds)  # whole seconds always end above


def is_selector(expression: str) -> bool:
    """Whether an expression is a plain selector of series, over which ``increase`` sees every reset of every counter.

    >>> is_selector('requests_total{code=~"5.."}'), is_selector("sum(requests_total)")
    (True, False)
    """
    return bool(expression.strip()) and _SELECTOR.fullmatch(expression) is not None


def annotation(text: str) -> str:
    """Text in which Prometheus finds no template to evaluate, whoever wrote it.

    >>> annotation("{{ $value }}")
    '{{ "{{" }} $value }}'
    """
    return text.replace("{{", '{{ "{{" }}')
