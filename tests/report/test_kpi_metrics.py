"""Key figures as metrics: only what is known."""

from collections.abc import Sequence
from datetime import datetime

from report_kit import at, incident

from dbre.capabilities.report.metrics import KpiMetrics
from dbre.core.store.errors import StoreTimeout
from dbre.core.telemetry import Metrics
from dbre.ports.report_sources import IncidentFact, SloFact
from dbre.testing.clock import FakeClock


class Told:
    """Implements ``ReportSources``; None: the store does not answer."""

    facts: Sequence[IncidentFact] | None = ()

    async def incidents(self, *, since: datetime, until: datetime) -> Sequence[IncidentFact]:
        if self.facts is None:
            raise StoreTimeout("too slow")
        return [one for one in self.facts if since <= one.started_at < until]

    async def compliance(self, *, since: datetime, until: datetime) -> Sequence[SloFact]:  # noqa: ARG002 - of the protocol
        raise AssertionError("nobody asked for it")


async def test_times_are_told_once_they_are_known_and_no_longer_than_that() -> None:
    metrics, told = Metrics(version="1"), Told()
    kpis = KpiMetrics(metrics, told, FakeClock(at(48)))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"dbre_incident_{name}", labels)

    assert value("recent") is None
    await kpis.look()
    assert (value("recent"), value("mtbf_seconds"), value("mttr_seconds", statistic="mean")) == (0, None, None)
    told.facts = [
        incident("a", 1, detected=1.5, mitigated=3, resolved=3),
        incident("b", 10, detected=10.5, resolved=11),
        incident("c", 47.75),
    ]
    await kpis.look()
    assert (value("recent"), value("mtta_seconds", statistic="mean")) == (3, None)
    assert [value("mttr_seconds", statistic=one) for one in ("mean", "median", "p90")] == [5400, 5400, 7200]
    assert value("mttd_seconds", statistic="median") == 1800
    assert value("mtbf_seconds") == (30 * 24 - 2 - 1 - 0.25) * 3600 / 3
    told.facts = None
    await kpis.look()
    assert (value("recent"), value("mttr_seconds", statistic="mean")) == (None, None)
