"""How fast failures were found and ended, and how far they lie apart."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbre.capabilities.report.span import Span, covered
from dbre.capabilities.report.statistics import Summary, summarize
from dbre.ports.report_sources import IncidentFact

__all__ = ["Kpis", "kpis_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpis:
    """Of the incidents that began in a span. Durations in seconds; None: no incident came so far."""

    span: Span
    cluster: str | None  # None: the whole fleet
    incidents: int
    unresolved: int
    by_severity: Mapping[str, int]
    to_detect: Summary | None  # detected - started
    to_acknowledge: Summary | None  # acknowledged - detected
    to_mitigate: Summary | None  # mitigated - started
    to_resolve: Summary | None  # resolved - started
    detect_to_resolve: Summary | None  # resolved - detected
    impact_seconds: float  # of the span in which at least one incident went on

    @property
    def uptime_seconds(self) -> float:
        """The span without the time in which an incident went on."""
        return self.span.seconds - self.impact_seconds

    @property
    def between_failures_seconds(self) -> float | None:
        """MTBF: uptime by failures. None without any failure: it is then at least the whole span, and nobody knows more."""
        return self.uptime_seconds / self.incidents if self.incidents else None

    @property
    def availability_ratio(self) -> float | None:
        """MTBF by MTBF and MTTR: a check against the SLOs, which measure it."""
        between = self.between_failures_seconds
        if between is None or self.to_resolve is None or not between + self.to_resolve.mean:
            return None
        return between / (between + self.to_resolve.mean)


_Moment = Callable[[IncidentFact], datetime | None]


def kpis_of(facts: Sequence[IncidentFact], span: Span, *, cluster: str | None = None) -> Kpis:
    """The numbers of a span. ``facts`` may hold older incidents too: what of them lies in the span is no uptime.

    A moment before the one that it is measured from (clocks differ; a person set it wrong) counts as the same moment.
    """
    mine = [one for one in facts if cluster is None or cluster in (one.cluster, *one.clusters)]
    began = [one for one in mine if span.holds(one.started_at)]
    return Kpis(
        span=span,
        cluster=cluster,
        incidents=len(began),
        unresolved=sum(one.resolved_at is None for one in began),
        by_severity=dict(sorted(Counter(one.severity for one in began).items())),
        to_detect=_summary(began, lambda one: one.started_at, lambda one: one.detected_at),
        to_acknowledge=_summary(began, lambda one: one.detected_at, lambda one: one.acknowledged_at),
        to_mitigate=_summary(began, lambda one: one.started_at, lambda one: one.mitigated_at),
        to_resolve=_summary(began, lambda one: one.started_at, lambda one: one.resolved_at),
        detect_to_resolve=_summary(began, lambda one: one.detected_at, lambda one: one.resolved_at),
        impact_seconds=covered(((one.started_at, _ended(one) or span.until) for one in mine), span),
    )


def _ended(one: IncidentFact) -> datetime | None:
    """When users suffered no more."""
    moments = [moment for moment in (one.mitigated_at, one.resolved_at) if moment is not None]
    return min(moments, default=None)


def _summary(facts: Sequence[IncidentFact], start: _Moment, end: _Moment) -> Summary | None:
    pairs = ((start(one), end(one)) for one in facts)
    return summarize(max((stop - begin).total_seconds(), 0.0) for begin, stop in pairs if begin and stop)
