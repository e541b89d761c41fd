"""What an unquoted word of YAML means here, and the words that are refused because readers of YAML disagree on them."""

import math
import re

__all__ = ["AmbiguousScalar", "is_date", "read_scalar"]

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_BOOLEAN_TRAP = re.compile(r"(?i:yes|no|on|off|y|n)")
_OCTAL = re.compile(r"[-+]?0[0-9_]+|[-+]?0o[0-7_]+")
_OTHER_BASE = re.compile(r"[-+]?0(x[0-9a-fA-F_]+|b[01_]+)")
_GROUPED = re.compile(r"[-+]?[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?", re.DOTALL)
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DIGITS_LIMIT = 40

_TRAPS = (
    (_OCTAL, "a number that begins with 0 is octal to some readers of YAML", "drop the 0, or put text in quotes"),
    (_OTHER_BASE, "a number of another base than ten", "write it in base ten, or put text in quotes"),
    (_GROUPED, "a number with _ in it", "write digits only, or put text in quotes"),
    (_SEXAGESIMAL, "numbers with : between them are base 60 to some readers of YAML", "put it in quotes"),
    (_DATE, "an unquoted date", "put it in quotes"),
    (_NOT_FINITE, "not a finite number", "write a number"),
)


class AmbiguousScalar(ValueError):
    """The word means one thing to YAML 1.1 and another to YAML 1.2, or nothing that a setting can be."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def is_date(text: str) -> bool:
    """Whether YAML 1.1 takes an unquoted word for a date or a moment."""
    return _DATE.fullmatch(text) is not None


def read_scalar(text: str) -> str | int | float | bool | None:
    """The value of an unquoted scalar: null, true or false, a decimal number, or text.

    >>> read_scalar("5432"), read_scalar("true"), read_scalar("10s")
    (5432, True, '10s')

    Raises: AmbiguousScalar, which repeats the word only where it is one of yes, no, on, off, y, n.
    Source: YAML 1.2.2, 10.3 "Core Schema"; YAML 1.1 type repository for what is refused.
    """
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text.lower() in ("true", "false") and text in (text.lower(), text.upper(), text.capitalize()):
        return text.lower() == "true"
    if _BOOLEAN_TRAP.fullmatch(text):
        other = "true" if text.lower() in ("yes", "on", "y") else "false"
        raise AmbiguousScalar(
            f"unquoted {text} is a boolean to some readers of YAML", f'write {other}, or "{text}" if text is meant'
        )
    if not _INTEGER.fullmatch(text):
        for pattern, message, hint in _TRAPS:
            if pattern.fullmatch(text):
                raise AmbiguousScalar(message, hint)
        if not _FLOAT.fullmatch(text):
            return text
    if len(text) > _DIGITS_LIMIT:
        raise AmbiguousScalar(f"a number of more than {_DIGITS_LIMIT} digits", "put text in quotes")
    if _INTEGER.fullmatch(text):
        return int(text)
    if not math.isfinite(number := float(text)):
        raise AmbiguousScalar("a number beyond all bounds", "write a smaller number")
    return number
