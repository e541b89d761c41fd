"""What an incident cost the error budgets: measured, and kept when it ends."""

from collections.abc import Collection, Sequence
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.impact import ImpactSource, Spent
from dbre.capabilities.incident.model import Incident, IncidentAlert
from dbre.capabilities.incident.repository import alerts_of
from dbre.capabilities.incident.tables import incident_cost
from dbre.core.store import Store

__all__ = ["clusters_of", "costs_of", "keep_costs", "measure"]


def clusters_of(incident: Incident, alerts: Collection[IncidentAlert]) -> frozenset[str]:
    """The clusters that an incident touches."""
    return frozenset({incident.cluster, *(one.cluster for one in alerts)} - {""})


async def measure(store: Store, impact: ImpactSource, incident: Incident, *, now: datetime) -> Sequence[Spent]:
    """What it has cost so far, from its beginning to its end or to now; the dearest first."""
    async with store.read() as connection:
        clusters = clusters_of(incident, await alerts_of(connection, [incident.id]))
    if not clusters:
        return ()
    found = await impact.spent(clusters=clusters, since=incident.started_at, until=incident.resolved_at or now)
    return sorted(found, key=lambda one: (-(one.consumed or Fraction(0)), one.instance))


async def keep_costs(connection: AsyncConnection, incident_id: UUID, costs: Sequence[Spent], *, at: datetime) -> None:
    """Replace what is stored of an incident's cost."""
    await connection.execute(delete(incident_cost).where(incident_cost.c.incident_id == incident_id))
    rows = [
        {
            "incident_id": incident_id,
            "instance": one.instance[:500],
            "good": one.good,
            "bad": one.bad,
            "consumed_exact": "" if one.consumed is None else str(one.consumed)[:200],
            "measured_at": at,
        }
        for one in costs
    ]
    if rows:
        await connection.execute(insert(incident_cost), rows)


async def costs_of(connection: AsyncConnection, incident_ids: Collection[UUID]) -> dict[UUID, list[Spent]]:
    """The stored costs of incidents, the dearest first."""
    found: dict[UUID, list[Spent]] = {}
    wanted = list(incident_ids)
    for start in range(0, len(wanted), 500):
        statement = select(incident_cost).where(incident_cost.c.incident_id.in_(wanted[start : start + 500]))
        for row in await connection.execute(statement):
            consumed = Fraction(row.consumed_exact) if row.consumed_exact else None
            spent = Spent(instance=row.instance, good=row.good, bad=row.bad, consumed=consumed)
            found.setdefault(row.incident_id, []).append(spent)
    for costs in found.values():
        costs.sort(key=lambda one: (-(one.consumed or Fraction(0)), one.instance))
    return found
