"""Metrics of exposure; what is unknown is absent, and never 0."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.backup.exposure.watch import ExposureWatch
from dbre.core.telemetry import Metrics

__all__ = ["ExposureMetrics"]


class ExposureMetrics(Collector):
    """What an ``ExposureWatch`` saw last."""

    def __init__(self, metrics: Metrics, watch: ExposureWatch) -> None:
        self._watch = watch
        metrics.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry; from memory."""
        labels = ["cluster", "tier"]
        seconds = GaugeMetricFamily(
            "dbre_backup_exposure_seconds", "Age of the oldest change that would be lost; absent while unknown.", labels=labels
        )
        size = GaugeMetricFamily("dbre_backup_exposure_bytes", "Log that would be lost; absent while unknown.", labels=labels)
        objective = GaugeMetricFamily(
            "dbre_backup_recovery_point_objective_seconds", "What the policy allows to be exposed.", labels=["cluster"]
        )
        latest = self._watch.latest()
        for name, limit in self._watch.limits.items():
            objective.add_metric([name], limit)
            found = latest.get(name)
            rows = [] if found is None else [("best", found.seconds, found.bytes)]
            rows += [] if found is None else [(one.tier.value, one.seconds, one.bytes) for one in found.tiers]
            for tier, age, count in rows:
                if age is not None:
                    seconds.add_metric([name, tier], age)
                if count is not None:
                    size.add_metric([name, tier], count)
        yield from (seconds, size, objective)
