"""Which incidents somebody may see, and how their pages and routes name them."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import Path

from dbre.capabilities.incident.errors import NoSuchIncident
from dbre.capabilities.incident.model import Incident
from dbre.capabilities.incident.states import OPEN, IncidentState
from dbre.core.errors import UsageError
from dbre.core.identity.model import Principal
from dbre.core.text import quoted
from dbre.web.services import Services
from dbre.web.sight import seen_clusters, sees_everything

__all__ = ["BY_HAND", "IncidentName", "incident_state", "seen_incidents", "shown_incident"]

IncidentName = Annotated[str, Path(max_length=50, description="INC-12, its number or its id.")]


BY_HAND = (OPEN | {IncidentState.RESOLVED, IncidentState.FALSE_POSITIVE}) - {IncidentState.DETECTED}
"""States that a person moves an incident to by a form or a request of their own."""


def incident_state(text: str) -> IncidentState:
    """The state of that name. Raises: UsageError."""
    if text not in set(IncidentState):
        raise UsageError(f"{quoted(text, limit=50)} is no state of an incident", hint=", ".join(sorted(BY_HAND)))
    return IncidentState(text)


def seen_incidents(wired: Services, principal: Principal, incidents: Iterable[Incident]) -> list[Incident]:
    """Incidents of clusters that the principal may see; those of no cluster are for who sees everything."""
    if sees_everything(wired, principal):
        return list(incidents)
    names = {one.name for one in seen_clusters(wired, principal)}
    return [one for one in incidents if one.cluster in names]


def shown_incident(wired: Services, principal: Principal, incident: Incident) -> Incident:
    """The incident itself. Raises: NoSuchIncident also for one that the principal may not see."""
    if not seen_incidents(wired, principal, [incident]):
        raise NoSuchIncident(f"there is no incident {incident.name}", hint="dbre incident list")
    return incident
