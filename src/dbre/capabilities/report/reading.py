"""All reports of an installation, for commands and pages."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from dbre.capabilities.report.deploys import read_deploys
from dbre.capabilities.report.documents import ReportDocument
from dbre.capabilities.report.dora import Dora, dora_of
from dbre.capabilities.report.kpi import Kpis, kpis_of
from dbre.capabilities.report.metric import Metric
from dbre.capabilities.report.metrics_of import compliance_metrics, dora_metrics, kpi_metrics, toil_metrics
from dbre.capabilities.report.span import Span
from dbre.capabilities.report.toil import Toil, ToilReport, toil_of_incidents, toil_of_operations, toil_report
from dbre.capabilities.report.toil_log import read_toil
from dbre.capabilities.report.work import Work, read_work
from dbre.core.store import Store
from dbre.ports.report_sources import IncidentFact, ReportSources, SloFact

__all__ = ["LONGEST_INCIDENT", "Reports", "Rollup"]

LONGEST_INCIDENT = timedelta(days=30)
"""What began earlier, and still goes on, takes no uptime from a span."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollup:
    """Everything of a span: the numbers, the SLOs, and what to automate next."""

    span: Span
    metrics: tuple[Metric, ...]
    slos: tuple[SloFact, ...]
    toil: ToilReport


class Reports:
    """Reads and computes; keeps nothing."""

    def __init__(self, store: Store, sources: ReportSources, settings: ReportDocument) -> None:
        self._store = store
        self._sources = sources
        self._settings = settings

    async def kpis(self, span: Span, *, cluster: str | None = None) -> Kpis:
        """How fast failures were found and ended."""
        return kpis_of(await self._incidents(span), span, cluster=cluster)

    async def kpi_metrics(self, span: Span, *, cluster: str | None = None) -> list[Metric]:
        """The same as numbers, beside those of the span before."""
        before = await self.kpis(span.before, cluster=cluster)
        return kpi_metrics(await self.kpis(span, cluster=cluster), before, self._settings.targets)

    async def dora(self, span: Span, *, cluster: str | None = None) -> Dora:
        """How often databases are changed, and how well."""
        settings = self._settings
        # What follows a deployment within the limit may begin after the span.
        after = Span(since=span.since, until=span.until + settings.failing_within)
        changes = [*await self._work(after), *await self._deploys(after)]
        work = [one for one in changes if cluster in (None, one.cluster)]
        return dora_of(
            work,
            await self._incidents(after),
            span,
            kinds=settings.deployments,
            failing_within=settings.failing_within,
        )

    async def dora_metrics(self, span: Span, *, cluster: str | None = None) -> list[Metric]:
        """The same as numbers, beside those of the span before."""
        return dora_metrics(await self.dora(span, cluster=cluster), await self.dora(span.before, cluster=cluster))

    async def compliance(self, span: Span, *, cluster: str | None = None) -> Sequence[SloFact]:
        """Every SLO over the span."""
        found = await self._sources.compliance(since=span.since, until=span.until)
        return [one for one in found if cluster in (None, one.cluster)]

    async def toil_entries(self, span: Span) -> list[Toil]:
        """Every piece of work that began in the span, the oldest first: seen by dbre itself, or written down."""
        settings = self._settings.toil
        found = [
            *toil_of_operations(await self._work(span), most=settings.operation_limit),
            *toil_of_incidents(await self._incidents(span), most=settings.incident_limit),
            *await read_toil(self._store, span),
        ]
        return sorted((one for one in found if span.holds(one.started_at)), key=lambda one: (one.started_at, one.id))

    async def toil(self, span: Span) -> ToilReport:
        """How much work is toil, and what to automate first."""
        settings = self._settings.toil
        return toil_report(
            await self.toil_entries(Span(since=span.before.since, until=span.until)),
            span,
            people=settings.people,
            weekly_hours=float(settings.weekly_hours),
            cap_ratio=float(settings.cap),
        )

    async def rollup(self, span: Span) -> Rollup:
        """Everything of a span."""
        slos, toil = await self.compliance(span), await self.toil(span)
        metrics = [
            *await self.kpi_metrics(span),
            *await self.dora_metrics(span),
            *compliance_metrics(slos, self._settings.targets),
            *toil_metrics(toil, self._settings.targets),
        ]
        return Rollup(span=span, metrics=tuple(metrics), slos=tuple(slos), toil=toil)

    async def _incidents(self, span: Span) -> Sequence[IncidentFact]:
        return await self._sources.incidents(since=span.since - LONGEST_INCIDENT, until=span.until)

    async def _deploys(self, span: Span) -> Sequence[Work]:
        async with self._store.read() as connection:
            return await read_deploys(connection, span)

    async def _work(self, span: Span) -> Sequence[Work]:
        async with self._store.read() as connection:
            return await read_work(connection, span)
