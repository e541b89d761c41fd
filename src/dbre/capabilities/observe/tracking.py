"""What an endpoint's slots add up to: its state, and the events at which the state changes."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbre.capabilities.observe.model import EndpointState
from dbre.core.fleet import Endpoint
from dbre.ports.probe import Outcome, ProbeObservation
from dbre.ports.session import Role

__all__ = ["EndpointTracker", "StateChange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChange:
    """One event: ``kind`` is ``observe.endpoint_bad``, ``observe.endpoint_good`` or ``observe.role_changed``."""

    kind: str
    subject: str
    data: Mapping[str, object]


class EndpointTracker:
    """Follows the slots of one endpoint. Missed slots change nothing: they say nothing about the database.

    A failure that only new connections meet (a rotated password, no connection left) lasts until a new connection succeeds;
    the good slots of the kept connection in between do not end it, else the state would flap once a minute. So that a short
    outage is not remembered for long, a failed slot with a new connection is followed by one more of its kind.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._outcome: Outcome | None = None
        self._needs_fresh = False
        self._repeats_fresh = False
        self._instance: str | None = None
        self._role: Role | None = None
        self._system_id: str | None = None
        self._last: ProbeObservation | None = None

    @property
    def state(self) -> EndpointState:
        """What is known now."""
        return EndpointState(
            cluster=self._endpoint.cluster,
            purpose=self._endpoint.purpose,
            outcome=self._outcome,
            instance=self._instance,
            role=self._role,
            system_id=self._system_id,
            last=self._last,
        )

    @property
    def repeats_fresh(self) -> bool:
        """Whether the next slot should open a new connection, because the last one that did failed."""
        return self._repeats_fresh

    def follow(self, observation: ProbeObservation, *, system_id: str | None, hint: str | None = None) -> list[StateChange]:
        """Take in one slot; the events that it causes, in order."""
        self._last = observation
        if observation.outcome is Outcome.MISSED:
            return []
        is_bad_fresh = observation.fresh and observation.outcome is not Outcome.GOOD
        self._repeats_fresh = is_bad_fresh and not self._repeats_fresh
        return self._moved(observation, system_id) + self._turned(observation, hint)

    def _turned(self, observation: ProbeObservation, hint: str | None) -> list[StateChange]:
        before, now = self._outcome, observation.outcome
        if now is Outcome.GOOD and before not in (None, Outcome.GOOD) and self._needs_fresh and not observation.fresh:
            return []
        if now is not Outcome.GOOD:
            came_from_good = before in (None, Outcome.GOOD)
            self._needs_fresh = observation.fresh and (came_from_good or self._needs_fresh)
        self._outcome = now
        if now is before or (before is None and now is Outcome.GOOD):
            return []
        kind = "observe.endpoint_good" if now is Outcome.GOOD else "observe.endpoint_bad"
        data = self._about(observation) | {
            "outcome": str(now),
            "before": None if before is None else str(before),
            "code": observation.code,
            "reason": observation.reason,
        }
        return [self._change(kind, data | ({"hint": hint} if hint and now is Outcome.EXCLUDED else {}))]

    def _moved(self, observation: ProbeObservation, system_id: str | None) -> list[StateChange]:
        if observation.role is None or observation.instance is None:
            return []
        before = (self._instance, self._role, self._system_id)
        known_id = system_id or self._system_id
        self._instance, self._role, self._system_id = observation.instance, observation.role, known_id
        if before[0] is None or before == (self._instance, self._role, self._system_id):
            return []
        if before[:2] == (self._instance, self._role) and before[2] is None:
            return []  # only learned the identifier
        data = self._about(observation) | {
            "before_instance": before[0],
            "before_role": None if before[1] is None else str(before[1]),
            "before_system_id": before[2],
            "system_id": self._system_id,
        }
        return [self._change("observe.role_changed", data)]

    def _about(self, observation: ProbeObservation) -> dict[str, object]:
        return {
            "cluster": observation.cluster,
            "purpose": str(observation.purpose),
            "instance": observation.instance,
            "role": None if observation.role is None else str(observation.role),
            "scheduled_at": observation.scheduled_at.isoformat(),
        }

    def _change(self, kind: str, data: Mapping[str, object]) -> StateChange:
        return StateChange(kind=kind, subject=str(self._endpoint), data=data)
