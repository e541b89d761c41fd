"""Values of rows as JSON and as words in a table."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction

from dbre.core.text import printable

__all__ = ["as_json_value", "as_words"]


def as_json_value(value: object) -> object:
    """A value as JSON knows it: UTC times as RFC 3339, ratios as numbers, durations in seconds, unknown as null."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and not isinstance(value, Enum):
        return int(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no infinity; null is "unknown or without bound"
    if isinstance(value, Enum):
        return as_json_value(value.value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Decimal | Fraction):
        return as_json_value(float(value))
    if isinstance(value, Mapping):
        return {str(key): as_json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_json_value(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: as_json_value(getattr(value, one.name)) for one in fields(value)}
    return str(value)


def as_words(value: object) -> str:
    """A value as a cell of a table: control characters visible, ``-`` for unknown, times in UTC to the second."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{as_words(key)}={as_words(one)}" for key, one in value.items()) or "-"
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(as_words(one) for one in value) or "-"
    text: object = value.value if isinstance(value, Enum) else value
    return printable(str(text))
