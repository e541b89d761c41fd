"""Values of MariaDB's parameters: read with their suffixes and checked against their limits."""

import re
from fractions import Fraction

from dbre.core.errors import UsageError
from dbre.core.text import closest, printable, quoted
from dbre.engines.mysql.connection import Row

__all__ = ["NUMERIC", "normalised", "same_value"]

NUMERIC = frozenset({"INT", "INT UNSIGNED", "BIGINT", "BIGINT UNSIGNED"})
_SUFFIX = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}
_NUMBER = re.compile(r"\s*(-?\d{1,20})\s*([KMGTPE]?)B?\s*", re.ASCII | re.IGNORECASE)
_DECIMAL = re.compile(r"\s*-?\d{1,20}(?:\.\d{1,20})?\s*", re.ASCII)
_SWITCH = {"on": "ON", "true": "ON", "1": "ON", "yes": "ON", "off": "OFF", "false": "OFF", "0": "OFF", "no": "OFF"}
_LONGEST = 1000
_COMPOSED = {"ANSI", "DB2", "MAXDB", "MSSQL", "MYSQL323", "MYSQL40", "ORACLE", "POSTGRESQL", "TRADITIONAL"}


def normalised(text: str, variable: Row) -> str:
    """The value as the server shows it; ``variable`` is a row of ``setting_detail``. Suffixes are powers of two, as in my.cnf.

    Raises: UsageError where it has another form, lies outside the limits, or would be rounded by the server.
    """
    kind, name = str(variable["kind"]), str(variable["name"])
    if len(text) > _LONGEST or printable(text, limit=_LONGEST) != text:
        raise UsageError(f"the value of {name} is longer than {_LONGEST} characters, or holds characters that cannot be seen")
    if kind == "BOOLEAN":
        return _word(text, name, ("ON", "OFF"))
    if kind == "ENUM":
        return _word(text, name, tuple(str(variable["words"] or "").split(",")))
    if kind in NUMERIC:
        return _integer(text, variable)
    if kind == "DOUBLE":
        return _decimal(text, variable)
    if kind == "SET":
        return _words(text, name, tuple(str(variable["words"] or "").split(",")))
    if kind == "FLAGSET":
        raise UsageError(f"{name} is a set of switches, which dbre does not change", hint=f"SET GLOBAL {name} = '...'")
    return text


def same_value(one: str | None, other: str | None, variable: Row) -> bool:
    """Whether two texts mean the same value; texts that cannot be read are compared as they are."""
    if one is None or other is None or one == other:
        return one == other
    if variable["kind"] == "DOUBLE" and _DECIMAL.fullmatch(one) and _DECIMAL.fullmatch(other):
        return float(one) == float(other)
    return one.casefold() == other.casefold()


def _word(text: str, name: str, words: tuple[str, ...]) -> str:
    known = {word.casefold(): word for word in words}
    wanted = text.strip().casefold()
    if wanted in known:
        return known[wanted]
    if _SWITCH.get(wanted) in words:
        return _SWITCH[wanted]
    near = closest(wanted, words)
    raise UsageError(
        f"{name} cannot be {quoted(text, limit=60)}; it takes {', '.join(words)}",
        hint=f"did you mean {near}?" if near else f"write {name}={words[0]}",
    )


def _words(text: str, name: str, words: tuple[str, ...]) -> str:
    """In the order in which the server shows them; words that stand for several others are not taken."""
    chosen = {_word(part, name, words) for part in text.split(",") if part.strip()}
    if composed := sorted(chosen & _COMPOSED):
        raise UsageError(f"{name}: {', '.join(composed)} stands for several words", hint="write them out, separated by commas")
    return ",".join(word for word in words if word in chosen)


def _integer(text: str, variable: Row) -> str:
    name, match = variable["name"], _NUMBER.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{name} is a number, and not {quoted(text, limit=60)}", hint=f"write {name}=10, or 64M where it counts bytes"
        )
    number = int(match[1]) << _SUFFIX[match[2].upper()]
    _limit(Fraction(number), text, variable)
    block = int(variable["block_size"] or 0)
    if block > 1 and number % block:
        raise UsageError(
            f"{name} is counted in steps of {block}, and {quoted(text, limit=60)} is {number}",
            hint=f"write {name}={number - number % block} or {name}={number - number % block + block}",
        )
    return str(number)


def _decimal(text: str, variable: Row) -> str:
    if not _DECIMAL.fullmatch(text):
        raise UsageError(f"{variable['name']} is a number, and not {quoted(text, limit=60)}", hint="write 0.5")
    number = Fraction(text.strip())
    _limit(number, text, variable)
    return f"{float(number):.6f}"


def _limit(number: Fraction, text: str, variable: Row) -> None:
    low, high = variable["minimum"], variable["maximum"]
    is_low = low is not None and number < Fraction(low)
    if is_low or (high is not None and number > Fraction(high)):
        word, limit = ("at least", low) if is_low else ("at most", high)
        raise UsageError(
            f"{variable['name']} is {word} {limit}, and {quoted(text, limit=60)} is {float(number):g}",
            hint=f"{variable['name']} lies between {low} and {high}",
        )
