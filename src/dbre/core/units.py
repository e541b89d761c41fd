"""Durations, bytes, ratios and log positions: parsed and formatted in one place."""

import re
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from dbre.core.errors import UsageError

__all__ = ["Lsn", "format_bytes", "format_duration", "format_percent", "parse_bytes", "parse_duration", "parse_ratio"]

_DURATION_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"([0-9]{1,18})(ms|s|m|h|d|w)")
_BYTE_UNITS = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_BYTES = re.compile(r"([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*([kKMGT]?i?B)")

_NUMBER = re.compile(r"[-+]?[0-9]*\.?[0-9]*([eE][-+]?[0-9]{1,3})?")  # Decimal reads more: other scripts, 9_9, nan


def parse_duration(text: str) -> timedelta:
    """Read ``500ms``, ``10s``, ``1h30m``, ``30d``, ``4w``: whole numbers, each with its unit, largest first.

    >>> parse_duration("1h30m")
    datetime.timedelta(seconds=5400)

    Raises: UsageError where the text is anything else, or zero.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UsageError(f"{text!r} is not a duration", hint="write a whole number and a unit: 500ms, 10s, 5m, 1h30m, 30d, 4w")
    factors = [_DURATION_UNITS[unit] for _, unit in parts]
    if factors != sorted(set(factors), reverse=True):
        raise UsageError(f"{text!r} is not a duration", hint="write each unit once, the largest first: 1h30m")
    milliseconds = sum(int(number) * round(factor * 1000) for (number, _), factor in zip(parts, factors, strict=True))
    if milliseconds == 0:
        raise UsageError(f"{text!r} is no time at all", hint="write a duration above zero: 10s")
    try:
        return timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise UsageError(f"{text!r} is longer than a calendar", hint="write a duration below 1000000w") from error


def format_duration(seconds: float, *, parts: int = 2) -> str:
    """Format a duration for people with at most ``parts`` units: ``3d 4h``, ``12.3s``, ``240ms``; a minus sign if negative.

    >>> format_duration(11_400)
    '3h 10m'
    """
    if seconds < 0:
        return "-" + format_duration(-seconds, parts=parts)
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    rest, words = round(seconds), []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(_DURATION_UNITS[unit]))
        if count:
            words.append(f"{count}{unit}")
        elif words:
            break
    return " ".join(words[:parts])


def parse_bytes(text: str) -> int:
    """Read ``512B``, ``1.5GiB``, ``10 MB``; kB/MB/GB/TB are powers of ten, KiB/MiB/GiB/TiB of two.

    >>> parse_bytes("1.5KiB")
    1536

    Raises: UsageError where the text is anything else.
    """
    match = _BYTES.fullmatch(text.strip())
    unit = match[2].replace("KB", "kB").replace("kiB", "KiB") if match else ""
    if match is None or unit not in _BYTE_UNITS:
        raise UsageError(f"{text!r} is not a size", hint="write a number and a unit: 512B, 64MiB, 1.5GiB, 10GB")
    return int(Decimal(match[1]) * _BYTE_UNITS[unit])


def format_bytes(count: int) -> str:
    """Format bytes for people in powers of two: ``0 B``, ``48.2 MiB``."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(size) < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def parse_ratio(text: str) -> Decimal:
    """Read ``0.999`` or ``99.9%`` exactly; a bare number above 1 is refused, because it is ambiguous.

    >>> parse_ratio("99.9%")
    Decimal('0.999')

    Raises: UsageError where the text is anything else, or lies outside 0..1.
    """
    bare = text.strip()
    digits = bare.removesuffix("%").strip()
    try:
        number = Decimal(digits if _NUMBER.fullmatch(digits) else "no number")
    except InvalidOperation as error:
        raise UsageError(f"{text!r} is not a ratio", hint="write 0.999 or 99.9%") from error
    ratio = number.scaleb(-2) if bare.endswith("%") else number
    if not ratio.is_finite() or not 0 <= ratio <= 1:
        hint = f"did you mean {number.normalize():f}%?" if 1 < number <= 100 else "write 0.999 or 99.9%"
        raise UsageError(f"{text!r} does not lie between 0 and 1", hint=hint)
    return ratio.normalize() if ratio else Decimal(0)


def format_percent(ratio: Decimal | float, *, digits: int = 2) -> str:
    """Format a ratio as a percentage with ``digits`` decimals, for tables only.

    >>> format_percent(Decimal("0.9995"))
    '99.95 %'
    """
    return f"{ratio * 100:.{digits}f} %"


class Lsn(int):
    """A PostgreSQL log sequence number: a byte position in the WAL, written ``16/B374D848``.

    Source: PostgreSQL manual, 8.20 "pg_lsn Type".
    """

    @classmethod
    def parse(cls, text: str) -> "Lsn":
        """Read ``16/B374D848``. Raises: UsageError where the text is anything else."""
        match = re.fullmatch(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})", text)
        if match is None:
            raise UsageError(f"{text!r} is not a log sequence number", hint="write two hexadecimal halves: 16/B374D848")
        return cls((int(match[1], 16) << 32) | int(match[2], 16))

    def __str__(self) -> str:
        return f"{self >> 32:X}/{self & 0xFFFFFFFF:X}"
