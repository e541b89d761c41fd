"""Ranges of server versions as SQL headers and the support matrix write them."""

import re
from dataclasses import dataclass

from dbre.core.errors import UsageError

__all__ = ["VersionRange", "format_version", "parse_version"]

_VERSION = re.compile(r"\d+(?:\.\d+)*", re.ASCII)


def parse_version(text: str) -> tuple[int, ...]:
    """Read ``15`` or ``10.11.19``. Raises: UsageError where the text is anything else.

    >>> parse_version("10.11")
    (10, 11)
    """
    if not _VERSION.fullmatch(text):
        raise UsageError(f"{text!r} is not a version", hint="write numbers and dots: 15, 10.11")
    return tuple(int(part) for part in text.split("."))


def format_version(version: tuple[int, ...]) -> str:
    """The opposite of ``parse_version``."""
    return ".".join(str(part) for part in version)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRange:
    """An inclusive range; each end counts for as many parts as it names, so that 15.18 lies in ``14-15``."""

    lowest: tuple[int, ...] = ()
    highest: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "VersionRange":
        """Read ``*``, ``15``, ``>=15``, ``<=16`` or ``10.11-11``. Raises: UsageError where the text is anything else.

        >>> (15, 18) in VersionRange.parse(">=15")
        True
        """
        if text == "*":
            return cls()
        if text.startswith(">="):
            return cls(lowest=parse_version(text[2:]))
        if text.startswith("<="):
            return cls(highest=parse_version(text[2:]))
        low, dash, high = text.partition("-")
        span = cls(lowest=parse_version(low), highest=parse_version(high if dash else low))
        if not _at_most(span.lowest, span.highest):
            raise UsageError(f"the versions {text!r} are none", hint="write the lower version first: 15-16")
        return span

    def __contains__(self, version: tuple[int, ...]) -> bool:
        return version >= self.lowest and _at_most(version, self.highest)

    def overlaps(self, other: "VersionRange") -> bool:
        """Whether some version may lie in both ranges."""
        return _at_most(self.lowest, other.highest) and _at_most(other.lowest, self.highest)


def _at_most(version: tuple[int, ...], highest: tuple[int, ...]) -> bool:
    return version[: len(highest)] <= highest
