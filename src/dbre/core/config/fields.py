"""Field types of documents: durations, ratios, sizes, paths and references to secrets, read from their text form."""

import math
import os
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

from dbre.core.errors import UsageError
from dbre.core.secrets import SecretReference as Reference
from dbre.core.selector import LABEL_KEY, LABEL_VALUE, NAME
from dbre.core.units import parse_bytes, parse_duration, parse_ratio

__all__ = [
    "Duration",
    "FilePath",
    "LabelKey",
    "LabelValue",
    "Name",
    "Ratio",
    "SecretReference",
    "Size",
    "between",
    "duration_text",
    "size_text",
]

Value = TypeVar("Value")


def duration_text(value: timedelta) -> str:
    """A duration as ``parse_duration`` reads it: exact, largest unit first.

    >>> duration_text(timedelta(minutes=90))
    '1h30m'
    """
    rest, words = value // timedelta(milliseconds=1), []
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, factor)
        if count:
            words.append(f"{count}{unit}")
    return "".join(words) or "0s"


def size_text(value: int) -> str:
    """A size as ``parse_bytes`` reads it: exact, in the largest unit that leaves a whole number.

    >>> size_text(64 * 1024 * 1024)
    '64MiB'
    """
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return f"{value}B"


def _from_text(kind: type[Value], parse: Callable[[str], Value], expected: str) -> Callable[[Any], Value]:
    def read(value: Any) -> Value:
        if isinstance(value, kind) and not isinstance(value, bool | str):
            return value  # already read: a default, or a document made in code
        if not isinstance(value, str):
            raise UsageError(f"expected {expected}")
        return parse(value)

    return read


def _read_size(value: Any) -> int:
    if not isinstance(value, str):
        raise UsageError("expected a size with its unit, such as 64MiB")
    return parse_bytes(value)


def _read_ratio(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if (
        isinstance(value, bool)
        or not isinstance(value, str | int | float)
        or (isinstance(value, float) and not math.isfinite(value))
    ):
        raise UsageError("expected a ratio such as 0.999 or 99.9%")
    return parse_ratio(str(value))  # the shortest form of a float is what was written, up to 15 digits


def _read_reference(value: Any) -> Reference:
    if isinstance(value, Reference):
        return value
    if not isinstance(value, str):
        raise UsageError("expected a reference to a secret", hint="write env:NAME, file:/path/to/file or exec:program argument")
    return Reference.parse(str(value), base_directory=getattr(value, "directory", None))


def _read_path(value: Any) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value or "\0" in value:
        raise UsageError("expected the path of a file")
    base: Path = getattr(value, "directory", None) or Path()
    return base / os.path.expanduser(value)  # noqa: PTH111 - Path.expanduser raises where there is no home


def _fits(pattern: str, description: str) -> AfterValidator:
    """A check of text against a pattern, whose error is a sentence instead of the pattern."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise UsageError(f"expected {description}")
        return text

    return AfterValidator(check)


Name = Annotated[
    str,
    _fits(NAME, "a name of 1 to 63 letters, digits and . _ - with a letter or digit at both ends"),
    WithJsonSchema({"type": "string", "pattern": NAME}),
]
"""A name of something in the configuration; fits ``dbre.core.selector.NAME``."""

LabelKey = Annotated[
    str,
    _fits(LABEL_KEY, "a label of 1 to 63 small letters, digits and _ that begins with a letter"),
    WithJsonSchema({"type": "string", "pattern": LABEL_KEY}),
]
"""The key of a label; fits ``dbre.core.selector.LABEL_KEY``."""

LabelValue = Annotated[
    str,
    _fits(LABEL_VALUE, "1 to 128 letters, digits and . _ / @ : + - with a letter or digit at both ends"),
    WithJsonSchema({"type": "string", "pattern": LABEL_VALUE}),
]
"""The value of a label; fits ``dbre.core.selector.LABEL_VALUE``."""

Duration = Annotated[
    timedelta,
    PlainValidator(_from_text(timedelta, parse_duration, "a duration with its unit, such as 10s")),
    PlainSerializer(duration_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$", "examples": ["500ms", "10s", "1h30m", "30d"]}),
]
"""A ``timedelta``, written ``500ms``, ``10s``, ``1h30m``, ``30d``."""


def between(low: str, high: str) -> AfterValidator:
    """Bounds of a ``Duration``, inclusive: ``Annotated[Duration, between("1s", "10m")]``.

    ``Field(ge=..., le=...)`` beside a default is ignored by pydantic here, because a ``Duration`` brings its own validator.
    """
    # Nobody writes a duration of nothing, but a default may be one.
    shortest, longest = timedelta(0) if low == "0s" else parse_duration(low), parse_duration(high)

    def check(value: timedelta) -> timedelta:
        if not shortest <= value <= longest:
            raise UsageError(f"{duration_text(value)} does not lie between {low} and {high}")
        return value

    return AfterValidator(check)


Ratio = Annotated[
    Decimal,
    PlainValidator(_read_ratio),
    PlainSerializer(lambda value: format(value, "f"), return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": "^[0-9]+([.][0-9]+)? ?%?$"},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "examples": ["99.9%", 0.999],
        }
    ),
]
"""An exact ``Decimal`` between 0 and 1, written ``99.9%`` or ``0.999``."""

Size = Annotated[
    int,
    PlainValidator(_read_size),
    PlainSerializer(size_text, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]+([.][0-9]+)? *([kKMGT]?i?)B$", "examples": ["64MiB", "10GB"]}),
]
"""A number of bytes, written ``512B``, ``64MiB``, ``10GB``."""

SecretReference = Annotated[
    Reference,
    PlainValidator(_read_reference),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {"type": "string", "pattern": "^(env|file|exec):.+", "examples": ["env:ORDERS_PASSWORD", "file:/run/secrets/orders"]}
    ),
]
"""Where a secret is kept: ``env:NAME``, ``file:/path``, ``exec:program argument``; a ``dbre.core.secrets.SecretReference``."""

FilePath = Annotated[
    Path,
    PlainValidator(_read_path),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "minLength": 1, "examples": ["ca.pem", "/etc/dbre/ca.pem"]}),
]
"""A path; a relative one starts at the directory of the file in which it is written."""
