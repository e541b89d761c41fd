"""What people may say in a chat, and the answers; every act runs with the rights of the person's identity."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from dbre.capabilities.incident.desk import IncidentDesk
from dbre.capabilities.incident.model import Incident
from dbre.capabilities.incident.repository import incident_named, list_incidents, timeline_of
from dbre.capabilities.incident.states import OPEN, IncidentState
from dbre.core.clock import Clock
from dbre.core.errors import UsageError
from dbre.core.fleet import Fleet
from dbre.core.identity.model import Permission, Principal
from dbre.core.operation.desk import OperationDesk, OperationFilter
from dbre.core.operation.model import OperationRecord
from dbre.core.operation.naming import operation_named
from dbre.core.operation.states import OperationState
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store
from dbre.core.text import closest, counted, quoted

__all__ = ["HELP", "ChatCommands", "ChatGround"]

HELP = """\
status [INCIDENT]: what goes on, or one incident
ack INCIDENT: take it in hand
note INCIDENT TEXT: write a line into its timeline
mitigate INCIDENT [TEXT], resolve INCIDENT [TEXT]
approvals: operations that wait for consent
op OPERATION: how an operation stands
approve OPERATION [COMMENT]: consent to an operation of somebody else"""

_SHOWN = 10
_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatGround:
    """What commands of a chat stand on."""

    store: Store
    fleet: Fleet
    clock: Clock
    operations: Callable[[Principal], OperationDesk]


class ChatCommands:
    """Answers one person."""

    def __init__(self, ground: ChatGround, principal: Principal) -> None:
        self._ground = ground
        self._principal = principal
        self._desk = IncidentDesk(ground.store, ground.fleet, ground.clock, principal)
        self._operations = ground.operations(principal)
        self._known: dict[str, Callable[[Sequence[str]], Awaitable[str]]] = {
            "status": self._status,
            "ack": self._ack,
            "note": self._note,
            "mitigate": self._mitigate,
            "resolve": self._resolve,
            "approvals": self._approvals,
            "op": self._op,
            "approve": self._approve,
        }

    async def answer(self, words: Sequence[str]) -> str:
        """Do what the words say; the answer as plain text. Raises: a DbreError that says what is wrong."""
        if not words or words[0].lower() == "help":
            return HELP
        command = self._known.get(words[0].lower())
        if command is None:
            near = closest(words[0].lower(), self._known)
            raise UsageError(
                f"{quoted(words[0], limit=40)} is no command", hint=f"did you mean {near}?" if near else "say help"
            )
        return await command(words[1:])

    async def _status(self, words: Sequence[str]) -> str:
        self._principal.require(Permission.READ, what="incidents")
        if words:
            return await self._one(words[0])
        async with self._ground.store.read() as connection:
            found = [one for one in await list_incidents(connection, states=OPEN, limit=None) if self._may_see(one)]
        if not found:
            return "no incident goes on"
        lines = [_line(one) for one in found[:_SHOWN]]
        more = [f"and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return "\n".join([counted(len(found), "incident") + " going on:", *lines, *more])

    async def _one(self, name: str) -> str:
        async with self._ground.store.read() as connection:
            one = await incident_named(connection, name)
            timeline = await timeline_of(connection, one.id, limit=_LINES)
        self._principal.require(Permission.READ, self._labels(one), what=one.name)
        lines = [f"{entry.at:%H:%M:%SZ} {entry.text}" for entry in timeline]
        return "\n".join([_line(one), *lines])

    async def _ack(self, words: Sequence[str]) -> str:
        return _line(await self._desk.acknowledge(_first(words, "ack INCIDENT")))

    async def _note(self, words: Sequence[str]) -> str:
        name = _first(words, "note INCIDENT TEXT")
        return f"written into the timeline of {(await self._desk.note(name, ' '.join(words[1:]))).name}"

    async def _mitigate(self, words: Sequence[str]) -> str:
        return await self._move(words, IncidentState.MITIGATED)

    async def _resolve(self, words: Sequence[str]) -> str:
        return await self._move(words, IncidentState.RESOLVED)

    async def _move(self, words: Sequence[str], state: IncidentState) -> str:
        name = _first(words, f"{'resolve' if state is IncidentState.RESOLVED else 'mitigate'} INCIDENT [TEXT]")
        return _line(await self._desk.move(name, state, text=" ".join(words[1:])))

    async def _approvals(self, _: Sequence[str]) -> str:
        wanted = OperationFilter(states=(OperationState.AWAITING_APPROVAL,), limit=_SHOWN)
        found = await self._operations.list(wanted)
        if not found:
            return "no operation waits for approval"
        return "\n".join(_waiting(one) for one in found)

    async def _op(self, words: Sequence[str]) -> str:
        record = await self._operations.get(await self._operation(_first(words, "op OPERATION")))
        why = f", {record.abort_reason}" if record.abort_reason else ""
        return f"{record.planned.plan.summary} ({record.id}): {record.state.value.replace('_', ' ')}{why}"

    async def _approve(self, words: Sequence[str]) -> str:
        found = await self._operation(_first(words, "approve OPERATION [COMMENT]"))
        seen = await self._operations.get(found)
        rest = list(words[1:])
        # A button carries the hash of the plan that it showed: consent to another plan would be consent to something unseen.
        shown = rest.pop(0) if rest and len(rest[0]) == len(seen.plan_hash) and _is_hex(rest[0]) else seen.plan_hash
        record = await self._operations.approve(found, plan_hash=shown, comment=" ".join(rest) or "from the chat")
        state = record.state.value.replace("_", " ")
        return f"{self._principal.name} approved {record.planned.plan.summary}; it is {state} now"

    async def _operation(self, text: str) -> UUID:
        return await operation_named(self._operations, text)

    def _labels(self, one: Incident) -> Mapping[str, str]:
        return labels_of(f"cluster/{one.cluster}", self._ground.fleet)

    def _may_see(self, one: Incident) -> bool:
        return self._principal.may(Permission.READ, self._labels(one))


def _first(words: Sequence[str], usage: str) -> str:
    if not words:
        raise UsageError(f"the command needs more words: {usage}", hint=usage)
    return words[0]


def _waiting(one: OperationRecord) -> str:
    plan = one.planned.plan
    return f"{str(one.id)[-12:]} {one.planned.kind} on {plan.target} by {one.requested_by}: {plan.summary}"


def _is_hex(text: str) -> bool:
    return all(one in "0123456789abcdef" for one in text)


def _line(one: Incident) -> str:
    hands = f", in the hands of {one.assignee}" if one.assignee else ", nobody has it in hand"
    where = f" on {one.cluster}" if one.cluster else ""
    return (
        f"{one.name} {one.severity.value} {one.state.value.replace('_', ' ')}{where}: {one.title}{hands if one.is_open else ''}"
    )
