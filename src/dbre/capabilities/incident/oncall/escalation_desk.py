"""Escalations of the control plane: begun and ended by events of incidents, stepped by the clock.

A step and the event that tells of it are one transaction: after a crash it was taken with its message, or it is still due.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.incident.oncall.escalation import (
    Escalation,
    EscalationState,
    Policy,
    Step,
    acknowledged,
    begun,
    ended,
    stepped,
)
from dbre.capabilities.incident.oncall.escalation_repository import (
    due_escalations,
    find_escalation,
    keep_escalation,
    next_due_at,
    turns_of,
)
from dbre.capabilities.incident.oncall.override_repository import overrides_of
from dbre.capabilities.incident.oncall.people import Directory
from dbre.capabilities.incident.oncall.shifts import on_call_at
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.events import Event, EventLog, Subscription
from dbre.core.fleet import Fleet
from dbre.core.operation.target_labels import labels_of
from dbre.core.store import Store
from dbre.core.store.errors import ControlPlaneLockLost

__all__ = ["ESCALATED", "EscalationDesk"]

ESCALATED = "oncall.escalated"
"""Kind of the event that says who is told now: the data of the incident's own events, and ``step``."""

_BEGINS = frozenset({"incident.opened", "incident.reopened", "incident.updated"})
_ENDS = frozenset({"incident.resolved", "incident.merged", "incident.closed"})
_OPEN_STATES = frozenset({"detected", "declared", "investigating", "identified"})
_LOOK_SECONDS = 15.0  # the longest sleep: a wall clock that was put forward is noticed within it
_STORE_WAIT_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class EscalationDesk:
    """Runs escalations for as long as ``run`` runs; ``subscription`` is what it hears of incidents."""

    def __init__(self, store: Store, directory: Directory, fleet: Fleet, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._fleet = fleet
        self._clock = clock
        self._events = EventLog(clock)
        self._changed = asyncio.Event()

    def subscription(self) -> Subscription:
        """What brings events of incidents here."""
        return Subscription(name="oncall", kinds=("incident.*",), handler=self.heard)

    async def heard(self, event: Event) -> None:
        """Begin, acknowledge or end the escalation of the event's incident; an event may come twice."""
        incident_id = event.data.get("incident_id")
        if not isinstance(incident_id, str):
            return
        async with self._store.begin() as connection:
            known = await find_escalation(connection, incident_id)
            if known is not None and _revision(event.data) <= _revision(known.document):
                return
            after = await self._after(connection, known, event)
            if after is None:
                return
            await keep_escalation(connection, self._store, after, now=self._clock.now())
        self._changed.set()

    async def _after(self, connection: AsyncConnection, known: Escalation | None, event: Event) -> Escalation | None:
        data = event.data
        if event.kind in _ENDS:
            return None if known is None else _renewed(ended(known), data)
        if event.kind == "incident.acknowledged" and known is not None:
            taken = acknowledged(known, self._policy(known), by=str(data.get("by") or ""), now=self._clock.now())
            return _renewed(taken, data)
        is_new = known is None or (event.kind == "incident.reopened" and known.state is EscalationState.ENDED)
        if event.kind in _BEGINS and is_new and _pages(data, is_anew=event.kind == "incident.reopened"):
            return await self._begun(connection, known, data)
        if known is None:
            return None
        if known.state is EscalationState.EXHAUSTED and _is_over(known.document) and not _is_over(data):
            return await self._begun(connection, known, data)  # it hurts again: everybody was told of another time
        return _renewed(self._paused_or_resumed(known, data), data)

    def _paused_or_resumed(self, known: Escalation, data: Mapping[str, Any]) -> Escalation:
        """Nobody is woken for what is over already and only watched; when it comes back, whoever was due is told at once."""
        is_over = _is_over(data)
        if known.state is EscalationState.ACTIVE and (known.next_at is None) is not is_over:
            return replace(known, next_at=None if is_over else self._clock.now())
        if known.state is EscalationState.ACKNOWLEDGED and is_over:
            return replace(known, next_at=None)
        if known.state is EscalationState.ACKNOWLEDGED and _is_over(known.document):  # the answer has its time again
            return acknowledged(known, self._policy(known), by=known.acknowledged_by, now=self._clock.now())
        return known

    def _policy(self, known: Escalation) -> Policy | None:
        """The policy by which an incident is escalated; where the configuration has it no more, the one that fits now."""
        named = next((one for one in self._directory.policies if one.name == known.policy), None)
        if named is not None:
            return named
        labels = labels_of(f"cluster/{known.document.get('cluster')}", self._fleet)
        return self._directory.policy_for(labels, str(known.document.get("severity") or ""))

    async def _begun(self, connection: AsyncConnection, known: Escalation | None, data: Mapping[str, Any]) -> Escalation | None:
        labels = labels_of(f"cluster/{data.get('cluster')}", self._fleet)
        policy = self._directory.policy_for(labels, str(data.get("severity") or ""))
        if policy is None:
            return None
        turn = await turns_of(connection, policy.name)
        return begun(policy, dict(data), turn=turn, sequence=known.sequence if known else 0, now=self._clock.now())

    async def run(self) -> None:
        """Take the steps that are due, until cancelled. Raises: ControlPlaneLockLost."""
        while True:
            self._changed.clear()
            try:
                next_at = await self._step_all()
            except ControlPlaneLockLost:
                raise
            except StoreError as error:
                _log.error("escalation_store_failed", code=error.code, error=error.message)
                await self._sleep(self._clock.sleep(_STORE_WAIT_SECONDS))
            else:
                await self._sleep(self._wait_until(next_at))

    async def _step_all(self) -> datetime | None:
        """Take the steps that are due. Returns: when to look again, or None: nothing is to come."""
        async with self._store.read() as connection:
            now = self._clock.now()
            due = await due_escalations(connection, now)
            next_at = now if due else await next_due_at(connection)
        for one in due:
            await self._step(one.incident_id)
        return next_at

    async def _wait_until(self, moment: datetime | None) -> None:
        """Counts what is left when the sleep begins: counted before, what passes in between would be slept once more."""
        left = _LOOK_SECONDS if moment is None else (moment - self._clock.now()).total_seconds()
        await self._clock.sleep(min(max(left, 0.0), _LOOK_SECONDS))

    async def _step(self, incident_id: str) -> None:
        async with self._store.begin() as connection:
            now = self._clock.now()
            one = await find_escalation(connection, incident_id)
            if one is None or one.next_at is None or one.next_at > now:
                return  # somebody answered meanwhile
            policy = self._policy(one)
            if policy is None:  # taken out of the configuration while it ran, and no other is for such an incident
                await keep_escalation(connection, self._store, ended(one), now=now)
                _log.warning("escalation_without_policy", incident=incident_id, policy=one.policy)
                return
            one = replace(one, policy=policy.name)
            on_call = await self._on_call(connection, now)
            after, step = stepped(one, policy, on_call, now=now)
            await keep_escalation(connection, self._store, after, now=now)
            data = {**one.document, "step": _document(step, one.policy)}
            await self._events.emit(connection, kind=ESCALATED, subject=f"incident/{incident_id}", data=data)
        _log.info(
            "incident_escalated", incident=incident_id, reason=step.reason.value, level=step.level, people=len(step.people)
        )

    async def _on_call(self, connection: AsyncConnection, now: datetime) -> Mapping[str, tuple[str, ...]]:
        overrides = await overrides_of(connection, ending_after=now)
        found = {}
        for name, schedule in self._directory.schedules.items():
            own = [one for one in overrides if one.schedule == name]
            shift = on_call_at(schedule, now, overrides=own)
            found[name] = () if shift is None else (shift.person,)
        return found

    async def _sleep(self, sleep: Coroutine[Any, Any, None]) -> None:
        """Until the sleep ends, or something is heard of an incident."""
        tasks = {asyncio.ensure_future(self._changed.wait()), asyncio.ensure_future(sleep)}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()


def _renewed(escalation: Escalation, data: Mapping[str, Any]) -> Escalation:
    return replace(escalation, document=dict(data))


def _pages(data: Mapping[str, Any], *, is_anew: bool) -> bool:
    is_taken = not is_anew and bool(data.get("acknowledged_at")) and bool(data.get("assignee"))
    return data.get("urgency") == "page" and data.get("state") in _OPEN_STATES and not is_taken


def _is_over(data: Mapping[str, Any]) -> bool:
    return data.get("state") not in _OPEN_STATES


def _revision(data: Mapping[str, Any]) -> int:
    value = data.get("revision")
    return value if isinstance(value, int) else 0


def _document(step: Step, policy: str) -> dict[str, Any]:
    return {
        "policy": policy,
        "reason": step.reason.value,
        "level": step.level + 1,
        "round": step.round + 1,
        "people": list(step.people),
        "channels": list(step.channels),
        "is_first": step.is_first,
    }
