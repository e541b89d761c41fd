"""How a plan names moments and holes to people."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dbre.capabilities.backup.log.gaps import MissingLog
from dbre.core.text import printable

__all__ = ["holes_words", "moment_words"]


def moment_words(moment: datetime | None) -> str:
    """A moment in UTC, as short as it can be written.

    >>> moment_words(datetime(2026, 11, 21, 4, 0, 0, 500_000, tzinfo=UTC))
    '2026-11-21 04:00:00.5Z'
    """
    if moment is None:
        return "an unknown moment"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"


def holes_words(missing: Sequence[MissingLog]) -> str:
    """The first hole, and how many more there are."""
    first = missing[0]
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"log from {printable(first.start.text)} to {printable(first.end.text)} of timeline {first.timeline}{more}"
