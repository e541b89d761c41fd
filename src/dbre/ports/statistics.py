"""Facet ``statistics``: counters and gauges of a server, in the names that existing dashboards use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeVar

from dbre.core.errors import UsageError
from dbre.core.text import closest, quoted

__all__ = ["Collector", "MetricFamily", "MetricKind", "Sample", "StatisticsPort", "find_collector"]

Found = TypeVar("Found")


class MetricKind(StrEnum):
    """Prometheus types that a database server gives."""

    COUNTER = "counter"
    GAUGE = "gauge"
    UNKNOWN = "unknown"  # cumulative, but dashboards know it by a name without _total


@dataclass(frozen=True, slots=True)
class Sample:
    """One value with its labels; label values are hostile text, and never query text."""

    value: float
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFamily:
    """All samples of one metric; ``name`` without the ``_total`` that OpenMetrics adds to counters."""

    name: str
    kind: MetricKind
    help: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """One group of metrics that is read together."""

    name: str  # database, replication, checkpointer, ...
    interval_seconds: float


class StatisticsPort(Protocol):
    """Counters and gauges of a server."""

    async def collectors(self) -> Sequence[Collector]:
        """The collectors that this server's version and our privileges allow."""
        ...

    async def collect(self, collector: str) -> Sequence[MetricFamily]:
        """Run one collector. Raises as every facet does; the exporter reports the failure as a metric."""
        ...


def find_collector(name: str, known: Mapping[str, Found]) -> Found:
    """What an engine keeps under the name of a collector. Raises: UsageError with a did-you-mean."""
    if name in known:
        return known[name]
    near = closest(name, known)
    raise UsageError(
        f"there is no collector {quoted(name, limit=100)}",
        hint=f"did you mean {near}?" if near else f"known are {', '.join(known)}",
    )
