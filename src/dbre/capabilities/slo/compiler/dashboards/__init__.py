"""Dashboards of Grafana over the metrics of dbre and the rules that it compiles."""

from collections.abc import Iterable

from dbre.capabilities.slo.compiler.dashboards.database_dashboards import DATABASES
from dbre.capabilities.slo.compiler.dashboards.grafana import Dashboard
from dbre.capabilities.slo.compiler.dashboards.slo_dashboards import FLEET, INCIDENTS, ITSELF, SLO

__all__ = ["Dashboard", "dashboards"]


def dashboards(engines: Iterable[str]) -> tuple[Dashboard, ...]:
    """All of them; of databases those of the given engines that have one."""
    return (FLEET, SLO, INCIDENTS, ITSELF, *(DATABASES[engine] for engine in sorted(set(engines)) if engine in DATABASES))
