"""Indicators of OpenSLO as ours: counters of a Prometheus, or a query of SQL with a limit."""

from dbre.capabilities.slo.interop.model import Defaults, Findings
from dbre.capabilities.slo.interop.openslo_basics import Metric
from dbre.capabilities.slo.interop.openslo_documents import Objective
from dbre.capabilities.slo.interop.openslo_indicator import IndicatorSpec, RatioMetric
from dbre.capabilities.slo.interop.promql import bad_expression, counter_of
from dbre.core.config.problems import Place

__all__ = ["sli_of"]

_PROMETHEUS = ("prometheus", "promql", "thanos", "mimir", "cortex", "victoriametrics")
_SQL = ("postgresql", "postgres", "mysql", "mariadb", "sql")


def sli_of(
    name: str, spec: IndicatorSpec, objective: Objective, place: Place, defaults: Defaults, findings: Findings
) -> dict[str, object] | None:
    """The SLI of an objective, or None where it cannot be carried over (it is noted)."""
    if spec.ratioMetric is not None:
        if objective.op is not None or objective.value is not None:
            findings.lose(place, f"{name}: op and value mean nothing for a ratio, and are left out")
        return _ratio(name, spec.ratioMetric, place, defaults, findings)
    if spec.thresholdMetric is None:
        return None
    if objective.op is None or objective.value is None:
        findings.refuse(place, f"{name}: an objective of a thresholdMetric has op and value", "write op: lte, value: 200")
        return None
    return _threshold(name, spec.thresholdMetric, objective, place, findings)


def _is(metric: Metric, kinds: tuple[str, ...]) -> bool:
    words = (metric.type or metric.server or "").lower()
    return any(one in words for one in kinds)


def _ratio(name: str, ratio: RatioMetric, place: Place, defaults: Defaults, findings: Findings) -> dict[str, object] | None:
    part, total = ratio.bad or ratio.good, ratio.total
    if part is None or total is None:
        hint = "give queries for good and total"
        findings.lose(place, f"{name}: a raw ratio counts no events", hint, is_whole=True)
        return None
    if not (_is(part, _PROMETHEUS) and _is(total, _PROMETHEUS)) or part.query is None or total.query is None:
        source = part.type or part.server or "unknown"
        findings.lose(
            place,
            f"{name}: its data source is {source}, and events are counted from a Prometheus, OpenTelemetry, SQL or the API",
            "write an SLI by hand: sli.kind prometheus, events or sql",
            is_whole=True,
        )
        return None
    if not ratio.counter:
        findings.lose(place, f"{name}: counter is not true; its queries are taken for counters all the same")
    whole = counter_of(total.query)
    bad = counter_of(part.query) if ratio.bad else bad_expression(part.query, total.query)
    if whole is None or bad is None:
        what = "total" if whole is None else "bad" if ratio.bad else "good"
        findings.lose(
            place,
            f"{name}: the query of {what} is more than the sum of one selector's counters",
            "write counters alone under sli.bad and sli.total; dbre sums their increases",
            is_whole=True,
        )
        return None
    return {"kind": "prometheus", "server": _server(part, defaults), "bad": bad, "total": whole}


def _server(metric: Metric, defaults: Defaults) -> str:
    return metric.server or defaults.server


def _threshold(name: str, metric: Metric, objective: Objective, place: Place, findings: Findings) -> dict[str, object] | None:
    if not _is(metric, _SQL) or metric.query is None:
        source = metric.type or metric.server or "unknown"
        findings.lose(
            place,
            f"{name}: a value of the data source {source} is compared with a threshold, and only SQL gives values here",
            "write an SLI by hand: counters of a histogram (sli.kind prometheus), or sli.kind sql",
            is_whole=True,
        )
        return None
    if objective.op not in ("lte", "lt"):
        findings.lose(
            place,
            f"{name}: values are good at or below a limit, not {objective.op}",
            "turn the sign in the query",
            is_whole=True,
        )
        return None
    if objective.op == "lt":
        findings.lose(place, f"{name}: a value of exactly {objective.value} is good here")
    return {"kind": "sql", "query": metric.query, "limit": float(objective.value or 0)}
