"""What the forms of incidents ask for; the desks check it again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from dbre.capabilities.incident.actions.desk import ActionDesk, NewAction
from dbre.capabilities.incident.actions.model import ActionKind, ActionState
from dbre.capabilities.incident.desk import LONGEST_TEXT, Amendment, IncidentDesk, NewIncident
from dbre.capabilities.incident.model import Incident, Severity
from dbre.capabilities.incident.postmortem.desk import PostmortemDesk
from dbre.capabilities.incident.repository import incident_named
from dbre.capabilities.incident.wiring import postmortem_rules
from dbre.core.errors import UsageError
from dbre.core.identity.model import Principal
from dbre.core.text import quoted
from dbre.web.access import FormPrincipal, Wired
from dbre.web.incidents import IncidentName, incident_state, shown_incident
from dbre.web.problems import NotFound
from dbre.web.services import Services
from dbre.web.sight import seen_clusters

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One form that came in: for which incident, by whom, with what in its fields."""

    wired: Services
    principal: Principal
    words: Mapping[str, str]

    @property
    def desk(self) -> IncidentDesk:
        return IncidentDesk(self.wired.store, self.wired.fleet, self.wired.clock, self.principal)

    @property
    def items(self) -> ActionDesk:
        return ActionDesk(self.wired.store, self.wired.fleet, self.wired.clock, self.principal)

    @property
    def postmortems(self) -> PostmortemDesk:
        services = self.wired.incidents
        rules = postmortem_rules(services.postmortem)
        ground = (self.wired.store, self.wired.fleet, self.wired.clock, self.principal)
        return PostmortemDesk(*ground, impact=services.costs.impact, rules=rules)

    def word(self, name: str) -> str:
        return self.words.get(name, "")


async def _asked(request: Request, wired: Services, principal: Principal) -> _Asked:
    words = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    long = next((name for name, value in words.items() if len(value) > LONGEST_TEXT), None)
    if long is not None:
        raise UsageError(f"{quoted(long, limit=50)} has more than {LONGEST_TEXT} characters", hint="write less")
    return _Asked(wired=wired, principal=principal, words=words)


@router.post("/incidents")
async def declare(request: Request, wired: Wired, principal: FormPrincipal) -> Response:
    """Open an incident that no alert tells of."""
    asked = await _asked(request, wired, principal)
    cluster = asked.word("cluster")
    if cluster and cluster not in {one.name for one in seen_clusters(wired, principal)}:
        raise NotFound(f"the inventory has no cluster {quoted(cluster, limit=100)}", hint="dbre fleet list names them")
    wanted = NewIncident(
        title=asked.word("title"),
        severity=_severity(asked.word("severity")),
        cluster=cluster,
        text=asked.word("text"),
        is_loud=asked.word("urgency") != "ticket",
    )
    return RedirectResponse(f"/incidents/{(await asked.desk.open(wanted)).name}", status_code=303)


@router.post("/incidents/{name}/{action}")
async def act(request: Request, wired: Wired, principal: FormPrincipal, name: IncidentName, action: str) -> Response:
    """Do what one of the page's forms asks, and show the incident again."""
    async with wired.store.read() as connection:
        one = shown_incident(wired, principal, await incident_named(connection, name))
    asked = await _asked(request, wired, principal)
    match action:
        case "acknowledge":
            await asked.desk.acknowledge(one.name)
        case "move":
            await asked.desk.move(one.name, incident_state(asked.word("state")), text=asked.word("text"))
        case "note":
            await asked.desk.note(one.name, asked.word("text"))
        case "amend":
            await asked.desk.amend(one.name, _amendment(one, asked))
        case "merge":
            return RedirectResponse(f"/incidents/{(await _merge(asked, one)).name}", status_code=303)
        case "reopen":
            await asked.desk.reopen(one.name, text=asked.word("text"))
        case _:
            await _follow_up(asked, one, action)
    return RedirectResponse(f"/incidents/{one.name}", status_code=303)


async def _follow_up(asked: _Asked, one: Incident, action: str) -> None:
    match action:
        case "draft":
            await asked.postmortems.draft(one.name)
        case "review":
            await asked.postmortems.review(one.name, revision=_number(asked.word("revision")))
        case "close":
            await asked.postmortems.close(one.name, waiver=asked.word("waiver"))
        case "promise":
            await asked.items.add(one.name, _promise(asked))
        case "done" | "drop":
            state = ActionState.DONE if action == "done" else ActionState.DROPPED
            await asked.items.end(f"{one.name}/{_number(asked.word('item'))}", state, note=asked.word("text"))
        case _:
            raise NotFound(f"nothing of an incident is called {quoted(action, limit=50)}")


async def _merge(asked: _Asked, one: Incident) -> Incident:
    async with asked.wired.store.read() as connection:
        target = shown_incident(asked.wired, asked.principal, await incident_named(connection, asked.word("into")))
    return await asked.desk.merge(one.name, target.name)


def _amendment(one: Incident, asked: _Asked) -> Amendment:
    """What the form changed; what it left alone is not decided anew."""
    severity, cause = _severity(asked.word("severity")), asked.word("root_cause").strip()
    return Amendment(
        severity=severity if severity is not one.severity else None,
        has_data_loss=asked.word("data_loss") == "yes",
        root_cause=cause if cause != one.root_cause else None,
    )


def _promise(asked: _Asked) -> NewAction:
    try:
        due, kind = date.fromisoformat(asked.word("due")), ActionKind(asked.word("kind"))
    except ValueError as error:
        raise UsageError("an action item has a day and a kind", hint=f"2026-12-24; {', '.join(ActionKind)}") from error
    if due < asked.wired.clock.now().date():
        raise UsageError(f"{due} lies in the past", hint="promise a day that comes")
    words = {name: asked.word(name) for name in ("title", "owner", "reference")}
    return NewAction(due=due, kind=kind, **words)


def _severity(text: str) -> Severity:
    if text not in set(Severity):
        raise UsageError(f"{quoted(text, limit=50)} is no severity", hint=", ".join(Severity))
    return Severity(text)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise UsageError(f"{quoted(text, limit=50)} is no number", hint="load the page again")
    return int(text)
