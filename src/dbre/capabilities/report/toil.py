"""Toil: work by hand that is repeated, could be automated, and grows with the service."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dbre.capabilities.report.span import Span
from dbre.capabilities.report.work import Work
from dbre.ports.report_sources import IncidentFact

__all__ = ["Actor", "Candidate", "Toil", "ToilReport", "Trigger", "toil_of_incidents", "toil_of_operations", "toil_report"]

_WEEK_SECONDS = 604_800


class Actor(StrEnum):
    """Who did it."""

    HUMAN = "human"
    AUTOMATIC = "automatic"


class Trigger(StrEnum):
    """Why it was done."""

    OPERATION = "operation"  # a command of dbre
    PAGE = "page"  # an incident that somebody was called for
    LOGGED = "logged"  # written down by hand


@dataclass(frozen=True, slots=True, kw_only=True)
class Toil:
    """One piece of work. An automatic one costs nobody time, and shows how much of its kind is automated."""

    id: str
    task: str  # what was done: settings.apply, incident, anything that people write
    actor: Actor
    person: str  # empty: nobody, or nobody knows
    started_at: datetime
    active_seconds: float
    is_interruptive: bool
    target: str
    trigger: Trigger
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One kind of work, as a candidate for automation. ``score`` is the minutes a week that automation would save."""

    task: str
    times: int  # by people
    automatic_times: int
    active_seconds: float  # of people, altogether
    interruptions: int
    score: float
    saved_minutes_per_week: float | None  # against the span before; None: nothing was done by hand then

    @property
    def automated_ratio(self) -> float:
        """Part of the times in which nobody had to do anything."""
        return self.automatic_times / (self.times + self.automatic_times)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToilReport:
    """The toil of a span."""

    span: Span
    people: int | None  # None: nobody is known who toils
    active_seconds: float
    interruptions: int
    candidates: tuple[Candidate, ...]  # the most worthwhile first
    by_person: tuple[tuple[str, float], ...]  # seconds, the most first
    weekly_hours: float  # of one person's working week
    cap_ratio: float
    before_seconds: float | None  # of the span before; None: nothing was recorded then

    @property
    def hours_per_person_week(self) -> float | None:
        """Hours of toil a person and week."""
        weeks = self.span.seconds / _WEEK_SECONDS
        return self.active_seconds / 3600 / self.people / weeks if self.people and weeks > 0 else None

    @property
    def ratio(self) -> float | None:
        """Part of a working week that is toil. Source: SRE Book, ch. 5: at most 50 %."""
        hours = self.hours_per_person_week
        return None if hours is None else hours / self.weekly_hours

    @property
    def is_over_cap(self) -> bool | None:
        """Whether it is more than the cap."""
        ratio = self.ratio
        return None if ratio is None else ratio > self.cap_ratio

    @property
    def change_ratio(self) -> float | None:
        """Against the span before: -0.5 is half of it; None where there was none."""
        return None if not self.before_seconds else self.active_seconds / self.before_seconds - 1


def toil_of_operations(work: Iterable[Work], *, most: timedelta) -> list[Toil]:
    """Operations that people began: the time in which they ran, at most ``most`` each, because nobody watches for hours."""
    found = []
    for one in work:
        if one.started_at is None or one.ended_at is None or one.is_reading:
            continue
        seconds = min((one.ended_at - one.started_at).total_seconds(), most.total_seconds())
        found.append(
            Toil(
                id=one.id,
                task=one.kind,
                actor=Actor.AUTOMATIC if one.is_automatic else Actor.HUMAN,
                person="" if one.is_automatic else one.requested_by,
                started_at=one.started_at,
                active_seconds=0.0 if one.is_automatic else max(seconds, 0.0),
                is_interruptive=False,
                target=one.cluster or "",
                trigger=Trigger.OPERATION,
            )
        )
    return found


def toil_of_incidents(incidents: Iterable[IncidentFact], *, most: timedelta) -> list[Toil]:
    """Incidents that somebody answered: from the answer until it was over, at most ``most`` each; each is an interruption."""
    found = []
    for one in incidents:
        ended = one.mitigated_at or one.resolved_at
        if one.acknowledged_at is None or ended is None:
            continue
        seconds = min((ended - one.acknowledged_at).total_seconds(), most.total_seconds())
        found.append(
            Toil(
                id=one.id,
                task=f"incident {one.slo}" if one.slo else "incident",
                actor=Actor.HUMAN,
                person=one.assignee,
                started_at=one.acknowledged_at,
                active_seconds=max(seconds, 0.0),
                is_interruptive=True,
                target=one.cluster,
                trigger=Trigger.PAGE,
            )
        )
    return found


def toil_report(
    toil: Sequence[Toil], span: Span, *, people: int | None = None, weekly_hours: float = 40.0, cap_ratio: float = 0.5
) -> ToilReport:
    """The toil of a span. ``toil`` may hold that of the span before too, which it is compared with.

    ``people`` None: as many as are seen toiling.
    """
    mine = [one for one in toil if span.holds(one.started_at)]
    earlier = [one for one in toil if span.before.holds(one.started_at)]
    seconds: dict[str, float] = defaultdict(float)
    for one in mine:
        if one.actor is Actor.HUMAN:
            seconds[one.person] += one.active_seconds
    seen = len([name for name in seconds if name]) or (1 if seconds else None)
    candidates = [_candidate(task, mine, earlier, span) for task in sorted({one.task for one in mine})]
    return ToilReport(
        span=span,
        people=people if people is not None else seen,
        active_seconds=sum(seconds.values()),
        interruptions=sum(one.is_interruptive for one in mine),
        candidates=tuple(sorted((one for one in candidates if one.times), key=lambda one: (-one.score, one.task))),
        by_person=tuple(sorted(seconds.items(), key=lambda pair: (-pair[1], pair[0]))),
        weekly_hours=weekly_hours,
        cap_ratio=cap_ratio,
        before_seconds=_seconds(earlier) if earlier else None,
    )


def _seconds(toil: Iterable[Toil]) -> float:
    return sum(one.active_seconds for one in toil if one.actor is Actor.HUMAN)


def _candidate(task: str, mine: Sequence[Toil], earlier: Sequence[Toil], span: Span) -> Candidate:
    same = [one for one in mine if one.task == task]
    human = [one for one in same if one.actor is Actor.HUMAN]
    weeks = max(span.seconds / _WEEK_SECONDS, 1e-9)
    minutes = _seconds(human) / 60 / weeks  # frequency times minutes
    before = _seconds(one for one in earlier if one.task == task) / 60 / weeks
    return Candidate(
        task=task,
        times=len(human),
        automatic_times=len(same) - len(human),
        active_seconds=_seconds(human),
        interruptions=sum(one.is_interruptive for one in same),
        score=minutes * (len(human) / len(same)),
        saved_minutes_per_week=before - minutes if before else None,
    )
