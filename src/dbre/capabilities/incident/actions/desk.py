"""What people do with action items."""

from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.actions.model import ActionItem, ActionKind, ActionState
from dbre.capabilities.incident.actions.repository import insert_action, list_actions, next_action, update_action
from dbre.capabilities.incident.desk import LONGEST_TEXT, checked_text
from dbre.capabilities.incident.errors import NoSuchIncidentItem, TransitionRefused
from dbre.capabilities.incident.ledger import Entry, Ledger
from dbre.capabilities.incident.model import Incident, TimelineKind
from dbre.capabilities.incident.repository import incident_named
from dbre.core.clock import Clock
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store
from dbre.core.text import quoted

__all__ = ["ActionDesk", "NewAction"]

_LONGEST_TITLE = 300
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAction:
    """What somebody promises."""

    title: str
    kind: ActionKind
    owner: str
    due: date
    reference: str = ""


class ActionDesk:
    """Acts of one principal."""

    def __init__(self, store: Store, fleet: Fleet, clock: Clock, principal: Principal) -> None:
        self._store = store
        self._fleet = fleet
        self._clock = clock
        self._principal = principal
        self._ledger = Ledger(clock)

    async def add(self, incident: str, wanted: NewAction) -> ActionItem:
        """Promise something. Raises: UsageError for an empty title or owner."""
        title = checked_text("title", wanted.title, _LONGEST_TITLE)
        owner = checked_text("owner", wanted.owner, _LONGEST_NAME)

        async def work(connection: AsyncConnection) -> ActionItem:
            found = await self._incident(connection, incident)
            item = ActionItem(
                incident_id=found.id,
                incident=found.name,
                number=await next_action(connection, found.id),
                title=title,
                kind=wanted.kind,
                owner=owner,
                due=wanted.due,
                state=ActionState.OPEN,
                reference=wanted.reference.strip()[:_LONGEST_NAME],
                created_at=self._clock.now(),
                created_by=self._principal.name,
                ended_at=None,
                ended_by="",
                ended_note="",
            )
            await insert_action(connection, item)
            await self._tell(connection, found, item, f"action {item.name} for {owner} until {item.due}: {title}", "added")
            return item

        return await self._store.grouped(work)

    async def end(self, name: str, state: ActionState, *, note: str = "") -> ActionItem:
        """Say that it is done, or dropped; dropping needs a reason.

        Raises: NoSuchIncidentItem; TransitionRefused where it has ended otherwise.
        """
        needs_note = state is ActionState.DROPPED
        checked = checked_text("reason", note, LONGEST_TEXT) if needs_note or note.strip() else ""
        incident, number = _parts(name)

        async def work(connection: AsyncConnection) -> ActionItem:
            found = await self._incident(connection, incident)
            item = next((one for one in await list_actions(connection, incident_id=found.id) if one.number == number), None)
            if item is None:
                raise NoSuchIncidentItem(f"{found.name} has no action {number}", hint=f"dbre incident action list {found.name}")
            if item.state is state:
                return item  # as wanted already: who ended it, and when, stays
            if item.state is not ActionState.OPEN:
                raise TransitionRefused(f"{item.name} is {item.state.value} since {item.ended_at:%Y-%m-%d}")
            now, by = self._clock.now(), self._principal.name
            ended = replace(item, state=state, ended_at=now, ended_by=by, ended_note=checked)
            await update_action(connection, ended)
            await self._tell(
                connection, found, ended, f"action {item.name} {state.value}" + (f": {checked}" if checked else ""), state.value
            )
            return ended

        return await self._store.grouped(work)

    async def _incident(self, connection: AsyncConnection, name: str) -> Incident:
        found = await incident_named(connection, name)
        labels = labels_of(f"cluster/{found.cluster}", self._fleet)
        self._principal.require(Permission.OPERATE, labels, what=found.name)
        return found

    async def _tell(self, connection: AsyncConnection, incident: Incident, item: ActionItem, text: str, what: str) -> None:
        by = self._principal.name
        await self._ledger.record(connection, incident.id, Entry(text=text, kind=TimelineKind.NOTE), by=by)
        await self._ledger.audit(connection, f"action_{what}", incident, by=by, item=item.number, kind=item.kind.value)


def _parts(name: str) -> tuple[str, int]:
    incident, slash, number = name.strip().rpartition("/")
    if not slash or not (number.isascii() and number.isdigit() and len(number) < 7):
        raise NoSuchIncidentItem(
            f"{quoted(name, limit=80)} is not the name of an action", hint="write INC-12/1 (dbre incident action list)"
        )
    return incident, int(number)
