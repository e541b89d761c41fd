"""When error-budget policies would have stopped changes over a history: pure, with the arithmetic of the gate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import Severity
from dbre.capabilities.slo.assessment import Measured, budget_of
from dbre.capabilities.slo.budget_policy import AlertFires, BudgetAtMost, BudgetPolicy, BurnAtLeast, Condition
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_start
from dbre.capabilities.slo.simulation.replay import Replay, history_of
from dbre.capabilities.slo.window import span

__all__ = ["STEP_SECONDS", "PolicyReplay", "PolicySpan", "replay_policies"]

STEP_SECONDS = 60
"""How often budgets and burn rates are looked at; alerts are known to the slot."""
_STEP = STEP_SECONDS // SLOT_SECONDS


@dataclass(frozen=True, slots=True, order=True)
class PolicySpan:
    """A time in which a condition of a policy was met, up to and without ``until``."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """How long."""
        return (self.until - self.since).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReplay:
    """What one policy would have done because of one SLO instance."""

    policy: BudgetPolicy
    spans: tuple[PolicySpan, ...]  # the oldest first; none touches another

    @property
    def seconds(self) -> float:
        """How long altogether."""
        return sum(one.seconds for one in self.spans)


def replay_policies(
    policies: Sequence[BudgetPolicy], instance: SloInstance, series: SlotSeries, replayed: Replay, *, interval_ms: int
) -> tuple[PolicyReplay, ...]:
    """What the policies that look at an instance would have done while ``replayed`` was replayed, in their order.

    An operation that a policy covers is meant: which kinds those are, and policies that allow before others are asked, are
    left to the reader. Lost telemetry stops nothing here: a history does not tell silence from idleness.
    """
    about = [
        one for one in policies if one.watches(instance.definition.name) and one.scope.selector.allows(instance.cluster.labels)
    ]
    look = _Look(instance, series, replayed, interval_ms)
    return tuple(
        PolicyReplay(policy=one, spans=tuple(_united(each for condition in one.when for each in look.met(condition))))
        for one in about
    )


class _Look:
    """One history, looked at step by step; what several conditions need is computed once."""

    def __init__(self, instance: SloInstance, series: SlotSeries, replayed: Replay, interval_ms: int) -> None:
        self._measured = history_of(instance, series, end=_slot(replayed.end), interval_ms=interval_ms)
        self._replayed, self._interval_ms = replayed, interval_ms
        self._remaining: list[Fraction] | None = None
        self._rates: dict[int, list[Fraction]] = {}

    def met(self, condition: Condition) -> Iterator[PolicySpan]:
        match condition:
            case AlertFires():
                yield from self._firing(condition)
            case BudgetAtMost():
                if self._remaining is None:
                    self._remaining = [remaining_ratio(self._measured, slot) for slot in self._slots()]
                yield from self._where(self._remaining, lambda left: left <= condition.remaining)
            case BurnAtLeast():
                if condition.seconds not in self._rates:
                    self._rates[condition.seconds] = [self._burn_rate(condition, slot) for slot in self._slots()]
                yield from self._where(self._rates[condition.seconds], lambda rate: rate >= condition.rate)

    def _slots(self) -> range:
        """The last slot of each step: a step is judged by what is known at its end."""
        return range(_slot(self._replayed.start) + _STEP - 1, _slot(self._replayed.end), _STEP)

    def _burn_rate(self, condition: BurnAtLeast, slot: int) -> Fraction:
        counts = self._measured.alert_series.window(slot + 1 - condition.seconds // SLOT_SECONDS, slot + 1)
        return condition.rate_in(counts, target=self._measured.instance.definition.target, interval_ms=self._interval_ms)

    def _where(self, values: Sequence[Fraction], is_met: Callable[[Fraction], bool]) -> Iterator[PolicySpan]:
        """Each step in which it is met holds from its end, when that is known, to the end of the next one."""
        for slot, value in zip(self._slots(), values, strict=True):
            if is_met(value):
                since = slot_start(slot + 1)
                until = min(since + timedelta(seconds=STEP_SECONDS), self._replayed.end)
                if since < until:
                    yield PolicySpan(since, until)

    def _firing(self, condition: AlertFires) -> Iterator[PolicySpan]:
        for one in self._replayed.alerts:
            until = one.resolved_at or self._replayed.end
            if one.severity in (Severity.PAGE, condition.severity) and one.fired_at < until:
                yield PolicySpan(one.fired_at, until)


def remaining_ratio(measured: Measured, slot: int) -> Fraction:
    """What is left of the budget at the end of a slot, as ``assess`` says it."""
    at = span(measured.instance.definition.window, slot_start(slot) + timedelta(seconds=SLOT_SECONDS - 1))
    return budget_of(measured, at.start_slot, at.end_slot, at.seen_slot).remaining_ratio


def _slot(moment: datetime) -> int:
    return int(moment.timestamp()) // SLOT_SECONDS


def _united(spans: Iterable[PolicySpan]) -> Iterator[PolicySpan]:
    """The same time as spans that do not touch each other."""
    current: PolicySpan | None = None
    for one in sorted(spans):
        if current is None:
            current = one
        elif one.since <= current.until:
            current = PolicySpan(current.since, max(current.until, one.until))
        else:
            yield current
            current = one
    if current is not None:
        yield current
