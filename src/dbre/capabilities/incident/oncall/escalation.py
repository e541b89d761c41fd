"""Who is told next when nobody answers: the rules, without a store and without a clock.

An escalation is ``active`` until somebody acknowledges it, it runs out of levels, or its incident is over. An
acknowledgement that has a time of its own leads back to the first level when that time has passed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dbre.core.selector import Selector

__all__ = [
    "Escalation",
    "EscalationState",
    "Level",
    "Policy",
    "Step",
    "StepReason",
    "acknowledged",
    "begun",
    "ended",
    "stepped",
]


class EscalationState(StrEnum):
    """Where an escalation stands."""

    ACTIVE = "active"
    ACKNOWLEDGED = "acknowledged"
    EXHAUSTED = "exhausted"  # everybody was told as often as the policy says, and nobody answered
    ENDED = "ended"  # its incident is over


class StepReason(StrEnum):
    """Why somebody is told now."""

    LEVEL = "level"
    ACKNOWLEDGEMENT_EXPIRED = "acknowledgement_expired"
    NOBODY_ON_CALL = "nobody_on_call"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Who is told, and how long they have."""

    schedules: tuple[str, ...]
    people: tuple[str, ...]
    channels: tuple[str, ...]
    is_round_robin: bool
    wait: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The levels, and how often they begin again."""

    name: str
    selector: Selector
    severities: tuple[str, ...]
    levels: tuple[Level, ...]
    repeat: int
    acknowledged_for: timedelta | None

    def fits(self, labels: Mapping[str, str], severity: str) -> bool:
        """Whether it is for an incident of a cluster with these labels."""
        return self.selector.allows(labels) and (severity in self.severities or not severity)


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Where the escalation of one incident stands. ``level`` is the next to be told, counted from 0."""

    incident_id: str
    policy: str
    state: EscalationState
    level: int
    round: int
    turn: int  # how many incidents of this policy came before: whose turn it is
    next_at: datetime | None
    sequence: int  # counts steps
    acknowledged_by: str
    document: Mapping[str, Any]  # what the newest event of the incident said


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Tell these people now."""

    reason: StepReason
    level: int
    round: int
    people: tuple[str, ...]
    channels: tuple[str, ...]

    @property
    def is_first(self) -> bool:
        """Whether the news of the incident itself is as new as this."""
        return self.level == 0 and self.round == 0 and self.reason is StepReason.LEVEL


def begun(policy: Policy, document: Mapping[str, Any], *, turn: int, sequence: int, now: datetime) -> Escalation:
    """An escalation whose first level is due now."""
    return Escalation(
        incident_id=str(document["incident_id"]),
        policy=policy.name,
        state=EscalationState.ACTIVE,
        level=0,
        round=0,
        turn=turn,
        next_at=now,
        sequence=sequence,
        acknowledged_by="",
        document=document,
    )


def acknowledged(escalation: Escalation, policy: Policy | None, *, by: str, now: datetime) -> Escalation:
    """Somebody has it. Whoever it is counts, also one whom contacts do not have any more."""
    lasts = policy.acknowledged_for if policy is not None else None
    until = None if lasts is None else now + lasts
    return replace(escalation, state=EscalationState.ACKNOWLEDGED, acknowledged_by=by, next_at=until)


def ended(escalation: Escalation) -> Escalation:
    """The incident is over."""
    return replace(escalation, state=EscalationState.ENDED, next_at=None)


def stepped(
    escalation: Escalation, policy: Policy, on_call: Mapping[str, Sequence[str]], *, now: datetime
) -> tuple[Escalation, Step]:
    """What happens at ``next_at``: the escalation after it, and who is told. ``on_call``: schedule to people.

    Levels at which nobody is on call take no time. Where that is so of all, the step says it, without people.
    """
    reason = StepReason.LEVEL
    if escalation.state is EscalationState.ACKNOWLEDGED:
        reason = StepReason.ACKNOWLEDGEMENT_EXPIRED
        escalation = replace(escalation, state=EscalationState.ACTIVE, level=0, round=0, acknowledged_by="")
    for level in range(min(escalation.level, len(policy.levels)), len(policy.levels)):
        people = _people(policy.levels[level], on_call, escalation)
        if people:
            step = Step(
                reason=reason, level=level, round=escalation.round, people=people, channels=policy.levels[level].channels
            )
            return _after(escalation, policy, level, now=now), step
    if escalation.level > 0 and escalation.round < policy.repeat:
        again = replace(escalation, level=0, round=escalation.round + 1)
        return stepped(again, policy, on_call, now=now)
    is_nobody = escalation.level == 0
    last = StepReason.NOBODY_ON_CALL if is_nobody else StepReason.EXHAUSTED
    step = Step(reason=last, level=escalation.level, round=escalation.round, people=(), channels=())
    # Nobody is on call now, but somebody may be in a while: it is asked again as often as the policy repeats.
    if is_nobody and escalation.round < policy.repeat:
        later = now + policy.levels[-1].wait
        return _counted(replace(escalation, round=escalation.round + 1, next_at=later)), step
    return _counted(replace(escalation, state=EscalationState.EXHAUSTED, next_at=None)), step


def _people(level: Level, on_call: Mapping[str, Sequence[str]], escalation: Escalation) -> tuple[str, ...]:
    named = [*level.people, *(person for one in level.schedules for person in on_call.get(one, ()))]
    people = tuple(dict.fromkeys(named))
    if level.is_round_robin and people:
        return (people[(escalation.turn + escalation.round) % len(people)],)
    return people


def _after(escalation: Escalation, policy: Policy, level: int, *, now: datetime) -> Escalation:
    return _counted(replace(escalation, level=level + 1, next_at=now + policy.levels[level].wait))


def _counted(escalation: Escalation) -> Escalation:
    return replace(escalation, sequence=escalation.sequence + 1)
