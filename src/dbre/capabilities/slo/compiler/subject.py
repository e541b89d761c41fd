"""What is compiled: one SLO with its clusters, its windows and its alert rules, settled for good."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.slo.alert_rules import BurnRule
from dbre.capabilities.slo.budgeting_method import Method
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.sources import PrometheusSource
from dbre.capabilities.slo.window import CalendarUnit, RollingWindow
from dbre.core.fleet import Fleet

__all__ = ["Subject", "subjects_of"]

_DAYS = {CalendarUnit.DAY: 1, CalendarUnit.WEEK: 7, CalendarUnit.MONTH: 30, CalendarUnit.QUARTER: 91, CalendarUnit.YEAR: 365}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One SLO as rules see it. ``period_seconds`` of a calendar window is its usual length."""

    definition: Definition
    clusters: tuple[str, ...]
    period_seconds: int
    rules: tuple[BurnRule, ...]

    @property
    def name(self) -> str:
        """Of the SLO."""
        return self.definition.name

    @property
    def is_rolling(self) -> bool:
        """Whether its period is a window of one length, so that PromQL can look at all of it."""
        return isinstance(self.definition.window, RollingWindow)

    @property
    def is_counted(self) -> bool:
        """Whether its budget is a count of events; slices of time are judged by dbre alone."""
        return self.definition.method is Method.OCCURRENCES

    @property
    def source(self) -> PrometheusSource | None:
        """The counters of the user's that it counts; None: dbre exports counters of it."""
        source = self.definition.sli.source
        return source if isinstance(source, PrometheusSource) else None

    @property
    def has_roll_up(self) -> bool:
        """Whether all groups together are an instance; always where there are no groups."""
        return self.definition.has_roll_up or not self.definition.sli.is_grouped

    @property
    def alert_windows(self) -> tuple[int, ...]:
        """Every window that one of its alert rules looks at, in seconds."""
        return tuple(sorted({one for rule in self.rules for one in (rule.long_seconds, rule.short_seconds)}))

    @property
    def windows(self) -> tuple[int, ...]:
        """The same, and the period where it is rolling."""
        return tuple(sorted({*self.alert_windows, *([self.period_seconds] if self.is_rolling else [])}))


def subjects_of(definitions: Sequence[Definition], fleet: Fleet) -> tuple[Subject, ...]:
    """The SLOs that select a cluster, by name."""
    found = []
    for definition in sorted(definitions, key=lambda one: one.name):
        window = definition.window
        period = window.seconds if isinstance(window, RollingWindow) else _DAYS[window.unit] * 86_400
        clusters = tuple(sorted(cluster.name for cluster in fleet.select(definition.selector)))
        if clusters:
            rules = definition.rules_for(period)
            found.append(Subject(definition=definition, clusters=clusters, period_seconds=period, rules=rules))
    return tuple(found)
