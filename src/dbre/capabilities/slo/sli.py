"""What an SLI counts as good: from one probe observation to one event."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum

from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.sources import (
    EventSource,
    ProbeSource,
    PrometheusSource,
    RecoveryPointSource,
    ServiceSource,
    SliSource,
    SourceKind,
    SqlSource,
)
from dbre.core.fleet import EndpointPurpose
from dbre.core.units import format_duration
from dbre.ports.probe import Outcome, ProbeObservation

__all__ = ["Sli", "SliKind", "classify"]

_PROBES = ProbeSource()
_GOOD, _BAD, _MISSED, _EXCLUDED = Counts(good=1), Counts(bad=1), Counts(missed=1), Counts(excluded=1)


class SliKind(StrEnum):
    """What is measured."""

    AVAILABILITY = "availability"
    LATENCY = "latency"
    FRESHNESS = "freshness"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sli:
    """One service level indicator; ``limit_ms`` is the latency threshold or the greatest age of data."""

    kind: SliKind
    purpose: EndpointPurpose = EndpointPurpose.WRITE  # whose probes are counted; means nothing for other sources
    limit_ms: int | None = None  # None: availability
    source: SliSource = _PROBES

    @property
    def is_probed(self) -> bool:
        """Whether our own probes measure it."""
        return self.source.kind is SourceKind.PROBE

    @property
    def is_grouped(self) -> bool:
        """Whether its events come in groups, each of which is an instance of its own."""
        match self.source:
            case EventSource(group_attribute=name) | PrometheusSource(group_label=name):
                return name is not None
            case _:
                return False

    def interval_ms(self, probe_interval_ms: int) -> int:
        """How far apart its events are; 0: they come when they come."""
        match self.source:
            case ProbeSource():
                return probe_interval_ms
            case SqlSource(interval_seconds=seconds):
                return seconds * 1000
            case _:
                return 0

    def as_document(self) -> dict[str, object]:
        """What is counted, in plain values."""
        if self.is_probed:
            return {"kind": self.kind, "purpose": self.purpose, "limit_ms": self.limit_ms}
        return {"kind": self.kind, "limit_ms": self.limit_ms, "source": self.source.as_document()}

    @property
    def hash(self) -> str:
        """Identity of what is counted: slots of different hashes are never added up."""
        return hashlib.sha256(json.dumps(self.as_document(), sort_keys=True).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        limit = format_duration((self.limit_ms or 0) / 1000)
        match self.source:
            case EventSource():
                return f"requests succeed within {limit}" if self.kind is SliKind.LATENCY else "requests succeed"
            case PrometheusSource(prometheus=name):
                return f"events counted by Prometheus {name} are good"
            case SqlSource(limit=None):
                return "what a query counts is good"
            case SqlSource(limit=value):
                return f"the value of a query is at most {value:g}"
            case ServiceSource(service=name):
                return f"checks of {name} succeed"
            case RecoveryPointSource(limit_seconds=seconds):
                return f"at most {format_duration(seconds)} of changes would be lost"
        match self.kind:
            case SliKind.AVAILABILITY:
                return f"{self.purpose} probes succeed"
            case SliKind.LATENCY:
                return f"{self.purpose} probes succeed within {limit}"
            case SliKind.FRESHNESS:
                return f"replica data is at most {limit} old"


def classify(sli: Sli, observation: ProbeObservation) -> Counts:
    """The event that an observation is for an SLI: exactly one of good, bad, missed, excluded; nothing for other purposes.

    A bad probe is a bad event of every kind: a database that does not answer is neither fast nor fresh. A limit is met
    up to and including its value. A good probe of unknown age (the prober has just started and cannot date the
    heartbeat) says nothing about freshness: missed, unless the heartbeat is older than the limit whatever its age is.
    """
    if observation.purpose is not sli.purpose:
        return Counts()
    if observation.outcome is Outcome.MISSED:
        return _MISSED
    if observation.outcome is Outcome.EXCLUDED:
        return _EXCLUDED
    if observation.outcome is Outcome.BAD or sli.limit_ms is None:
        return _BAD if observation.outcome is Outcome.BAD else _GOOD
    seconds = observation.latency_seconds if sli.kind is SliKind.LATENCY else observation.staleness_seconds
    least = observation.least_staleness_seconds if sli.kind is SliKind.FRESHNESS else None
    if seconds is None and least is not None and least * 1000 > sli.limit_ms:
        return _BAD
    if seconds is None or not seconds >= 0:  # NaN and negative values were not measured either
        return _MISSED
    return _GOOD if seconds * 1_000_000 < sli.limit_ms * 1000 + 0.5 else _BAD  # to the microsecond; infinity is bad
