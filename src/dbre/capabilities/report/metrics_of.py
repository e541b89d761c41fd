"""Reports as lists of numbers: the same for tables, JSON, Markdown and Prometheus."""

from collections.abc import Sequence

from dbre.capabilities.report.documents import TargetsDocument
from dbre.capabilities.report.dora import Dora
from dbre.capabilities.report.kpi import Kpis
from dbre.capabilities.report.metric import Metric, Unit
from dbre.capabilities.report.statistics import Summary, trend_of
from dbre.capabilities.report.toil import ToilReport
from dbre.ports.report_sources import SloFact

__all__ = ["compliance_metrics", "dora_metrics", "kpi_metrics", "toil_metrics"]

_YEAR_SECONDS = 360 * 86_400


def _mean(name: str, title: str, now: Summary | None, before: Summary | None, *, target: float | None = None) -> Metric:
    return Metric(
        name=name,
        title=title,
        unit=Unit.SECONDS,
        value=None if now is None else now.mean,
        summary=now,
        before=None if before is None else before.mean,
        trend=trend_of(now, before),
        target=target,
    )


def kpi_metrics(now: Kpis, before: Kpis, targets: TargetsDocument) -> list[Metric]:
    """How fast failures were found and ended. A trend is said only where the intervals of both means are apart."""
    between = now.between_failures_seconds
    note = "" if now.incidents else f"no failure: at least {now.span.seconds:.0f} s"
    return [
        Metric(name="incidents", title="incidents", unit=Unit.COUNT, value=now.incidents, before=before.incidents),
        Metric(name="incidents_unresolved", title="not resolved yet", unit=Unit.COUNT, value=now.unresolved),
        _mean("mttd_seconds", "time to detect", now.to_detect, before.to_detect),
        _mean("mtta_seconds", "time to acknowledge", now.to_acknowledge, before.to_acknowledge),
        _mean("mttm_seconds", "time to mitigate", now.to_mitigate, before.to_mitigate),
        _mean("mttr_seconds", "time to resolve", now.to_resolve, before.to_resolve, target=targets.to_resolve.total_seconds()),
        _mean("mttr_from_detection_seconds", "detection to resolution", now.detect_to_resolve, before.detect_to_resolve),
        Metric(
            name="mtbf_seconds",
            title="time between failures",
            unit=Unit.SECONDS,
            value=between,
            before=before.between_failures_seconds,
            target=targets.between_failures.total_seconds(),
            is_floor=True,
            note=note,
        ),
        Metric(
            name="availability_by_incidents_ratio",
            title="MTBF / (MTBF + MTTR)",
            unit=Unit.RATIO,
            value=now.availability_ratio,
            before=before.availability_ratio,
        ),
    ]


def dora_metrics(now: Dora, before: Dora) -> list[Metric]:
    """The numbers of changes."""

    def ratio(name: str, title: str, value: float | None, earlier: float | None) -> Metric:
        return Metric(name=name, title=title, unit=Unit.RATIO, value=value, before=earlier)

    return [
        Metric(name="deployments", title="deployments", unit=Unit.COUNT, value=now.deployments, before=before.deployments),
        Metric(
            name="deployments_per_week",
            title="deployment frequency",
            unit=Unit.PER_WEEK,
            value=now.per_week,
            before=before.per_week,
        ),
        _mean("deployment_lead_seconds", "lead time, plan to verified", now.lead_seconds, before.lead_seconds),
        ratio("deployment_failure_ratio", "change failure rate", now.failure_ratio, before.failure_ratio),
        _mean("deployment_recovery_seconds", "failed deployment recovery", now.recovery_seconds, before.recovery_seconds),
        ratio("deployment_rework_ratio", "rework rate", now.rework_ratio, before.rework_ratio),
    ]


def compliance_metrics(now: Sequence[SloFact], targets: TargetsDocument) -> list[Metric]:
    """How many SLOs were met over the span, and how fast the worst one burned."""
    known = [one for one in now if one.is_met is not None]
    rates = [float(one.burn_rate) for one in known if one.burn_rate is not None]
    return [
        Metric(name="slos_measured", title="SLOs with events", unit=Unit.COUNT, value=len(known)),
        Metric(
            name="slo_compliance_ratio",
            title="SLOs met",
            unit=Unit.RATIO,
            value=sum(bool(one.is_met) for one in known) / len(known) if known else None,
            target=float(targets.compliance),
            is_floor=True,
        ),
        Metric(
            name="slo_largest_burn_rate",
            title="largest burn rate",
            unit=Unit.FACTOR,
            value=max(rates, default=None),
            target=float(targets.burn_rate),
        ),
    ]


def toil_metrics(now: ToilReport, targets: TargetsDocument) -> list[Metric]:
    """How much work is toil. What a year is to change is aimed at only where the span is about a year."""
    is_year = now.span.seconds >= _YEAR_SECONDS
    return [
        Metric(
            name="toil_seconds",
            title="toil",
            unit=Unit.SECONDS,
            value=now.active_seconds,
            before=now.before_seconds,
        ),
        Metric(
            name="toil_hours_per_person_week",
            title="toil a person and week",
            unit=Unit.HOURS,
            value=now.hours_per_person_week,
        ),
        Metric(name="toil_ratio", title="toil of the working week", unit=Unit.RATIO, value=now.ratio, target=now.cap_ratio),
        Metric(
            name="toil_change_ratio",
            title="toil against the span before",
            unit=Unit.RATIO,
            value=now.change_ratio,
            target=float(targets.toil_change) if is_year else None,
        ),
        Metric(name="toil_interruptions", title="interruptions", unit=Unit.COUNT, value=now.interruptions),
    ]
