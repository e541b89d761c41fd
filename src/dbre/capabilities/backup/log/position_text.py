"""A position in the same words as another one of its log: the engine chose the form, arithmetic made the number."""

import re

__all__ = ["text_like"]

_SLASH = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_NUMBERED = re.compile(r"(?P<base>.+)\.(?P<number>\d+)(?P<rest>(?:\.[A-Za-z]\w*)*):\d+")
_LOW = 2**32


def text_like(example: str, value: int) -> str:
    """``value`` (high half * 2**32 + low half) in the form of ``example``.

    >>> text_like("0/3000028", 0x1_0400_0060)
    '1/4000060'
    >>> text_like("binlog.000004:328", 5 * 2**32 + 4)
    'binlog.000005:4'
    >>> text_like("appendonly.aof.9.incr.aof:411", 10 * 2**32)
    'appendonly.aof.10.incr.aof:0'
    >>> text_like("1920977", 1920980)  # an SCN of Oracle, an LSN of SQL Server: one decimal number
    '1920980'
    """
    high, low = divmod(value, _LOW)
    if _SLASH.fullmatch(example):
        return f"{high:X}/{low:X}"
    if example.isascii() and example.isdigit():
        return str(value)
    numbered = _NUMBERED.fullmatch(example)
    if numbered:
        return f"{numbered['base']}.{high:0{_width(numbered['number'])}}{numbered['rest']}:{low}"
    return f"{high}:{low}"


def _width(number: str) -> int:
    """Numbers that are filled up with zeros keep their width."""
    return len(number) if number.startswith("0") else 0
