"""Moments as options take them: an age, a day, or a moment with its time zone."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from dbre.core.errors import UsageError
from dbre.core.units import parse_duration

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from dbre.core.clock import Clock

__all__ = ["moment_from", "moment_of"]

_LONGEST_AGE = timedelta(days=36_500)  # further back there is nothing, and before year 1 no datetime


def moment_of(option: str, text: str | None, clock: "Clock") -> datetime | None:
    """Read ``2h``, ``3d``, a day of UTC ``2026-11-21``, or ``2026-11-21T04:00:00Z``; None where the option is not given.

    Raises: UsageError.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return clock.now() - min(parse_duration(text), _LONGEST_AGE)
    if moment.tzinfo is None and len(text) <= len("2026-11-21"):
        return moment.replace(tzinfo=UTC)  # a day alone; every time that dbre shows is of UTC
    if moment.tzinfo is None:
        raise UsageError(f"{option} {text} has no time zone", hint=f"write {text}Z for UTC")
    return moment


def moment_from(value: object) -> datetime | None:
    """A moment of a JSON document of the API; None where it holds none."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
