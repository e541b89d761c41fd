"""The fleet, one SLO, incidents, and dbre itself."""

from dbre.capabilities.slo.compiler.dashboards.grafana import Dashboard, Panel, PanelKind, Query, Row, Variable

__all__ = ["FLEET", "INCIDENTS", "ITSELF", "SLO"]

_STAT, _TABLE = PanelKind.STAT, PanelKind.TABLE
_CLUSTER = Variable(name="cluster", label="Cluster", query="label_values(dbre_slo_objective_ratio, cluster)")
_SLO = Variable(name="slo", label="SLO", query="label_values(dbre_slo_objective_ratio, slo)")
_HERE = 'cluster=~"$cluster"'
_THIS = 'slo=~"$slo", cluster=~"$cluster"'
_NOT_GOOD = f'{_HERE}, outcome!="good"'
_FIRING = f"max by (slo, cluster, group, rule) (dbre_slo_alert_firing{{{_HERE}}})"
_OPEN = 'state=~"detected|declared|investigating|identified|mitigated|monitoring"'
_BUDGET = ((float("-1e9"), "red"), (0.0, "orange"), (0.25, "yellow"), (0.5, "green"))
_NAMED = "{{slo}} on {{cluster}} {{group}}"


def _stat(title: str, expression: str, *, unit: str = "short", limits: tuple[tuple[float, str], ...] = ((1, "red"),)) -> Panel:
    return Panel(
        title=title, queries=[Query(expression=expression)], kind=_STAT, unit=unit, width=4, height=4, thresholds=limits
    )


def _graph(title: str, *queries: tuple[str, str], unit: str = "short", width: int = 12, meaning: str = "") -> Panel:
    return Panel(
        title=title,
        queries=[Query(expression=expression, legend=legend) for expression, legend in queries],
        unit=unit,
        width=width,
        meaning=meaning,
        minimum=0 if unit in ("s", "bytes", "ops", "reqps") else None,
    )


def _slowest(metric: str, *by: str, labels: str = "") -> str:
    """The 99th percentile of a histogram."""
    reach = f"{metric}_bucket{{{labels}}}" if labels else f"{metric}_bucket"
    return f"histogram_quantile(0.99, sum by ({', '.join(('le', *by))}) (rate({reach}[$__rate_interval])))"


FLEET = Dashboard(
    id="fleet",
    title="dbre: fleet",
    meaning="Which servers answer, which budgets are spent, and what fires.",
    tags=("fleet",),
    variables=(_CLUSTER,),
    rows=(
        Row(
            title="Now",
            panels=(
                _stat("Servers down", f"count(dbre_up{{{_HERE}}} == 0) or vector(0)"),
                _stat("Failing probes", f"count(dbre_probe_success{{{_HERE}}} == 0) or vector(0)"),
                _stat("Alerts firing", f"count(dbre_slo_alert_firing{{{_HERE}}} == 1) or vector(0)"),
                _stat("Budgets exhausted", f"count(dbre_slo_budget_remaining_ratio{{{_HERE}}} <= 0) or vector(0)"),
                _stat("Operations waiting", 'sum(dbre_operations{held="true"}) or vector(0)', limits=((1, "yellow"),)),
                _stat("Services down", "count(dbre_stack_service_up == 0) or vector(0)"),
            ),
        ),
        Row(
            title="Budgets",
            panels=(
                Panel(
                    title="Least budget left",
                    queries=[Query(expression=f"bottomk(15, dbre_slo_budget_remaining_ratio{{{_HERE}}})", legend=_NAMED)],
                    kind=_TABLE,
                    unit="percentunit",
                    thresholds=_BUDGET,
                    meaning="Part of the error budget of the SLO's window that is left; below 0: overspent.",
                ),
                _graph("Budget left", (f"dbre_slo_budget_remaining_ratio{{{_HERE}}}", _NAMED), unit="percentunit"),
                _graph("Burn rate over 1 h", (f'topk(10, dbre_slo_burn_rate{{{_HERE}, window="1h"}})', _NAMED)),
                _graph("Alerts", (f"sum by (cluster, rule) (dbre_slo_alert_firing{{{_HERE}}})", "{{rule}} on {{cluster}}")),
            ),
        ),
        Row(
            title="Probes",
            panels=(
                _graph(
                    "Latency, 99th percentile",
                    (
                        _slowest("dbre_probe_latency_seconds", "cluster", "purpose", labels=_HERE),
                        "{{cluster}} {{purpose}}",
                    ),
                    unit="s",
                ),
                _graph(
                    "Probes that were not good",
                    (
                        f"sum by (cluster, outcome) (rate(dbre_probe_results_total{{{_NOT_GOOD}}}[$__rate_interval]))",
                        "{{cluster}} {{outcome}}",
                    ),
                    unit="ops",
                ),
                _graph("Age of replica data", (f"dbre_probe_staleness_seconds{{{_HERE}}}", "{{cluster}}"), unit="s"),
            ),
        ),
    ),
)

SLO = Dashboard(
    id="slo",
    title="dbre: SLO",
    meaning="One SLO: what was promised, what is left of it, how fast it burns.",
    tags=("slo",),
    variables=(_SLO, _CLUSTER),
    rows=(
        Row(
            title="Now",
            panels=(
                _stat("Objective", f"dbre_slo_objective_ratio{{{_THIS}}}", unit="percentunit", limits=()),
                _stat("SLI", f"dbre_slo_sli_ratio{{{_THIS}}}", unit="percentunit", limits=()),
                _stat("Budget left", f"dbre_slo_budget_remaining_ratio{{{_THIS}}}", unit="percentunit", limits=_BUDGET),
                _stat("Alerts firing", f"sum(dbre_slo_alert_firing{{{_THIS}}})"),
                _stat("Burn rate, 1 h", f'dbre_slo_burn_rate{{{_THIS}, window="1h"}}', limits=((1, "yellow"), (6, "red"))),
                _stat("Source lags", f"max(dbre_slo_source_behind_seconds{{{_THIS}}})", unit="s", limits=((120, "yellow"),)),
            ),
        ),
        Row(
            title="Budget",
            panels=(
                _graph("Budget left", (f"dbre_slo_budget_remaining_ratio{{{_THIS}}}", _NAMED), unit="percentunit", width=24),
                _graph("Burn rates", (f"dbre_slo_burn_rate{{{_THIS}}}", "{{window}} on {{cluster}} {{group}}")),
                _graph(
                    "Burn rates by the rules of Prometheus", (f"dbre:slo_burn_rate:ratio{{{_THIS}}}", "{{window}} {{cluster}}")
                ),
                _graph("Alerts", (f"dbre_slo_alert_firing{{{_THIS}}}", "{{rule}} on {{cluster}} {{group}}"), width=24),
            ),
        ),
        Row(
            title="Events",
            panels=(
                _graph(
                    "Events",
                    (
                        f"sum by (cluster, group) (rate(dbre_slo_good_total{{{_THIS}}}[$__rate_interval]))",
                        "good {{cluster}} {{group}}",
                    ),
                    (
                        f"sum by (cluster, group) (rate(dbre_slo_bad_total{{{_THIS}}}[$__rate_interval]))",
                        "bad {{cluster}} {{group}}",
                    ),
                    unit="ops",
                ),
                _graph(
                    "Errors",
                    (
                        f"dbre:slo_bad:increase5m{{{_THIS}}} / (dbre:slo_total:increase5m{{{_THIS}}} > 0)",
                        "{{cluster}} {{group}}",
                    ),
                    unit="percentunit",
                    meaning="Over 5 min; no line where there is no traffic.",
                ),
            ),
        ),
    ),
)

INCIDENTS = Dashboard(
    id="incidents",
    title="dbre: incidents",
    meaning="How often somebody was woken, for what, and whether the word got out. Intervals of means: dbre report kpi.",
    tags=("incidents",),
    variables=(_CLUSTER,),
    rows=(
        Row(
            title="Incidents of the whole fleet; times over 30 days",
            panels=(
                _stat("Open", f"sum(dbre_incidents{{{_OPEN}}})"),
                _stat("Not answered", 'sum(dbre_incidents{state=~"detected|declared"})'),
                _stat("Began in 30 days", "dbre_incident_recent", limits=()),
                _stat("Time to detect, median", 'dbre_incident_mttd_seconds{statistic="median"}', unit="s", limits=()),
                _stat("Time to acknowledge, median", 'dbre_incident_mtta_seconds{statistic="median"}', unit="s", limits=()),
                _stat("Time between failures", "dbre_incident_mtbf_seconds", unit="s", limits=()),
                _graph("Open, by severity", (f"sum by (severity) (dbre_incidents{{{_OPEN}}})", "{{severity}}")),
                _graph(
                    "Time to mitigate and to resolve",
                    ("dbre_incident_mttm_seconds", "to mitigate, {{statistic}}"),
                    ("dbre_incident_mttr_seconds", "to resolve, {{statistic}}"),
                    unit="s",
                ),
            ),
        ),
        Row(
            title="Alerts",
            panels=(
                _stat("Firing now", f"count(dbre_slo_alert_firing{{{_HERE}}} == 1) or vector(0)"),
                _stat(
                    "Alerts in this range",
                    f"ceil(sum(changes({_FIRING}[$__range:1m])) / 2) or vector(0)",
                    limits=(),
                ),
                _stat(
                    "Time with a page",
                    f'avg_over_time((max(dbre_slo_alert_firing{{{_HERE}, rule=~"page.*"}}) or vector(0))[$__range:1m])',
                    unit="percentunit",
                    limits=((0.01, "yellow"),),
                ),
                _stat("Given up", 'sum(dbre_event_deliveries{state!="waiting"}) or vector(0)'),
                _graph("Firing, by rule", (f"sum by (rule) (dbre_slo_alert_firing{{{_HERE}}})", "{{rule}}")),
                _graph("Firing, by cluster", (f"sum by (cluster) (dbre_slo_alert_firing{{{_HERE}}})", "{{cluster}}")),
            ),
        ),
        Row(
            title="Notifications",
            panels=(
                _graph("Waiting or given up", ("dbre_event_deliveries", "{{subscription}} {{state}}")),
                _graph(
                    "Attempts",
                    (
                        "sum by (subscription, outcome) (rate(dbre_event_delivery_attempts_total[$__rate_interval]))",
                        "{{subscription}} {{outcome}}",
                    ),
                    unit="ops",
                ),
            ),
        ),
        Row(
            title="Budget",
            panels=(
                _graph(
                    "Budget spent in this range",
                    (f"-1 * delta(dbre_slo_budget_remaining_ratio{{{_HERE}}}[$__range])", _NAMED),
                    unit="percentunit",
                    width=24,
                ),
            ),
        ),
    ),
)

ITSELF = Dashboard(
    id="self",
    title="dbre: itself",
    meaning="Whether dbre sees, stores, decides and tells in time.",
    tags=("self-monitoring",),
    rows=(
        Row(
            title="Now",
            panels=(
                _stat("Version", "count by (version) (dbre_build_info)", limits=()),
                _stat("Events lost", "sum(dbre_events_lost_total) + sum(dbre_slo_lost_events_total)"),
                _stat("Only in memory", "sum(dbre_events_unsaved) + sum(dbre_slo_unsaved_events)", limits=((1000, "yellow"),)),
                _stat("Failing collectors", "count(dbre_collector_success == 0) or vector(0)"),
                _stat("Sources that are away", "count(dbre_slo_source_up == 0) or vector(0)"),
                _stat("Memory", "sum(process_resident_memory_bytes) and on () dbre_build_info", unit="bytes", limits=()),
            ),
        ),
        Row(
            title="Decisions",
            panels=(
                _graph(
                    "Evaluation of all SLOs, 99th percentile",
                    (
                        _slowest("dbre_slo_evaluation_seconds"),
                        "p99",
                    ),
                    unit="s",
                ),
                _graph(
                    "Writes of the state store, 99th percentile",
                    (
                        _slowest("dbre_store_write_seconds", "outcome"),
                        "{{outcome}}",
                    ),
                    unit="s",
                ),
                _graph(
                    "How late probes begin, 99th percentile",
                    (
                        _slowest("dbre_probe_schedule_lag_seconds"),
                        "p99",
                    ),
                    unit="s",
                ),
                _graph("Operations", ("sum by (state, held) (dbre_operations)", "{{state}} held: {{held}}")),
            ),
        ),
        Row(
            title="Ingest and web",
            panels=(
                _graph(
                    "Events taken in",
                    ("sum by (outcome) (rate(dbre_ingest_events_total[$__rate_interval]))", "{{outcome}}"),
                    unit="ops",
                ),
                _graph("Waiting for the disk", ("dbre_ingest_queued_bytes", "queued"), unit="bytes"),
                _graph(
                    "Requests",
                    ("sum by (status) (rate(dbre_http_requests_total[$__rate_interval]))", "{{status}}"),
                    unit="reqps",
                ),
                _graph(
                    "Answers, 99th percentile",
                    (
                        _slowest("dbre_http_request_seconds", "route"),
                        "{{route}}",
                    ),
                    unit="s",
                ),
            ),
        ),
        Row(
            title="Stack",
            panels=(
                _graph("Services", ("dbre_stack_service_up", "{{service}}")),
                _graph("How long they take", ("dbre_stack_check_seconds", "{{service}}"), unit="s"),
            ),
        ),
    ),
)
