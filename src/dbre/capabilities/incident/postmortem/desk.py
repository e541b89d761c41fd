"""What people do with postmortems: draft, edit, review; each revision stays, and the audit log holds its sum."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.actions.repository import list_actions
from dbre.capabilities.incident.costs import keep_costs, measure
from dbre.capabilities.incident.desk import checked_text
from dbre.capabilities.incident.errors import IncidentChanged, NoSuchIncidentItem, TransitionRefused
from dbre.capabilities.incident.impact import ImpactSource
from dbre.capabilities.incident.ledger import Entry, Ledger, Telling
from dbre.capabilities.incident.model import Change, Incident
from dbre.capabilities.incident.postmortem.draft import TEMPLATE, Known, draft
from dbre.capabilities.incident.postmortem.repository import Revision, add_revision, digest_of, revisions_of
from dbre.capabilities.incident.postmortem.requirement import reasons_for_postmortem
from dbre.capabilities.incident.repository import alerts_of, incident_named, timeline_of
from dbre.capabilities.incident.states import IncidentState, may_follow
from dbre.core.clock import Clock
from dbre.core.errors import Denied
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Permission, Principal, PrincipalKind
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store

__all__ = ["PostmortemDesk", "PostmortemRules"]

_LONGEST = 500_000
_DRAFTED = (IncidentState.RESOLVED, IncidentState.POSTMORTEM_DRAFT, IncidentState.REVIEWED)


@dataclass(frozen=True, slots=True, kw_only=True)
class PostmortemRules:
    """What the section ``incidents.postmortem`` says."""

    budget_share: Decimal = Decimal("0.2")
    severities: Collection[str] = ("sev1",)
    template: str = TEMPLATE
    needs_other_reviewer: bool = True


_Also = Callable[[AsyncConnection, Incident], Awaitable[None]]


class PostmortemDesk:
    """Acts of one principal."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        clock: Clock,
        principal: Principal,
        *,
        impact: ImpactSource,
        rules: PostmortemRules,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._principal = principal
        self._impact = impact
        self._rules = rules
        self._ledger = Ledger(clock)

    async def known(self, name: str) -> Known:
        """What is known of an incident, its cost measured now."""
        async with self._store.read() as connection:
            incident = await incident_named(connection, name)
            alerts = await alerts_of(connection, [incident.id])
            timeline = await timeline_of(connection, incident.id)
            actions = await list_actions(connection, incident_id=incident.id)
        costs = await measure(self._store, self._impact, incident, now=self._clock.now())
        rules = self._rules
        reasons = reasons_for_postmortem(
            incident, costs, timeline, budget_share=rules.budget_share, severities=rules.severities
        )
        return Known(
            incident=incident,
            alerts=alerts,
            timeline=timeline,
            costs=costs,
            actions=actions,
            reasons=reasons,
            today=self._clock.now().date(),
        )

    async def draft(self, name: str) -> Revision:
        """Write what is known as a new revision. Raises: TransitionRefused while the incident goes on, or after the review."""
        known = await self.known(name)
        text = draft(known, self._rules.template)
        now = self._clock.now()

        async def costs(connection: AsyncConnection, incident: Incident) -> None:
            await keep_costs(connection, incident.id, known.costs, at=now)

        return await self._write(name, text, also=costs)

    async def edit(self, name: str, text: str) -> Revision:
        """Write a text of one's own as a new revision."""
        return await self._write(name, checked_text("postmortem", text, _LONGEST) + "\n")

    async def review(self, name: str, *, revision: int | None = None) -> Incident:
        """Say that the newest revision is right; ``revision`` is the one that was read.

        Raises: Denied for its author; TransitionRefused without a draft; IncidentChanged where a newer one was written.
        """

        async def work(connection: AsyncConnection) -> Incident:
            before = await self._incident(connection, name)
            found = await revisions_of(connection, before.id)
            if before.state is not IncidentState.POSTMORTEM_DRAFT or not found:
                raise TransitionRefused(
                    f"{before.name} has no draft to review", hint=f"dbre incident postmortem draft {before.name}"
                )
            newest = found[-1]
            if revision is not None and newest.revision != revision:
                raise IncidentChanged(
                    f"revision {newest.revision} of {before.name} was written meanwhile by {newest.author}",
                    hint="read it first",
                )
            is_alone = self._principal.kind is PrincipalKind.LOCAL  # without identities there is nobody else
            if self._rules.needs_other_reviewer and not is_alone and newest.author == self._principal.name:
                raise Denied(
                    f"{newest.author} wrote revision {newest.revision} and cannot review it",
                    hint="somebody else reviews it, or incidents.postmortem.needs_other_reviewer: false",
                )
            after = replace(before, state=IncidentState.REVIEWED)
            entry = Entry(text=f"postmortem revision {newest.revision} reviewed")
            telling = Telling(event="updated", change=Change.STATE)
            return await self._ledger.change(connection, before, after, telling, by=self._principal.name, entry=entry)

        return await self._store.grouped(work)

    async def close(self, name: str, *, waiver: str = "") -> Incident:
        """Put it away. Where a postmortem is required it must be reviewed, or waived with a reason.

        Raises: TransitionRefused with the reasons why one is required.
        """
        known, checked = await self.known(name), checked_text("waiver", waiver, 1_000) if waiver.strip() else ""
        if known.incident.state is IncidentState.RESOLVED and known.reasons and not checked:
            raise TransitionRefused(
                f"{known.incident.name} needs a postmortem: {'; '.join(known.reasons)}",
                hint=f"dbre incident postmortem draft {known.incident.name}, or --waive REASON",
            )

        async def work(connection: AsyncConnection) -> Incident:
            before = await self._incident(connection, name)
            if before.revision != known.incident.revision:
                raise IncidentChanged(f"{before.name} was changed by somebody else meanwhile", hint="look again")
            if not may_follow(before.state, IncidentState.CLOSED):
                raise TransitionRefused(
                    f"{before.name} is {before.state.value.replace('_', ' ')} and cannot be closed",
                    hint="an incident is resolved first, and a draft reviewed",
                )
            after = replace(before, state=IncidentState.CLOSED, closed_at=self._clock.now())
            entry = Entry(text=f"closed; postmortem waived: {checked}" if checked else "closed")
            by = self._principal.name
            if checked:
                await self._ledger.audit(connection, "postmortem_waived", before, by=by, reasons=list(known.reasons))
            return await self._ledger.change(connection, before, after, Telling(event="closed"), by=by, entry=entry)

        return await self._store.grouped(work)

    async def revisions(self, name: str) -> tuple[Incident, Sequence[Revision]]:
        """The incident and its revisions, the oldest first. Raises: NoSuchIncidentItem where there is none."""
        async with self._store.read() as connection:
            incident = await incident_named(connection, name)
            found = await revisions_of(connection, incident.id)
        if not found:
            raise NoSuchIncidentItem(
                f"{incident.name} has no postmortem yet", hint=f"dbre incident postmortem draft {incident.name}"
            )
        return incident, found

    async def _write(self, name: str, text: str, *, also: _Also | None = None) -> Revision:
        async def work(connection: AsyncConnection) -> Revision:
            before = await self._incident(connection, name)
            if before.state not in _DRAFTED:
                state = before.state.value.replace("_", " ")
                raise TransitionRefused(
                    f"{before.name} is {state}; a postmortem is written between its end and its closing",
                    hint=f"dbre incident resolve {before.name}" if before.is_open else None,
                )
            number = len(await revisions_of(connection, before.id)) + 1
            now, by = self._clock.now(), self._principal.name
            one = Revision(incident_id=before.id, revision=number, at=now, author=by, text=text, sha256=digest_of(text))
            await add_revision(connection, one)
            if also is not None:
                await also(connection, before)
            after = replace(before, state=IncidentState.POSTMORTEM_DRAFT)
            telling = Telling(event="updated", change=Change.STATE)
            entry = Entry(text=f"postmortem revision {number} written")
            await self._ledger.change(connection, before, after, telling, by=by, entry=entry)
            await self._ledger.audit(connection, "postmortem_written", before, by=by, revision=number, sha256=one.sha256)
            return one

        return await self._store.grouped(work)

    async def _incident(self, connection: AsyncConnection, name: str) -> Incident:
        found = await incident_named(connection, name)
        labels = labels_of(f"cluster/{found.cluster}", self._fleet)
        self._principal.require(Permission.OPERATE, labels, what=found.name)
        return found
