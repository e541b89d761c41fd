"""All that is known of one incident, read for its page and for the API."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dbre.capabilities.incident.actions.model import ActionItem
from dbre.capabilities.incident.actions.repository import list_actions
from dbre.capabilities.incident.impact import Spent
from dbre.capabilities.incident.model import Incident, IncidentAlert, TimelineEntry, TimelineKind
from dbre.capabilities.incident.postmortem.repository import Revision, revisions_of
from dbre.capabilities.incident.postmortem.requirement import reasons_for_postmortem
from dbre.capabilities.incident.repository import alerts_of, find_incident, incident_named, timeline_of
from dbre.core.identity.model import Principal
from dbre.web.incidents import seen_incidents, shown_incident
from dbre.web.services import Services

__all__ = ["Diagnosis", "Dossier", "diagnosis_of", "dossier_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the servers of one instance said when the incident opened; ``steps`` by what they were asked."""

    key: str
    text: str
    steps: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """One incident. ``costs`` None: they could not be measured in time."""

    incident: Incident
    alerts: Sequence[IncidentAlert]
    timeline: Sequence[TimelineEntry]
    costs: Sequence[Spent] | None
    actions: Sequence[ActionItem]
    revisions: Sequence[Revision]
    reasons: Sequence[str]  # why a postmortem is required
    merged_into: Incident | None  # where the reader may see that

    @property
    def postmortem(self) -> Revision | None:
        """The newest revision."""
        return self.revisions[-1] if self.revisions else None

    @property
    def diagnoses(self) -> Sequence[Diagnosis]:
        """What playbooks found, in the order of the timeline."""
        return [diagnosis_of(one) for one in self.timeline if one.kind is TimelineKind.PLAYBOOK]


def diagnosis_of(entry: TimelineEntry) -> Diagnosis:
    """The answers that a line of a playbook holds; one of a form that is not known has none."""
    found, steps = entry.details.get("steps"), dict[str, Sequence[str]]()
    for name, lines in found.items() if isinstance(found, Mapping) else ():
        steps[str(name)] = [str(line) for line in lines] if isinstance(lines, list) else [str(lines)]
    return Diagnosis(key=entry.key, text=entry.text, steps=steps)


async def dossier_of(wired: Services, principal: Principal, name: str) -> Dossier:
    """Read it. Raises: NoSuchIncident, also for one that the principal may not see."""
    async with wired.store.read() as connection:
        one = shown_incident(wired, principal, await incident_named(connection, name))
        alerts = await alerts_of(connection, [one.id])
        timeline = await timeline_of(connection, one.id)
        actions = await list_actions(connection, incident_id=one.id)
        revisions = await revisions_of(connection, one.id)
        target = await find_incident(connection, one.merged_into) if one.merged_into is not None else None
    costs = await wired.incidents.costs.of(one)
    rules = wired.incidents.postmortem
    reasons = reasons_for_postmortem(
        one, costs or (), timeline, budget_share=rules.budget_share, severities=tuple(rules.severities)
    )
    return Dossier(
        incident=one,
        alerts=alerts,
        timeline=timeline,
        costs=costs,
        actions=actions,
        revisions=revisions,
        reasons=reasons,
        merged_into=next(iter(seen_incidents(wired, principal, [target])), None) if target is not None else None,
    )
