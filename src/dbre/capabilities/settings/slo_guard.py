"""Whether an objective suffers from a change: what the watch of ``settings.apply`` asks each second."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dbre.core.errors import DbreError, ExitCode
from dbre.core.units import format_duration

__all__ = ["BLIND_SECONDS", "SloBurning", "SloReading", "SloSource", "judge"]

BLIND_SECONDS = 60.0
"""How long the objective may be unknown while a change is watched, before the change is taken back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SloReading:
    """One objective on one cluster at one moment."""

    burn_rate: float | None  # over the shortest window of its alert rules; None: not known
    is_paging: bool | None  # None: not known


SloSource = Callable[[str, str], Awaitable[SloReading]]
"""Reads an SLO (by name) on a cluster (by name); the composition root gives it. Raises: UsageError for unknown names."""


class SloBurning(DbreError):
    """The objective suffered while the change was watched, so the change is taken back."""

    code = "settings.slo_burning"
    exit_code = ExitCode.COMPENSATED


def judge(reading: SloReading, *, slo: str, burn: float | None, blind_seconds: float) -> str | None:
    """Why the change is to be taken back, with numbers; None while it may stay.

    ``blind_seconds`` is how long the objective has been unknown. Unknown counts as harm after ``BLIND_SECONDS``: a change that
    nobody can watch is not a watched change.
    """
    rate, limit = reading.burn_rate, burn
    if limit is not None and rate is not None and rate >= limit:
        return f"the error budget of {slo} burns {rate:.1f} times too fast, and the limit is {limit:g}"
    if limit is None and reading.is_paging:
        return f"{slo} pages" + (f": its error budget burns {rate:.1f} times too fast" if rate is not None else "")
    is_unknown = rate is None if limit is not None else reading.is_paging is None
    if is_unknown and blind_seconds >= BLIND_SECONDS:
        return f"{slo} has been unknown for {format_duration(blind_seconds)}, and the limit is {format_duration(BLIND_SECONDS)}"
    return None
