"""Values of the journal as they may leave the house: secrets struck out, nothing else left out unsaid."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dbre.core.telemetry.redaction import clean

__all__ = ["moment", "redacted"]

_MASKED = "***"
_LARGEST_INTEGER = 2**53 - 1
_MOST_DIGITS = 100


def redacted(value: Any, *, key: str = "") -> Any:
    """A JSON value without secrets, with a canonical form; texts over 8 KiB end in an ellipsis, lists and objects stay whole.

    >>> redacted({"output": ["password=hunter2"], "token": {"kid": 1}})
    {'output': ['password=***'], 'token': '***'}
    """
    if isinstance(value, Mapping | list | tuple) and clean(1, key=key) != _MASKED:
        if isinstance(value, Mapping):
            return {str(clean(str(name))): redacted(one, key=str(name)) for name, one in value.items()}
        return [redacted(one) for one in value]
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return clean(str(value)[:_MOST_DIGITS], key=key)  # as a number it has no canonical form
    return clean(value, key=key)


def moment(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with microseconds; None stays None."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
