"""SLOs as a monitoring plugin reports them: who must act, in one line."""

from collections.abc import Iterable

from dbre.capabilities.slo.error_budget import BudgetHealth
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.state import SloState, state_of
from dbre.core.view import PluginState, PluginStatus

__all__ = ["plugin_status"]

_STATES = {
    SloState.PAGE: PluginState.CRITICAL,
    SloState.DOWN: PluginState.CRITICAL,
    SloState.EXHAUSTED: PluginState.CRITICAL,
    SloState.TICKET: PluginState.WARNING,
    SloState.CRITICAL: PluginState.WARNING,  # of the budget: less than a quarter is left, but some is
    SloState.WARNING: PluginState.WARNING,
    SloState.TELEMETRY_LOST: PluginState.UNKNOWN,
    SloState.NO_TRAFFIC: PluginState.UNKNOWN,
    SloState.HEALTHY: PluginState.OK,
}
_WORST_FIRST = (PluginState.CRITICAL, PluginState.WARNING, PluginState.UNKNOWN, PluginState.OK)


def plugin_status(statuses: Iterable[SloStatus]) -> PluginStatus:
    """The worst of the SLOs, with each that is not well; without any SLO nothing is known."""
    found = [(_state(status), status) for status in statuses]
    if not found:
        return PluginStatus(state=PluginState.UNKNOWN, text="no SLO selects a cluster")
    worst = min((state for state, _ in found), key=_WORST_FIRST.index)
    bad = [
        f"{status.id} {state_of(status).text}"
        for state, status in sorted(found, key=lambda pair: _WORST_FIRST.index(pair[0]))
        if state is not PluginState.OK
    ]
    return PluginStatus(state=worst, text=", ".join(bad) or f"SLOs healthy: {len(found)}")


def _state(status: SloStatus) -> PluginState:
    if status.total and status.budget.health is BudgetHealth.EXHAUSTED:
        return PluginState.CRITICAL  # also while its telemetry is lost, or only a ticket fires
    return _STATES[state_of(status)]
