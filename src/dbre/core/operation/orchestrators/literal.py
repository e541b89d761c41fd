"""JSON values as Python source, in the form that Black leaves alone."""

from collections.abc import Mapping
from typing import Any

from dbre.core.text import HIDDEN

__all__ = ["literal"]

_INDENT = "    "


def literal(value: Any, *, depth: int = 0) -> str:
    r"""The source of a JSON value; whatever stands in a text stays inside its quotes, on its line.

    >>> literal({"a": ['x"\n', None]})
    '{\n    "a": [\n        \'x"\\n\',\n        None,\n    ],\n}'

    Raises: TypeError for what is no JSON.
    """
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool | int | float):
        return repr(value).replace("e+", "e")
    inner = _INDENT * (depth + 1)
    if isinstance(value, Mapping):
        items = [f"{inner}{literal(str(key))}: {literal(one, depth=depth + 1)},\n" for key, one in value.items()]
        brackets = "{}"
    elif isinstance(value, list | tuple):
        items = [f"{inner}{literal(one, depth=depth + 1)},\n" for one in value]
        brackets = "[]"
    else:
        raise TypeError(f"{type(value).__name__} is no JSON")
    return f"{brackets[0]}\n{''.join(items)}{_INDENT * depth}{brackets[1]}" if items else brackets


def _text(text: str) -> str:
    quote = "'" if text.count('"') > text.count("'") else '"'  # the one that needs fewer escapes
    written = "".join(_character(one, quote) for one in text)
    return f"{quote}{written}{quote}"


def _character(one: str, quote: str) -> str:
    if one in ("\\", quote):
        return "\\" + one
    if one.isprintable() and not HIDDEN.match(one):
        return one
    number = ord(one)
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(one)
    return named or (f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}")
