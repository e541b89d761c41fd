"""What people do with incidents: each act is one transaction, allowed or refused by the state."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.errors import TransitionRefused
from dbre.capabilities.incident.ledger import Entry, Ledger, Telling
from dbre.capabilities.incident.model import Change, Incident, Severity, TimelineKind, new_incident, reopened
from dbre.capabilities.incident.oncall.escalation_repository import is_calling
from dbre.capabilities.incident.repository import alerts_of, incident_named, keep_alert, next_number
from dbre.capabilities.incident.states import OPEN, REOPEN_WITHIN, IncidentState, may_follow, next_states
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store
from dbre.core.text import printable

__all__ = ["LONGEST_TEXT", "Amendment", "IncidentDesk", "NewIncident", "checked_text"]

LONGEST_TEXT = 4_000
_LONGEST_TITLE = 200
_WATCHED = (IncidentState.MITIGATED, IncidentState.MONITORING)
_UNANSWERED = (IncidentState.DETECTED, IncidentState.DECLARED)
_BY_HAND = (OPEN | {IncidentState.RESOLVED, IncidentState.FALSE_POSITIVE}) - {IncidentState.DETECTED}
_OTHER_WAYS = {
    IncidentState.MERGED: "dbre incident merge INCIDENT INTO",
    IncidentState.POSTMORTEM_DRAFT: "dbre incident postmortem draft INCIDENT",
    IncidentState.REVIEWED: "dbre incident postmortem review INCIDENT",
    IncidentState.CLOSED: "dbre incident close INCIDENT",
}
_CLOCK_SKEW = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIncident:
    """What a person says of an incident that no alert told of."""

    title: str
    severity: Severity
    cluster: str = ""
    text: str = ""
    started_at: datetime | None = None  # None: now
    is_loud: bool = True  # page people


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What a person corrects; None: stays as it is."""

    title: str | None = None
    severity: Severity | None = None
    started_at: datetime | None = None
    has_data_loss: bool | None = None
    root_cause: str | None = None


class IncidentDesk:
    """Acts of one principal."""

    def __init__(self, store: Store, fleet: Fleet, clock: Clock, principal: Principal) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._principal = principal
        self._ledger = Ledger(clock)

    async def open(self, wanted: NewIncident) -> Incident:
        """Declare an incident."""
        title, text = checked_text("title", wanted.title, _LONGEST_TITLE), _optional_text("text", wanted.text)
        self._require(wanted.cluster, "incidents")
        started_at = self._past("its beginning", wanted.started_at)

        async def work(connection: AsyncConnection) -> Incident:
            incident = new_incident(
                self._ledger.new_id(),
                await next_number(connection),
                title=title,
                severity=wanted.severity,
                cluster=wanted.cluster,
                by=self._actor,
                started_at=started_at,
                detected_at=self._clock.now(),
                now=self._clock.now(),
            )
            incident = replace(incident, is_severity_set=True, urgency="page" if wanted.is_loud else "ticket")
            return await self._ledger.open(connection, incident, by=self._actor, entry=Entry(text=text or f"declared: {title}"))

        return await self._store.grouped(work)

    async def acknowledge(self, name: str) -> Incident:
        """Take it in hand; again where somebody else has it."""

        async def work(connection: AsyncConnection, before: Incident) -> Incident:
            if not before.is_open:
                raise _refused(before, "acknowledged")
            is_mine = before.assignee == self._actor and before.state not in _UNANSWERED
            if is_mine and not await is_calling(connection, str(before.id)):
                return before
            state = IncidentState.INVESTIGATING if before.state in _UNANSWERED else before.state
            at = before.acknowledged_at or self._clock.now()
            after = replace(before, state=state, assignee=self._actor, acknowledged_at=at)
            entry = Entry(text=f"{printable(self._actor, limit=100)} has it in hand")
            return await self._write(connection, before, after, Telling(event="acknowledged"), entry)

        return await self._act(name, work)

    async def note(self, name: str, text: str, *, at: datetime | None = None) -> Incident:
        """Write a line into the timeline; people hear of it."""
        checked, moment = checked_text("note", text, LONGEST_TEXT), self._past("the moment of a note", at)

        async def work(connection: AsyncConnection, before: Incident) -> Incident:
            entry = Entry(text=checked, kind=TimelineKind.NOTE, at=moment)
            return await self._write(connection, before, before, Telling(event="updated", change=Change.NOTE), entry)

        return await self._act(name, work)

    async def move(self, name: str, state: IncidentState, *, text: str = "", at: datetime | None = None) -> Incident:
        """Go on to another state. Raises: TransitionRefused naming the states that may follow."""
        checked, moment = _optional_text("text", text), self._past("the moment", at)
        if state not in _BY_HAND:
            raise UsageError(f"nobody moves an incident to {state.value} by hand", hint=_OTHER_WAYS.get(state))

        async def work(connection: AsyncConnection, before: Incident) -> Incident:
            if not may_follow(before.state, state):
                raise _refused(before, state.value)
            after = _moved(before, state, max(moment, before.started_at), by=self._actor)
            entry = Entry(
                text=f"{state.value.replace('_', ' ')}: {checked}" if checked else state.value.replace("_", " "), at=moment
            )
            return await self._write(connection, before, after, _telling(state), entry)

        return await self._act(name, work)

    async def reopen(self, name: str, *, text: str) -> Incident:
        """Let an ended incident go on. Raises: TransitionRefused later than 24 h after its end."""
        checked = checked_text("reason", text, LONGEST_TEXT)

        async def work(connection: AsyncConnection, before: Incident) -> Incident:
            if not before.has_ended or before.resolved_at is None:
                raise _refused(before, "opened again")
            if self._clock.now() - before.resolved_at > REOPEN_WITHIN:
                raise TransitionRefused(
                    f"{before.name} ended {before.resolved_at:%Y-%m-%d %H:%MZ}; it can be opened again for 24 h",
                    hint="declare another one (dbre incident open) and name this one in its text",
                )
            after = replace(reopened(before, IncidentState.INVESTIGATING), assignee=self._actor)
            return await self._write(
                connection, before, after, Telling(event="reopened"), Entry(text=f"opened again: {checked}")
            )

        return await self._act(name, work)

    async def merge(self, name: str, into: str) -> Incident:
        """Make one incident a part of another: its alerts go there, and its timeline stays readable. The other one."""

        async def work(connection: AsyncConnection, before: Incident) -> Incident:
            target = await incident_named(connection, into)
            if target.id == before.id:
                raise UsageError(f"{before.name} cannot be merged into itself")
            if not may_follow(before.state, IncidentState.MERGED):
                raise _refused(before, "merged")
            if not target.is_open and before.is_open:
                raise TransitionRefused(
                    f"{target.name} is {target.state.value}, and {before.name} still goes on",
                    hint=f"merge {target.name} into {before.name}, or open {target.name} again",
                )
            self._require(target.cluster, target.name)
            for alert in await alerts_of(connection, [before.id]):
                await keep_alert(connection, replace(alert, incident_id=target.id))
            gone = replace(before, state=IncidentState.MERGED, merged_into=target.id, closed_at=self._clock.now())
            await self._write(connection, before, gone, Telling(event="merged"), Entry(text=f"merged into {target.name}"))
            return await self._write(
                connection,
                target,
                _with(target, before),
                Telling(event="updated", change=Change.ALERT),
                Entry(text=f"{before.name} was merged into it: {before.title}"),
            )

        return await self._act(name, work)

    async def amend(self, name: str, change: Amendment) -> Incident:
        """Correct what is known of it."""
        title = None if change.title is None else checked_text("title", change.title, _LONGEST_TITLE)
        cause = None if change.root_cause is None else checked_text("root cause", change.root_cause, LONGEST_TEXT)

        async def work(connection: AsyncConnection, before: Incident) -> Incident:
            after = replace(before, title=title or before.title, root_cause=before.root_cause if cause is None else cause)
            if change.severity is not None:
                after = replace(after, severity=change.severity, is_severity_set=True)
            if change.started_at is not None:
                after = replace(after, started_at=_beginning(before, self._past("its beginning", change.started_at)))
            if change.has_data_loss is not None:
                after = replace(after, has_data_loss=change.has_data_loss)
            if after == before:
                return before
            telling = Telling(event="updated", change=Change.STATE if after.severity == before.severity else Change.SEVERITY)
            return await self._write(connection, before, after, telling, Entry(text=_differences(before, after)))

        return await self._act(name, work)

    @property
    def _actor(self) -> str:
        return self._principal.name

    async def _act(self, name: str, work: Callable[[AsyncConnection, Incident], Awaitable[Incident]]) -> Incident:
        async def in_transaction(connection: AsyncConnection) -> Incident:
            incident = await incident_named(connection, name)
            self._require(incident.cluster, incident.name)
            return await work(connection, incident)

        return await self._store.grouped(in_transaction)

    async def _write(
        self, connection: AsyncConnection, before: Incident, after: Incident, telling: Telling, entry: Entry
    ) -> Incident:
        return await self._ledger.change(connection, before, after, telling, by=self._actor, entry=entry)

    def _require(self, cluster: str, what: str) -> None:
        labels = labels_of(f"cluster/{cluster}", self._fleet)  # of no cluster: none, which only a grant for all fits
        self._principal.require(Permission.OPERATE, labels, what=what)

    def _past(self, what: str, moment: datetime | None) -> datetime:
        now = self._clock.now()
        if moment is not None and moment > now + _CLOCK_SKEW:
            raise UsageError(f"{what} {moment:%Y-%m-%d %H:%M:%SZ} lies in the future", hint="write a moment that is over")
        return min(moment, now) if moment is not None else now


def checked_text(what: str, text: str, limit: int) -> str:
    """Text of a person, within bounds. Raises: UsageError."""
    stripped = text.strip()
    if not stripped or len(stripped) > limit:
        raise UsageError(f"a {what} has 1 to {limit} characters; this one has {len(stripped)}", hint=f"write a {what}")
    return stripped


def _optional_text(what: str, text: str) -> str:
    return checked_text(what, text, LONGEST_TEXT) if text.strip() else ""


def _refused(incident: Incident, what: str) -> TransitionRefused:
    allowed = ", ".join(one.value for one in next_states(incident.state)) or "nothing"
    return TransitionRefused(
        f"{incident.name} is {incident.state.value} and cannot be {what.replace('_', ' ')}",
        hint=f"what may follow: {allowed}",
        context={"incident": incident.name, "state": incident.state.value},
    )


def _moved(before: Incident, state: IncidentState, at: datetime, *, by: str) -> Incident:
    after = replace(before, state=state)
    if state in (IncidentState.INVESTIGATING, IncidentState.IDENTIFIED):
        after = replace(after, mitigated_at=None, acknowledged_at=before.acknowledged_at or at, assignee=before.assignee or by)
    if state in (IncidentState.MITIGATED, IncidentState.MONITORING):
        after = replace(after, mitigated_at=before.mitigated_at or at)
    if state in (IncidentState.RESOLVED, IncidentState.FALSE_POSITIVE):
        resolved = before.resolved_at or at
        after = replace(after, resolved_at=resolved, mitigated_at=min(before.mitigated_at or resolved, resolved))
    return after


def _telling(state: IncidentState) -> Telling:
    if state in (IncidentState.RESOLVED, IncidentState.FALSE_POSITIVE):
        return Telling(event="resolved")
    return Telling(event="updated", change=Change.STATE)


def _with(target: Incident, part: Incident) -> Incident:
    """The other incident once this one is a part of it: it began when the earlier began, and is as bad as the worse.

    It is as loud as the louder, and no longer only watched where this one still hurts.
    """
    if target.state in _WATCHED and part.is_open and part.state not in _WATCHED:
        state = IncidentState.INVESTIGATING if target.assignee else IncidentState.DETECTED
        target = replace(target, state=state, mitigated_at=None)
    return replace(
        target,
        urgency="page" if "page" in (target.urgency, part.urgency) else target.urgency,
        started_at=min(target.started_at, part.started_at),
        detected_at=min(target.detected_at, part.detected_at),
        severity=target.severity if target.is_severity_set else min(target.severity, part.severity),
        has_data_loss=target.has_data_loss or part.has_data_loss,
    )


def _beginning(incident: Incident, at: datetime) -> datetime:
    ends = [one for one in (incident.mitigated_at, incident.resolved_at) if one is not None]
    if ends and at > min(ends):
        raise UsageError(f"{incident.name} was mitigated {min(ends):%Y-%m-%d %H:%M:%SZ}; it cannot have begun after that")
    return at


def _differences(before: Incident, after: Incident) -> str:
    words = []
    if before.severity != after.severity:
        words.append(f"severity {before.severity.value} to {after.severity.value}")
    if before.title != after.title:
        words.append(f"title: {after.title}")
    if before.started_at != after.started_at:
        words.append(f"began {after.started_at:%Y-%m-%d %H:%M:%SZ}")
    if before.has_data_loss != after.has_data_loss:
        words.append("data was lost" if after.has_data_loss else "no data was lost")
    if before.root_cause != after.root_cause:
        words.append(f"root cause: {after.root_cause}")
    return "; ".join(words)
