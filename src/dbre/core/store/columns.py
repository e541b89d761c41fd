"""Column types that behave the same on SQLite and PostgreSQL."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Dialect, Integer, String, Text, TypeDecorator

__all__ = ["AutoKey", "Identifier", "JsonText", "SafeText", "UtcDateTime"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

AutoKey = BigInteger().with_variant(Integer(), "sqlite")
"""64-bit key that the database counts up; SQLite counts only columns declared INTEGER."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored as whole microseconds since 1970 in UTC; exact and sortable on both databases."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 (given by SQLAlchemy)
        """Raises: ValueError for a datetime without time zone, which names no moment."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone, so it names no moment")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002 (given by SQLAlchemy)
        """Back to an aware datetime in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=int(value))


class JsonText(TypeDecorator[Any]):
    """A JSON value, stored as compact text with sorted keys: equal values are equal text.

    Only ASCII is stored, so that a NUL or a lone surrogate in a name read from a database survives the round trip.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 (given by SQLAlchemy)
        """Raises: TypeError for a value that JSON cannot hold, ValueError for NaN and infinity."""
        return None if value is None else json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 (given by SQLAlchemy)
        """Back to the value."""
        return None if value is None else json.loads(value)


class Identifier(TypeDecorator[UUID]):
    """A UUID, stored as its 36 characters, so that a person with a SQL prompt can search for what the page shows."""

    impl = String(36)
    cache_ok = True

    def process_bind_param(self, value: UUID | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (given by SQLAlchemy)
        """To its canonical text."""
        return None if value is None else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002 (given by SQLAlchemy)
        """Back to the UUID."""
        return None if value is None else UUID(value)


class SafeText(TypeDecorator[str]):
    """Text from outside: NUL and lone surrogates, which no UTF-8 column can hold, are stored as U+FFFD; the rest as it is."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 (given by SQLAlchemy)
        """Replace what PostgreSQL refuses; comparisons are replaced alike, so a search still finds the row."""
        return None if value is None else _UNSTORABLE.sub("\ufffd", value)
