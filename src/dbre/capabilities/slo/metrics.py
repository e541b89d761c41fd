"""SLOs as metrics, for dashboards and rules outside dbre. Labels are ``slo``, ``cluster`` and ``window`` or ``rule``.

An instance that is a group of an SLO also has the label ``group``.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.slo.alert_rules import compact_duration
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.engine import SloEngine
from dbre.capabilities.slo.model import SloStatus
from dbre.core.clock import Clock
from dbre.core.telemetry import Metrics

__all__ = ["SloMetrics"]

_EVALUATION_BOUNDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10)
_LABELS = ("slo", "cluster")


class SloMetrics(Collector):
    """The state of every SLO instance as of the last look; ``run`` looks again in each evaluation interval."""

    def __init__(self, metrics: Metrics, engine: SloEngine) -> None:
        self._engine = engine
        self._statuses: Sequence[SloStatus] = ()
        evaluations = metrics.histogram(
            "slo_evaluation_seconds", "Deciding all alerts once, with the writing of what changed.", buckets=_EVALUATION_BOUNDS
        )
        engine.evaluation_observer = evaluations.observe
        metrics.registry.register(self)

    async def run(self, clock: Clock, interval: timedelta) -> None:
        """Look until cancelled."""
        while True:
            if self._engine.health.is_started:  # before that, budgets would look untouched and alerts resolved
                self._statuses = await self._engine.status()
            await clock.sleep(interval.total_seconds())

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry; from memory."""
        health = self._engine.health
        yield GaugeMetricFamily("dbre_slo_unsaved_events", "Observations that are only in memory.", health.unsaved_events)
        lost = "Observations given up because the store was away for longer than memory lasts."
        yield CounterMetricFamily("dbre_slo_lost_events", lost, health.lost_events)
        yield from _totals(self._engine.seen())
        yield from _states(self._statuses)


def _totals(seen: Sequence[tuple[SloInstance, Counts]]) -> Iterator[Metric]:
    good = CounterMetricFamily("dbre_slo_good", "Good events since this process started.", labels=_LABELS)
    bad = CounterMetricFamily("dbre_slo_bad", "Bad events since this process started.", labels=_LABELS)
    for one, counts in seen:
        key = _key(one.definition.name, one.cluster.name, one.group)
        good.add_sample("dbre_slo_good_total", key, counts.good)
        bad.add_sample("dbre_slo_bad_total", key, counts.bad)
    yield good
    yield bad


def _key(slo: str, cluster: str, group: str) -> dict[str, str]:
    return {"slo": slo, "cluster": cluster, "group": group} if group else {"slo": slo, "cluster": cluster}


def _states(statuses: Sequence[SloStatus]) -> Iterator[Metric]:
    objective = GaugeMetricFamily("dbre_slo_objective_ratio", "What is promised.", labels=_LABELS)
    sli = GaugeMetricFamily("dbre_slo_sli_ratio", "Good events of valid events over the SLO's window.", labels=_LABELS)
    remaining = GaugeMetricFamily(
        "dbre_slo_budget_remaining_ratio", "Part of the error budget that is left; below 0: overspent.", labels=_LABELS
    )
    rate = GaugeMetricFamily(
        "dbre_slo_burn_rate", "How many times too fast the budget is spent; absent: no event.", labels=[*_LABELS, "window"]
    )
    firing = GaugeMetricFamily(
        "dbre_slo_alert_firing", "1 from the moment an alert fires until it is resolved.", labels=[*_LABELS, "rule"]
    )
    for one in statuses:
        key = _key(one.name, one.cluster, one.group)
        objective.add_sample(objective.name, key, float(one.objective))
        remaining.add_sample(remaining.name, key, float(one.budget.remaining_ratio))
        if one.ratio is not None:
            sli.add_sample(sli.name, key, float(one.ratio))
        for reading in one.burn_rates:
            if reading.rate is not None:
                window = compact_duration(reading.window_seconds)
                rate.add_sample(rate.name, {**key, "window": window}, float(reading.rate))
        active = {alert.rule for alert in one.active_alerts}
        for alert in one.alerts:
            firing.add_sample(firing.name, {**key, "rule": alert.rule}, float(alert.rule in active))
    yield from (objective, sli, remaining, rate, firing)
