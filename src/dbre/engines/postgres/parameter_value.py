"""Values of PostgreSQL's parameters: read with their units, checked against their limits, and written as people write them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dbre.core.errors import UsageError
from dbre.core.text import closest, printable, quoted

__all__ = ["ValueRule", "normalised", "same_value", "shown"]

_MEMORY = {"B": 1, "kB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}
_TIME = {"us": 1, "ms": 10**3, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?)\s*([A-Za-z]*)\s*", re.ASCII)
_BASE = re.compile(r"(\d*)([A-Za-z]+)")
_ON, _OFF = {"on", "true", "yes", "1", "t", "y"}, {"off", "false", "no", "0", "f", "n"}
_LONGEST = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRule:
    """What a parameter takes, as ``pg_settings`` tells."""

    name: str
    vartype: str  # bool, enum, integer, real, string
    unit: str | None = None  # what a number without a unit is counted in: kB, 8kB, ms
    minimum: str | None = None
    maximum: str | None = None
    words: Sequence[str] = ()


def normalised(text: str, rule: ValueRule) -> str:
    """The value as people write it, equal for equal values. Source: PostgreSQL manual, 20.1.1 "Parameter Names and Values".

    >>> normalised("65536 kB", ValueRule(name="work_mem", vartype="integer", unit="kB", minimum="64", maximum="2147483647"))
    '64MB'

    Raises: UsageError where it has another form, another unit, or lies outside the limits.
    """
    if len(text) > _LONGEST or not printable(text, limit=_LONGEST) == text:
        raise UsageError(
            f"the value of {rule.name} is longer than {_LONGEST} characters, or holds characters that cannot be seen"
        )
    if rule.vartype == "bool":
        return _switch(text, rule)
    if rule.vartype == "enum":
        return _word(text, rule)
    if rule.vartype in ("integer", "real"):
        return _checked_number(text, rule)
    return text


def same_value(one: str, other: str, rule: ValueRule) -> bool:
    """Whether two texts mean the same value; texts that cannot be read are compared as they are."""
    if one == other:
        return True
    try:
        return _plain(one, rule) == _plain(other, rule)
    except UsageError:
        return one.casefold() == other.casefold()


def shown(text: str, rule: ValueRule) -> str:
    """A value as ``pg_settings`` or a file has it, as people write it.

    >>> shown("4096", ValueRule(name="work_mem", vartype="integer", unit="kB"))
    '4MB'
    """
    try:
        return _plain(text, rule)
    except UsageError:
        return text


def _plain(text: str, rule: ValueRule) -> str:
    if rule.vartype == "bool":
        return _switch(text, rule)
    if rule.vartype == "enum":
        return text.casefold()
    return _written(_number(text, rule), rule) if rule.vartype in ("integer", "real") else text


def _switch(text: str, rule: ValueRule) -> str:
    word = text.strip().lower()
    if word in _ON or word in _OFF:
        return "on" if word in _ON else "off"
    raise UsageError(f"{rule.name} is on or off, and not {quoted(text, limit=60)}", hint=f"write {rule.name}=on")


def _word(text: str, rule: ValueRule) -> str:
    wanted = text.strip().lower()
    known = {word.lower(): word for word in rule.words}
    if wanted in known:
        return known[wanted]
    aliases = [word for word, meant in (("on", _ON), ("off", _OFF)) if wanted in meant and word in known]
    if aliases:
        return aliases[0]
    near = closest(wanted, rule.words)
    hint = f"did you mean {near}?" if near else f"write one of {', '.join(rule.words)}"
    raise UsageError(f"{rule.name} cannot be {quoted(text, limit=60)}; it takes {', '.join(rule.words)}", hint=hint)


def _checked_number(text: str, rule: ValueRule) -> str:
    number = _number(text, rule)
    written = _written(number, rule)
    for limit, is_outside, word in ((rule.minimum, _below, "at least"), (rule.maximum, _above, "at most")):
        if limit is not None and is_outside(number, Fraction(limit)):
            raise UsageError(
                f"{rule.name} is {word} {_written(Fraction(limit), rule)}, and {quoted(text, limit=60)} is {written}",
                hint=f"{rule.name} lies between {_limit(rule.minimum, rule)} and {_limit(rule.maximum, rule)}",
            )
    return written


def _below(number: Fraction, limit: Fraction) -> bool:
    return number < limit


def _above(number: Fraction, limit: Fraction) -> bool:
    return number > limit


def _limit(text: str | None, rule: ValueRule) -> str:
    return "any value" if text is None else _written(Fraction(text), rule)


def _number(text: str, rule: ValueRule) -> Fraction:
    """The number in the parameter's base unit. Raises: UsageError."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UsageError(f"{rule.name} is a number, and not {quoted(text, limit=60)}", hint=_example(rule))
    number, unit = Fraction(match[1]), match[2]
    if unit:
        factors, base = _units(rule)
        if unit not in factors:
            takes = f"takes {', '.join(factors)}" if factors else "has no unit"
            raise UsageError(f"{rule.name} {takes}, and not {quoted(unit, limit=20)}", hint=_example(rule))
        number = number * factors[unit] / base
    if rule.vartype == "integer" and number.denominator != 1:
        raise UsageError(
            f"{rule.name} is counted in whole {rule.unit or 'numbers'}, and {quoted(text, limit=60)} is {float(number):g}",
            hint=_example(rule),
        )
    return number


def _units(rule: ValueRule) -> tuple[dict[str, int], int]:
    """The units that it takes, and how much its base unit is: ``8kB`` is 8192 bytes."""
    match = _BASE.fullmatch(rule.unit or "")
    if match is None:
        return {}, 1
    factors = _MEMORY if match[2] in _MEMORY else _TIME
    return factors, int(match[1] or 1) * factors.get(match[2], 1)


def _example(rule: ValueRule) -> str:
    factors, _ = _units(rule)
    example = "10" if not factors else "64MB" if "MB" in factors else "30s"
    return f"write {rule.name}={example}" + (f"; without a unit it counts {rule.unit}" if factors else "")


def _written(number: Fraction, rule: ValueRule) -> str:
    """With the largest unit in which it is whole, as SHOW writes it; 0 and special values below it bare."""
    factors, base = _units(rule)
    if factors and number > 0:
        amount = number * base
        for unit in sorted(factors, key=lambda one: -factors[one]):
            if (amount / factors[unit]).denominator == 1:
                return f"{amount / factors[unit]}{unit}"
    return str(number) if number.denominator == 1 else repr(float(number))
