"""Key figures of incidents as metrics, for dashboards: of the last 30 days, and only what is known."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dbre.capabilities.report.kpi import Kpis, kpis_of
from dbre.capabilities.report.reading import LONGEST_INCIDENT
from dbre.capabilities.report.span import Span
from dbre.capabilities.report.statistics import Summary
from dbre.core.clock import Clock
from dbre.core.errors import StoreError
from dbre.core.telemetry import Metrics
from dbre.ports.report_sources import ReportSources

__all__ = ["KpiMetrics"]

_LOOK_SECONDS = 60.0
_SPAN = timedelta(days=30)
_STATISTIC = ("statistic",)


class KpiMetrics(Collector):
    """``run`` reads and computes once a minute. What is undefined is absent: no incident has no time to resolve."""

    def __init__(self, metrics: Metrics, sources: ReportSources, clock: Clock) -> None:
        self._sources, self._clock = sources, clock
        self._kpis: Kpis | None = None
        metrics.registry.register(self)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Read and compute now."""
        now = self._clock.now()
        span = Span(since=now - _SPAN, until=now)
        try:
            facts = await self._sources.incidents(since=span.since - LONGEST_INCIDENT, until=now)
        except StoreError:
            self._kpis = None  # the store's own metrics tell of it; an old number would lie
            return
        self._kpis = await asyncio.to_thread(kpis_of, facts, span)  # resamples, which may take a while

    def collect(self) -> Iterator[Metric]:
        """The families, for the registry; from memory."""
        detect = GaugeMetricFamily("dbre_incident_mttd_seconds", "Started to detected, over 30 days.", labels=_STATISTIC)
        acknowledge = GaugeMetricFamily(
            "dbre_incident_mtta_seconds", "Detected to acknowledged, over 30 days.", labels=_STATISTIC
        )
        mitigate = GaugeMetricFamily("dbre_incident_mttm_seconds", "Started to mitigated, over 30 days.", labels=_STATISTIC)
        resolve = GaugeMetricFamily("dbre_incident_mttr_seconds", "Started to resolved, over 30 days.", labels=_STATISTIC)
        between = GaugeMetricFamily("dbre_incident_mtbf_seconds", "Time without an incident by incidents, over 30 days.")
        began = GaugeMetricFamily("dbre_incident_recent", "Incidents that began in the last 30 days.")
        if (found := self._kpis) is not None:
            _add(detect, found.to_detect)
            _add(acknowledge, found.to_acknowledge)
            _add(mitigate, found.to_mitigate)
            _add(resolve, found.to_resolve)
            began.add_metric([], found.incidents)
            if found.between_failures_seconds is not None:
                between.add_metric([], found.between_failures_seconds)
        yield from (detect, acknowledge, mitigate, resolve, between, began)


def _add(family: GaugeMetricFamily, summary: Summary | None) -> None:
    if summary is not None:
        for statistic, value in (("mean", summary.mean), ("median", summary.median), ("p90", summary.p90)):
            family.add_metric([statistic], value)
