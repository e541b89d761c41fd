"""What an operation cost the budgets of its cluster: every SLO when it began and when it ended, from the stored slots."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.model import SloStatus
from dbre.capabilities.slo.reading import LOST_AFTER, report
from dbre.capabilities.slo.series import SLOT_SECONDS
from dbre.core.fleet import Fleet
from dbre.core.store import Store

__all__ = ["before_and_after"]


async def before_and_after(
    store: Store,
    definitions: Sequence[Definition],
    fleet: Fleet,
    *,
    cluster: str,
    began: datetime,
    ended: datetime,
    lost_after: timedelta = LOST_AFTER,
) -> Mapping[str, Any] | None:
    """Counts and budgets of the cluster's SLOs at both moments, exact as text; None where it has none.

    It tells what is known now: events that come late, and corrections, belong to their own moment.
    """
    if not any(one.name == cluster for definition in definitions for one in fleet.select(definition.selector)):
        return None
    looks = []
    for moment in (began - timedelta(seconds=SLOT_SECONDS), ended):  # the slot in which it began belongs to it
        statuses = await report(store, definitions, fleet, moment, lost_after=lost_after)
        looks.append({one.id: _row(one) for one in statuses if one.cluster == cluster})
    before, after = looks
    slos = [{"slo": name, "before": row, "after": after.get(name)} for name, row in sorted(before.items())]
    return {"cluster": cluster, "began": began.isoformat(), "ended": ended.isoformat(), "slos": slos}


def _row(status: SloStatus) -> dict[str, object]:
    return {
        "objective": f"{status.objective.normalize():f}",
        "window": str(status.window),
        "good": status.good,
        "bad": status.bad,
        "missed": status.missed,
        "excluded": status.excluded,
        "budget_remaining_exact": str(status.budget.remaining_ratio),
        "budget_remaining_ratio": float(status.budget.remaining_ratio),
    }
