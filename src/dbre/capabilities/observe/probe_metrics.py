"""The prober's own metrics: what the slots brought, and how punctual the prober was."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from dbre.capabilities.observe.cleaning import clean_label_value
from dbre.capabilities.observe.exposition import Exposition, Source
from dbre.ports.probe import Outcome, ProbeObservation

__all__ = ["ProbeMetrics"]

_LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
_LAG_EVERY = 20  # one rendering of the process-wide histogram a so many slots


@dataclass(slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        sums, reached = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            reached += count
            sums.append((bound, float(reached)))
        return sums


@dataclass(slots=True)
class _Endpoint:
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    latency: _Histogram = field(default_factory=lambda: _Histogram(_LATENCY_BOUNDS))


class ProbeMetrics:
    """Counts slots by endpoint and outcome, and keeps them ready in an exposition."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._endpoints: dict[tuple[str, str], _Endpoint] = {}
        self._lag = _Histogram(_LAG_BOUNDS)
        self._lags = 0
        self._steps = 0
        self._stalls = 0.0

    def record(self, observation: ProbeObservation) -> None:
        """Count one slot."""
        key = (clean_label_value(observation.cluster), str(observation.purpose))
        endpoint = self._endpoints.setdefault(key, _Endpoint())
        endpoint.outcomes[observation.outcome] += 1
        if observation.latency_seconds is not None:
            endpoint.latency.add(observation.latency_seconds)
        results = CounterMetricFamily(
            "dbre_probe_results", "Scheduled slots by what they brought.", labels=["cluster", "purpose", "outcome"]
        )
        for outcome in Outcome:
            results.add_metric([*key, str(outcome)], endpoint.outcomes[outcome])
        latency = HistogramMetricFamily(
            "dbre_probe_latency_seconds", "From the scheduled moment to a good answer.", labels=["cluster", "purpose"]
        )
        latency.add_metric([*key], endpoint.latency.buckets(), sum_value=endpoint.latency.total)
        self._exposition.put(Source("/".join(key), "probe"), [results, latency])
        self._put_state(observation, key)

    def record_lag(self, seconds: float) -> None:
        """Note how late a slot began: the prober's own fault, whatever the databases do."""
        self._lag.add(max(seconds, 0.0))
        self._lags += 1
        if self._lags % _LAG_EVERY == 1:
            self._put_own()

    def record_step(self) -> None:
        """Note that the wall clock was set."""
        self._steps += 1
        self._put_own()

    def record_stall(self, seconds: float) -> None:
        """Note that the prober did not run for a while."""
        self._stalls += seconds
        self._put_own()

    def _put_state(self, observation: ProbeObservation, key: tuple[str, str]) -> None:
        source = Source("/".join(key), "state")
        families: list[Metric] = []
        if observation.outcome is not Outcome.MISSED:
            is_good = GaugeMetricFamily(
                "dbre_probe_success", "1: the last slot was good; 0: bad or excluded.", labels=["cluster", "purpose"]
            )
            is_good.add_metric([*key], float(observation.outcome is Outcome.GOOD))
            families.append(is_good)
        if observation.staleness_seconds is not None:
            staleness = GaugeMetricFamily(
                "dbre_probe_staleness_seconds", "Age of the newest heartbeat on a replica.", labels=["cluster", "purpose"]
            )
            staleness.add_metric([*key], observation.staleness_seconds)
            families.append(staleness)
        self._exposition.put(source, families, lifetime_seconds=2 * observation.interval_seconds)

    def _put_own(self) -> None:
        lag = HistogramMetricFamily("dbre_probe_schedule_lag_seconds", "How late slots began.")
        lag.add_metric([], self._lag.buckets(), sum_value=self._lag.total)
        steps = CounterMetricFamily("dbre_probe_clock_steps", "Times that the wall clock was set.", value=self._steps)
        stalls = CounterMetricFamily(
            "dbre_probe_stalled_seconds", "Time in which the prober itself did not run.", value=self._stalls
        )
        self._exposition.put(Source("prober", "own"), [lag, steps, stalls])
