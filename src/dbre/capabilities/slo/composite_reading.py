"""Composites on each cluster, from the state store alone."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dbre.capabilities.slo.composite import Composite, CompositeStatus, combined
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.errors import UnknownSlo
from dbre.capabilities.slo.reading import LOST_AFTER, report
from dbre.core.fleet import Fleet
from dbre.core.store import Store
from dbre.core.text import closest

__all__ = ["composite_report"]


async def composite_report(
    store: Store,
    composites: Sequence[Composite],
    definitions: Sequence[Definition],
    fleet: Fleet,
    now: datetime,
    *,
    lost_after: timedelta = LOST_AFTER,
) -> tuple[CompositeStatus, ...]:
    """Each composite on each cluster on which all of its members are. Raises: UnknownSlo for a member that is no SLO."""
    names = sorted(one.name for one in definitions)
    for composite in composites:
        for member in composite.members:
            if member.slo not in names:
                near = closest(member.slo, names)
                raise UnknownSlo(
                    f"composite {composite.name} has a member {member.slo}, and no SLO is named so",
                    hint=f"did you mean {near}?" if near else "dbre slo list",
                )
    wanted = {member.slo for composite in composites for member in composite.members}
    chosen = [one for one in definitions if one.name in wanted]
    statuses = await report(store, chosen, fleet, now, lost_after=lost_after)
    return tuple(combined(composites, statuses, [one.name for one in fleet.clusters]))
