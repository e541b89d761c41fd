"""The forms of incidents: what somebody may do with one now, and how another is declared."""

from datetime import datetime, timedelta

from dbre.capabilities.incident.actions.model import ActionKind
from dbre.capabilities.incident.model import Incident, Severity
from dbre.capabilities.incident.postmortem.repository import Revision
from dbre.capabilities.incident.states import REOPEN_WITHIN, IncidentState, may_follow, next_states
from dbre.core.identity.model import Permission, Principal, PrincipalKind
from dbre.core.operation.target_labels import labels_of
from dbre.web.incident_dossier import Dossier
from dbre.web.incidents import BY_HAND
from dbre.web.pages.operation_actions import Action, ActionField
from dbre.web.services import Services
from dbre.web.sight import sees_everything

__all__ = ["declaration_form", "incident_forms", "item_states"]

_DUE = timedelta(days=14)
_SEVERITIES = tuple(one.value for one in Severity)
_WRITABLE = (IncidentState.RESOLVED, IncidentState.POSTMORTEM_DRAFT, IncidentState.REVIEWED)


def declaration_form(wired: Services, principal: Principal) -> tuple[Action, ...]:
    """The form for an incident that no alert tells of, for who may operate something."""
    clusters = [one.name for one in wired.fleet.clusters if principal.may(Permission.OPERATE, one.labels)]
    if sees_everything(wired, principal) and principal.may(Permission.OPERATE):
        clusters = ["", *clusters]
    if not clusters:
        return ()
    fields = (
        ActionField(name="title", title="What users notice", required=True),
        ActionField(name="severity", title="Severity", choices=_SEVERITIES, value="sev3"),
        ActionField(name="cluster", title="Cluster", choices=tuple(clusters)),
        ActionField(name="urgency", title="Tell people by", choices=("page", "ticket")),
        ActionField(name="text", title="What is known"),
    )
    explanation = "For what no alert tells of. A page calls who is on call."
    return (Action(name="declare", title="Declare an incident", explanation=explanation, fields=fields),)


def incident_forms(wired: Services, principal: Principal, dossier: Dossier) -> tuple[Action, ...]:
    """The forms to show; nothing is shown that would be refused for want of a permission. Each act is checked again."""
    one, now = dossier.incident, wired.clock.now()
    if not _may_operate(wired, principal, one):
        return ()
    found = [*_steps(one, principal), _NOTE, _amendment(one)]
    if may_follow(one.state, IncidentState.MERGED):
        fields = (ActionField(name="into", title="Into which one (INC-12)", required=True),)
        found.append(Action(name="merge", title="Merge", explanation="It is a part of another incident.", fields=fields))
    if one.has_ended and one.resolved_at is not None and now - one.resolved_at <= REOPEN_WITHIN:
        found.append(Action(name="reopen", title="Open again", explanation="It goes on after all.", fields=(_WHY,)))
    return (*found, *_follow_up(wired, principal, dossier), _promise(now))


def item_states(wired: Services, principal: Principal, one: Incident) -> tuple[str, ...]:
    """How the user may end an action item of the incident."""
    return ("done", "drop") if _may_operate(wired, principal, one) else ()


def _may_operate(wired: Services, principal: Principal, one: Incident) -> bool:
    return principal.may(Permission.OPERATE, labels_of(f"cluster/{one.cluster}", wired.fleet))


_WHY = ActionField(name="text", title="Why", required=True)
_NOTE = Action(
    name="note",
    title="Note",
    explanation="A line in the timeline; people hear of it.",
    fields=(ActionField(name="text", title="Note", required=True),),
)


def _steps(one: Incident, principal: Principal) -> list[Action]:
    found = []
    if one.is_open and one.assignee != principal.name:
        found.append(Action(name="acknowledge", title="Acknowledge", explanation="You have it in hand: nobody else is called."))
    elif one.is_open:  # the time of an answer may have run out, and then people are called again
        found.append(Action(name="acknowledge", title="Still in hand", explanation="Say it again, where others were called."))
    states = tuple(state.value for state in next_states(one.state) if state in BY_HAND)
    if states:
        fields = (
            ActionField(name="state", title="State", required=True, choices=states),
            ActionField(name="text", title="Why"),
        )
        found.append(Action(name="move", title="Move on", explanation="Say how far it has come.", fields=fields))
    return found


def _amendment(one: Incident) -> Action:
    fields = (
        ActionField(name="severity", title="Severity", choices=_SEVERITIES, value=one.severity.value),
        ActionField(name="data_loss", title="Data was lost", choices=("no", "yes"), value="yes" if one.has_data_loss else "no"),
        ActionField(name="root_cause", title="Root cause", value=one.root_cause),
    )
    return Action(name="amend", title="Correct", explanation="Put right what is known of it.", fields=fields)


def _follow_up(wired: Services, principal: Principal, dossier: Dossier) -> list[Action]:
    """Postmortem and closing."""
    one, newest, found = dossier.incident, dossier.postmortem, []
    if one.state in _WRITABLE:
        explanation = "Write what is known as a new revision; earlier ones stay."
        found.append(Action(name="draft", title="Draft the postmortem", explanation=explanation))
    if one.state is IncidentState.POSTMORTEM_DRAFT and newest is not None and _may_review(wired, principal, newest):
        explanation = f"Revision {newest.revision} by {newest.author}, as shown above, is right."
        hidden = (("revision", str(newest.revision)),)
        found.append(Action(name="review", title="Reviewed", explanation=explanation, hidden=hidden))
    if may_follow(one.state, IncidentState.CLOSED):
        is_needed = one.state is IncidentState.RESOLVED and bool(dossier.reasons)
        fields = (ActionField(name="waiver", title="Why without a postmortem", required=True),) if is_needed else ()
        explanation = "A postmortem is required; without one, say why." if is_needed else "Put it away."
        found.append(Action(name="close", title="Close", explanation=explanation, fields=fields))
    return found


def _may_review(wired: Services, principal: Principal, newest: Revision) -> bool:
    is_alone = principal.kind is PrincipalKind.LOCAL
    return is_alone or not wired.incidents.postmortem.needs_other_reviewer or newest.author != principal.name


def _promise(now: datetime) -> Action:
    fields = (
        ActionField(name="title", title="What", required=True),
        ActionField(name="owner", title="Who", required=True),
        ActionField(name="due", title="Until", required=True, value=(now + _DUE).date().isoformat(), kind="date"),
        ActionField(name="kind", title="It helps to", choices=tuple(one.value for one in ActionKind)),
        ActionField(name="reference", title="Ticket elsewhere"),
    )
    return Action(name="promise", title="Add an action item", explanation="So that it does not happen again.", fields=fields)
