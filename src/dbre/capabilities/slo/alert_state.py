"""The life of an alert: inactive, pending, firing, resolving, inactive. Pure: values in, the next value out."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

__all__ = ["AlertState", "TrackedAlert", "Transition", "advance"]


class AlertState(StrEnum):
    """Where one rule of one SLO instance stands."""

    INACTIVE = "inactive"
    PENDING = "pending"  # the condition holds, but not yet for long enough, or a page of the same instance covers it
    FIRING = "firing"  # somebody was told
    RESOLVING = "resolving"  # the condition is gone, but not yet for long enough; still counts as firing


class Transition(StrEnum):
    """What others must hear of."""

    FIRED = "fired"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedAlert:
    """One rule of one SLO instance. ``alert_id`` lasts from firing to resolved; ``since`` is when the state began."""

    state: AlertState = AlertState.INACTIVE
    since: datetime | None = None
    fired_at: datetime | None = None
    alert_id: str | None = None

    @property
    def is_active(self) -> bool:
        """Somebody was told, and not yet told that it is over."""
        return self.state in (AlertState.FIRING, AlertState.RESOLVING)

    def named(self, alert_id: str) -> "TrackedAlert":
        """The same alert with the id that it keeps until it is resolved."""
        return replace(self, alert_id=alert_id)

    def moved(self, delta: timedelta) -> "TrackedAlert":
        """The same alert after the wall clock was stepped: it has held for as long as before."""
        return self if self.since is None else replace(self, since=self.since + delta)

    def not_after(self, now: datetime) -> "TrackedAlert":
        """The same alert; a beginning in the future was written by a clock that was ahead, and would never be old enough."""
        return self if self.since is None or self.since <= now else replace(self, since=now)


def advance(
    alert: TrackedAlert,
    *,
    is_met: bool | None,
    now: datetime,
    for_seconds: float = 0,
    keep_firing_seconds: float = 0,
    is_suppressed: bool = False,
) -> tuple[TrackedAlert, Transition | None]:
    """The next state, and what to tell. ``is_met`` None (nobody can tell) changes nothing: absence of data resolves nothing.

    A suppressed alert waits in pending; one that already fires goes on. The caller gives a fired alert its id.
    """
    if is_met is None:
        return alert, None
    held_seconds = (now - alert.since).total_seconds() if alert.since is not None else 0.0
    match alert.state:
        case AlertState.INACTIVE if is_met:
            if for_seconds <= 0 and not is_suppressed:
                return TrackedAlert(state=AlertState.FIRING, since=now, fired_at=now), Transition.FIRED
            return TrackedAlert(state=AlertState.PENDING, since=now), None
        case AlertState.PENDING if not is_met:
            return TrackedAlert(state=AlertState.INACTIVE, since=now), None
        case AlertState.PENDING if held_seconds >= for_seconds and not is_suppressed:
            return TrackedAlert(state=AlertState.FIRING, since=now, fired_at=now), Transition.FIRED
        case AlertState.FIRING if not is_met:
            if keep_firing_seconds <= 0:
                return replace(alert, state=AlertState.INACTIVE, since=now), Transition.RESOLVED
            return replace(alert, state=AlertState.RESOLVING, since=now), None
        case AlertState.RESOLVING if is_met:
            return replace(alert, state=AlertState.FIRING, since=now), None
        case AlertState.RESOLVING if held_seconds >= keep_firing_seconds:
            return replace(alert, state=AlertState.INACTIVE, since=now), Transition.RESOLVED
        case _:
            return alert, None
