"""The state of an SLO in one word: the same for commands and pages."""

from enum import StrEnum

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.telemetry_state import TelemetryState

__all__ = ["SloState", "state_of"]


class SloState(StrEnum):
    """What is to be said first of an SLO, the worst before the best."""

    PAGE = "page"
    TICKET = "ticket"
    DOWN = "down"  # every recent probe failed, and no rule has fired for it yet
    TELEMETRY_LOST = "telemetry_lost"
    NO_TRAFFIC = "no_traffic"  # no valid event: nothing was due, or all of it was missed or excluded
    EXHAUSTED = "exhausted"
    CRITICAL = "critical"
    WARNING = "warning"
    HEALTHY = "healthy"

    @property
    def text(self) -> str:
        """For people.

        >>> SloState.TELEMETRY_LOST.text
        'telemetry lost'
        """
        return self.value.replace("_", " ")


def state_of(status: SloStatus) -> SloState:
    """Who was told; else whether there is something to see; else how much budget is left.

    An untouched budget of an SLO that measured nothing is no health.
    """
    severities = {alert.severity for alert in status.active_alerts}
    if severities:
        return SloState.PAGE if Severity.PAGE in severities else SloState.TICKET
    if status.telemetry is TelemetryState.SOURCE_DOWN:
        return SloState.DOWN
    if status.telemetry is TelemetryState.TELEMETRY_LOST:
        return SloState.TELEMETRY_LOST
    if status.telemetry is TelemetryState.NO_TRAFFIC or not status.total:
        return SloState.NO_TRAFFIC
    return SloState(status.budget.health.value)
