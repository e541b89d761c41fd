"""Can we see the service at all? Three ways of having no good news, kept apart."""

from enum import StrEnum

from dbre.capabilities.slo.alert_rules import SUSTAINED_FAILURES
from dbre.capabilities.slo.counts import Counts

__all__ = ["PAGE_AFTER_TIMES", "TelemetryState", "lost_after_seconds", "telemetry_state"]

PAGE_AFTER_TIMES = 5
"""Lost telemetry is a ticket after the limit, and a page after so many times the limit."""

_SLOTS_AT_LEAST = 3
"""An answer comes up to an interval after its slot was due, and one slot alone may be missed: less is no silence."""


def lost_after_seconds(configured: float, *, interval_ms: int) -> float:
    """After how long without a valid event telemetry is lost: as configured, but never before three slots went by.

    >>> lost_after_seconds(60.0, interval_ms=10_000), lost_after_seconds(60.0, interval_ms=300_000)
    (60.0, 900.0)
    """
    return max(configured, _SLOTS_AT_LEAST * interval_ms / 1000)


class TelemetryState(StrEnum):
    """What the observations of the recent past say about our own sight."""

    OK = "ok"
    NO_TRAFFIC = "no_traffic"  # no valid event yet, and too early to call that a loss; or no endpoint for this SLI
    TELEMETRY_LOST = "telemetry_lost"  # probes were due, and none gave a valid event: missed, excluded, or absent
    SOURCE_DOWN = "source_down"  # probes run, and the database fails every one of them


def telemetry_state(
    recent: Counts,
    *,
    trailing_bad: int,
    silent_seconds: float,
    lost_after_seconds: float,
    has_source: bool = True,
    sustained_failures: int = SUSTAINED_FAILURES,
) -> TelemetryState:
    """Judge the recent past.

    ``recent`` are the counts of the last ``lost_after_seconds``; ``silent_seconds`` is how long ago the newest valid event
    was (or how long we have been looking, if that is shorter). An outage seen by a probe is a bad event, so the database
    being down never looks like lost telemetry, nor the other way round.
    """
    if not has_source:
        return TelemetryState.NO_TRAFFIC
    if silent_seconds >= lost_after_seconds:
        return TelemetryState.TELEMETRY_LOST
    if not recent.total:
        return TelemetryState.NO_TRAFFIC
    if trailing_bad >= max(sustained_failures, 1):
        return TelemetryState.SOURCE_DOWN
    return TelemetryState.OK
