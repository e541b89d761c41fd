"""A roll-up as Markdown for people, and as metrics for Prometheus."""

import re

from dbre.capabilities.report.metric import Metric
from dbre.capabilities.report.reading import Rollup
from dbre.core.text import printable
from dbre.core.units import format_duration, format_percent

__all__ = ["as_exposition", "as_markdown"]

_MARKED = re.compile(r"([\\`*_{}\[\]<>()#+!|~$&-])")


def _plain(text: str) -> str:
    r"""Text of others in a cell of Markdown: nothing in it is markup.

    >>> print(_plain("a|b <script>"))
    a\|b \<script\>
    """
    return _MARKED.sub(r"\\\1", printable(text, limit=200))


def as_markdown(rollup: Rollup) -> str:
    """The roll-up for a wiki or a message."""
    since, until = f"{rollup.span.since:%Y-%m-%d}", f"{rollup.span.until:%Y-%m-%d}"
    lines = [f"# Databases, {since} to {until}", "", "## Numbers", ""]
    lines += ["| | value | n | median | p90 | 95 % of the mean | before | target |", "|---|--:|--:|--:|--:|---|--:|---|"]
    lines += [_metric_line(one) for one in rollup.metrics]
    lines += ["", "A trend is named only where the intervals of both means are apart. `-` is undefined, not 0.", ""]
    lines += ["## SLOs", "", "| SLO | objective | measured | met | budget left |", "|---|--:|--:|---|--:|"]
    for slo in rollup.slos:
        met = {None: "-", True: "yes", False: "**no**"}[slo.is_met]
        measured = "-" if slo.ratio is None else format_percent(float(slo.ratio), digits=4)
        left = "-" if slo.remaining_ratio is None else format_percent(float(slo.remaining_ratio), digits=1)
        objective = f"{(slo.objective * 100).normalize():f} %"
        lines.append(f"| {_plain(slo.id)} | {objective} | {measured} | {met} | {left} |")
    lines += [
        "",
        "## What to automate next",
        "",
        "| task | times by hand | automated | time | minutes a week |",
        "|---|--:|--:|--:|--:|",
    ]
    for one in rollup.toil.candidates[:10]:
        automated = format_percent(one.automated_ratio, digits=0)
        lines.append(
            f"| {_plain(one.task)} | {one.times} | {automated} | {format_duration(one.active_seconds)} | {one.score:.1f} |"
        )
    return "\n".join(lines) + "\n"


def _metric_line(metric: Metric) -> str:
    summary = metric.summary
    median = metric.text(summary.median) if summary else ""
    p90 = metric.text(summary.p90) if summary else ""
    has_interval = summary is not None and summary.low is not None
    interval = f"{metric.text(summary.low)} to {metric.text(summary.high)}" if summary and has_interval else ""
    before = metric.text(metric.before) + (f", {metric.trend}" if metric.trend and metric.trend != "unclear" else "")
    target = ""
    if metric.target is not None:
        met = {None: "", True: ", met", False: ", **missed**"}[metric.is_met]
        target = f"{'at least' if metric.is_floor else 'at most'} {metric.text(metric.target)}{met}"
    value = metric.text(metric.value)
    n = summary.n if summary else ""
    return f"| {metric.title} | {value} | {n} | {median} | {p90} | {interval} | {before} | {target} |"


def as_exposition(rollup: Rollup) -> str:
    """The numbers as gauges; what is undefined is left out, because 0 would be a lie and NaN spoils sums."""
    lines: list[str] = []
    for metric in rollup.metrics:
        if metric.value is None:
            continue
        lines += _gauge(metric.name, metric.title, metric.value)
        if metric.summary is not None:
            lines += _gauge(f"{metric.name}_median", f"{metric.title}, median", metric.summary.median)
            lines += _gauge(f"{metric.name}_p90", f"{metric.title}, 90th percentile", metric.summary.p90)
            lines += _gauge(f"{metric.name}_samples", f"{metric.title}, how many", metric.summary.n)
    ratios = [(one.id, float(one.ratio)) for one in rollup.slos if one.ratio is not None]
    if ratios:
        lines += ["# HELP dbre_report_slo_ratio the SLI over the span", "# TYPE dbre_report_slo_ratio gauge"]
        lines += [f'dbre_report_slo_ratio{{slo="{_label(name)}"}} {ratio!r}' for name, ratio in ratios]
    return "\n".join(lines) + "\n"


def _gauge(name: str, title: str, value: float) -> list[str]:
    full = f"dbre_report_{name}"
    return [f"# HELP {full} {title}", f"# TYPE {full} gauge", f"{full} {value!r}"]


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
