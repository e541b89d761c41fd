"""Service level objectives: definitions, exact error budgets, burn-rate alerts. Names are loaded at their first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbre.capabilities.slo.budget_documents import ERROR_BUDGET_POLICIES
    from dbre.capabilities.slo.budget_gate import BudgetGate, stored_budget_gate, watched_definitions
    from dbre.capabilities.slo.definition import Definition, SloInstance, instances_of, problems_of
    from dbre.capabilities.slo.documents import ALERTING, SLOS, AlertingDocument, SloDocument, definitions_from
    from dbre.capabilities.slo.engine import EngineHealth, SloEngine
    from dbre.capabilities.slo.explanation import explain
    from dbre.capabilities.slo.metrics import SloMetrics
    from dbre.capabilities.slo.model import AlertRecord, BurnDown, SloStatus, worst_first
    from dbre.capabilities.slo.reading import burn_down, recent_alerts, report
    from dbre.capabilities.slo.rows import alert_row, burn_down_rows, status_row
    from dbre.capabilities.slo.state import SloState, state_of

__all__ = [
    "ALERTING", "ERROR_BUDGET_POLICIES", "SLOS", "AlertRecord", "AlertingDocument", "BudgetGate", "BurnDown", "Definition",
    "EngineHealth", "SloDocument", "SloEngine", "SloInstance", "SloMetrics", "SloState", "SloStatus", "alert_row",
    "burn_down", "burn_down_rows", "definitions_from", "explain", "instances_of", "problems_of",
    "recent_alerts", "report", "state_of", "status_row", "stored_budget_gate", "watched_definitions", "worst_first",
]  # fmt: skip

# the lightest first
_MODULES = (
    "definition",
    "model",
    "state",
    "documents",
    "explanation",
    "rows",
    "reading",
    "engine",
    "metrics",
    "budget_documents",
    "budget_gate",
)


def __getattr__(name: str) -> object:
    for module in _MODULES if name in __all__ else ():
        if name in (found := import_module(f"{__name__}.{module}")).__all__:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
