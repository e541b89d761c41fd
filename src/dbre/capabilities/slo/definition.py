"""An SLO as it is defined, and the instances that it has in a fleet: one a cluster that its selector names."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from dbre.capabilities.slo.alert_rules import BudgetRule, BurnRule, default_rules
from dbre.capabilities.slo.budgeting_method import Method, TimeSlices
from dbre.capabilities.slo.error_budget import scheduled_events
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.window import Window
from dbre.core.fleet import Cluster, Fleet
from dbre.core.selector import Selector
from dbre.core.text import closest, printable
from dbre.core.units import format_duration

__all__ = [
    "OTHER_GROUP",
    "Definition",
    "DefinitionProblem",
    "NoDataPolicy",
    "Policies",
    "SloInstance",
    "instance_id",
    "instances_of",
    "problems_of",
]


class NoDataPolicy(StrEnum):
    """What lost telemetry does."""

    ALERT = "alert"  # a ticket, and a page after five times the limit
    TICKET = "ticket"  # a ticket only
    IGNORE = "ignore"  # shown, but nobody is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """How an SLO treats few events and none; ``sustained_failures`` 0 switches that rule off."""

    has_low_traffic_guard: bool = True
    sustained_failures: int = 5
    no_data: NoDataPolicy = NoDataPolicy.ALERT
    is_prorated: bool = False  # an SLO that begins within its window has only that part of the budget


_EVERY_CLUSTER = Selector()

OTHER_GROUP = "__other__"
"""Where events go once an SLO has as many groups as it may have."""


def instance_id(slo: str, cluster: str, group: str = "") -> str:
    """How commands, pages and events name an instance.

    >>> instance_id("checkout", "orders"), instance_id("checkout", "orders", "tenant-7")
    ('checkout@orders', 'checkout@orders/tenant-7')
    """
    return f"{slo}@{cluster}/{group}" if group else f"{slo}@{cluster}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One SLO, valid in itself. ``rules`` None: the default ones for its window."""

    name: str
    description: str = ""
    selector: Selector = _EVERY_CLUSTER
    sli: Sli
    target: Decimal
    window: Window
    rules: tuple[BurnRule, ...] | None = None
    policies: Policies = Policies()
    watched_seconds: tuple[int, ...] = ()  # more windows whose burn rate is wanted: those of error-budget policies
    max_groups: int = 100  # of one cluster; events of more groups count for ``OTHER_GROUP``
    has_roll_up: bool = True  # a grouped SLO also has an instance that counts all groups together
    slices: TimeSlices | None = None  # None: each event counts
    budget_rules: tuple[BudgetRule, ...] = ()

    @property
    def method(self) -> Method:
        """How events become the budget."""
        if self.slices is None:
            return Method.OCCURRENCES
        return Method.TIMESLICES if self.slices.target is not None else Method.RATIO_TIMESLICES

    @property
    def hash(self) -> str:
        """Identity of the whole promise; a new one is a new version with its own moment of taking effect."""
        return hashlib.sha256(json.dumps(self.as_document(), sort_keys=True).encode()).hexdigest()[:16]

    def as_document(self) -> dict[str, object]:
        """What is stored of a version, so that old reports can be understood."""
        document: dict[str, object] = {
            "name": self.name,
            "selector": {label: list(values) for label, values in sorted(self.selector.terms)},
            "sli": self.sli.as_document(),
            "target": f"{self.target.normalize():f}",
            "window": str(self.window),
        }
        return document if self.slices is None else {**document, "slices": self.slices.as_document()}

    def rules_for(self, period_seconds: int) -> tuple[BurnRule, ...]:
        """The alert rules for a compliance period of that many seconds."""
        if self.rules is None:
            return default_rules(period_seconds)
        return tuple(rule.over(period_seconds) for rule in self.rules)


@dataclass(frozen=True, slots=True, kw_only=True)
class SloInstance:
    """One definition on one cluster, or one group of its events there; of a grouped SLO no group is all of them together."""

    definition: Definition
    cluster: Cluster
    group: str = ""

    @property
    def id(self) -> str:
        """``slo@cluster`` or ``slo@cluster/group``: how commands, pages and events name it."""
        return instance_id(self.definition.name, self.cluster.name, self.group)

    @property
    def has_source(self) -> bool:
        """Whether anything can measure it: probes need an endpoint of their purpose."""
        sli = self.definition.sli
        return not sli.is_probed or self.cluster.endpoint(sli.purpose) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class DefinitionProblem:
    """Something that makes an SLO measure nothing, or not what it promises; it is shown wherever SLOs are listed."""

    slo: str
    message: str
    hint: str
    measures_nothing: bool = True


def instances_of(definitions: Sequence[Definition], fleet: Fleet) -> tuple[SloInstance, ...]:
    """Every definition on every cluster that its selector names, in the order of the configuration.

    Groups are not among them: they appear with their events.
    """
    return tuple(
        SloInstance(definition=definition, cluster=cluster)
        for definition in definitions
        if definition.has_roll_up or not definition.sli.is_grouped
        for cluster in fleet.select(definition.selector)
    )


def problems_of(
    definitions: Sequence[Definition],
    fleet: Fleet,
    *,
    probe_interval: timedelta | None = None,
    probe_timeout: timedelta | None = None,
) -> tuple[DefinitionProblem, ...]:
    """Definitions that select no cluster, or a cluster that has no endpoint for what they measure.

    With the limits of a probe also definitions that such probes cannot measure; ``probe_timeout`` is that of a whole probe.
    """
    problems = []
    for definition in definitions:
        selected = fleet.select(definition.selector)
        if not selected:
            problems.append(_selects_nothing(definition, fleet))
        problems += [
            DefinitionProblem(
                slo=definition.name,
                message=f"SLO {definition.name} measures {definition.sli.purpose} probes, and cluster"
                f" {printable(cluster.name)} has no {definition.sli.purpose} endpoint",
                hint=f"add endpoints.{definition.sli.purpose} to the cluster, or narrow the selector",
            )
            for cluster in selected
            if definition.sli.is_probed and cluster.endpoint(definition.sli.purpose) is None
        ]
        if probe_interval is not None and definition.sli.is_probed:
            problems += _too_coarse(definition, probe_interval)
        if probe_timeout is not None and definition.sli.is_probed:
            problems += _never_slow(definition, probe_timeout)
    return tuple(problems)


def _shown(length: timedelta) -> str:
    return format_duration(length.total_seconds())


def _too_coarse(definition: Definition, interval: timedelta) -> list[DefinitionProblem]:
    """What probes so far apart cannot tell."""
    name, limit, found = definition.name, definition.sli.limit_ms, []
    if definition.sli.kind is SliKind.FRESHNESS and limit is not None and timedelta(milliseconds=limit) < interval:
        message = (
            f"SLO {name} wants data at most {format_duration(limit / 1000)} old, and probe.interval is {_shown(interval)}:"
            " an age between two probes is not seen"
        )
        hint = "raise sli.max_age, or lower probe.interval"
        found.append(DefinitionProblem(slo=name, message=message, hint=hint, measures_nothing=False))
    period = definition.window.longest_seconds
    events = scheduled_events(period, interval_ms=interval // timedelta(milliseconds=1))
    if (budget := allowed_ratio(definition.target) * events) < 1:
        message = (
            f"SLO {name} allows {float(budget):.2g} bad probes in {format_duration(period)}, one each {_shown(interval)}:"
            " a single one spends the whole budget"
        )
        hint = "lower the target, lengthen the window, or lower probe.interval"
        found.append(DefinitionProblem(slo=name, message=message, hint=hint, measures_nothing=False))
    return found


def _never_slow(definition: Definition, timeout: timedelta) -> list[DefinitionProblem]:
    """A probe that is given up is bad for every SLO, and one that is not never takes longer than its limit."""
    limit = definition.sli.limit_ms
    if definition.sli.kind is not SliKind.LATENCY or limit is None or timedelta(milliseconds=limit) <= timeout:
        return []
    message = (
        f"SLO {definition.name} calls probes slow above {format_duration(limit / 1000)}, and probe.total_timeout ends them"
        f" after {_shown(timeout)}: it measures availability"
    )
    hint = "lower sli.threshold, or raise probe.total_timeout"
    return [DefinitionProblem(slo=definition.name, message=message, hint=hint, measures_nothing=False)]


def _selects_nothing(definition: Definition, fleet: Fleet) -> DefinitionProblem:
    hint = "dbre fleet list shows the clusters and their labels"
    for label, values in definition.selector.terms:
        known = {cluster.labels[label] for cluster in fleet.clusters if label in cluster.labels}
        if not known:
            labels = {name for cluster in fleet.clusters for name in cluster.labels}
            guess = closest(label, sorted(labels))
            hint = f"no cluster has a label {printable(label)}" + (f": did you mean {printable(guess)}?" if guess else "")
            break
        if not known & set(values):
            guess = closest(values[0], sorted(known)) if values else None
            hint = f"no cluster has {printable(label)} {printable(', '.join(values))}" + (
                f": did you mean {printable(guess)}?" if guess else f": there is {printable(', '.join(sorted(known)))}"
            )
            break
    return DefinitionProblem(
        slo=definition.name, message=f"SLO {definition.name} selects no cluster and measures nothing", hint=hint
    )
