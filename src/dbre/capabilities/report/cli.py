"""``dbre report`` and ``dbre toil``: how well databases are run, and how much work that is."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.errors import UsageError
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.report.metric import Metric
    from dbre.capabilities.report.reading import Reports
    from dbre.capabilities.report.span import Span
    from dbre.capabilities.report.toil import Toil
    from dbre.core.store import Store

__all__ = ["app", "toil_app"]

app = typer.Typer(no_args_is_help=True, help="Key figures: incidents, changes, SLOs, toil; and the weekly roll-up.")
toil_app = typer.Typer(no_args_is_help=True, help="Work by hand: write it down, list it.")

Since = Annotated[str, typer.Option("--since", metavar="AGE|MOMENT", help="Where the span begins: 30d, 2026-11-01.")]
Until = Annotated[str | None, typer.Option("--until", metavar="AGE|MOMENT", help="Where it ends; default now.")]
OneCluster = Annotated[str | None, typer.Option("--cluster", metavar="CLUSTER", help="Only this cluster.")]


def _span(parts: Runtime, since: str, until: str | None) -> "Span":
    from dbre.capabilities.report.span import Span
    from dbre.core.moments import moment_of

    now = parts.clock.now()
    begin, end = moment_of("--since", since, parts.clock), moment_of("--until", until, parts.clock) or now
    if begin is None or begin >= end:
        raise UsageError("the span ends before it begins", hint="--since 30d, or --since 2026-11-01 --until 2026-11-08")
    return Span(since=begin, until=min(end, now) if begin < now else end)


def _reports(parts: Runtime, store: "Store") -> "Reports":
    from dbre.capabilities.report.documents import REPORT
    from dbre.capabilities.report.reading import Reports

    return Reports(store, parts.report_sources(store), parts.config.get(REPORT))


def _duration(value: object) -> str:
    from dbre.core.units import format_duration

    return format_duration(value) if isinstance(value, int | float) else "-"


def _percent(value: object) -> str:
    from dbre.core.units import format_percent

    return format_percent(value, digits=3) if isinstance(value, float) else "-"


def _yes(value: object) -> str:
    return "-" if value is None else "yes" if value else "no"


def _when(value: object) -> str:
    return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%MZ}" if isinstance(value, str) else "-"


_METRIC_COLUMNS = (
    Column(key="title", title="NUMBER"),
    Column(key="value_text", title="VALUE", right=True),
    Column(key="n", title="N", right=True),
    Column(key="median_text", title="MEDIAN", right=True),
    Column(key="p90_text", title="P90", right=True),
    Column(key="interval_text", title="95 % OF THE MEAN"),
    Column(key="before_text", title="BEFORE", right=True),
    Column(key="trend", title="TREND"),
    Column(key="target_text", title="TARGET"),
    Column(key="is_met", title="MET", format=_yes),
    Column(key="note", title="NOTE", wide=True),
)


def _metric_item(metric: "Metric") -> Row:
    from dbre.capabilities.report.metric import metric_row

    summary = metric.summary
    has_interval = summary is not None and summary.low is not None
    limit = "at least" if metric.is_floor else "at most"
    return {
        **metric_row(metric),
        "value_text": metric.text(metric.value),
        "median_text": metric.text(summary.median) if summary else None,
        "p90_text": metric.text(summary.p90) if summary else None,
        "interval_text": f"{metric.text(summary.low)} to {metric.text(summary.high)}" if summary and has_interval else None,
        "before_text": metric.text(metric.before),
        "target_text": None if metric.target is None else f"{limit} {metric.text(metric.target)}",
    }


def _metrics_view(kind: str, metrics: "Sequence[Metric]", span: "Span") -> View:
    return View(
        kind=kind,
        items=[_metric_item(one) for one in metrics],
        columns=_METRIC_COLUMNS,
        title=f"{span.since:%Y-%m-%d %H:%MZ} to {span.until:%Y-%m-%d %H:%MZ}",
    )


def _check_cluster(parts: Runtime, cluster: str | None) -> None:
    if cluster is not None:
        parts.fleet.cluster(cluster)  # a wrong name is said before the store is opened


@app.command("kpi")
async def show_kpis(ctx: typer.Context, since: Since = "30d", until: Until = None, cluster: OneCluster = None) -> View:
    """Time to detect, acknowledge, mitigate and resolve, and between failures; undefined is no number."""
    parts = runtime(ctx)
    span = _span(parts, since, until)
    _check_cluster(parts, cluster)
    async with parts.open_store() as store:
        metrics = await _reports(parts, store).kpi_metrics(span, cluster=cluster)
    return _metrics_view("KpiList", metrics, span)


@app.command("dora")
async def show_dora(ctx: typer.Context, since: Since = "30d", until: Until = None, cluster: OneCluster = None) -> View:
    """How often databases are changed, how fast, and how many of the changes failed."""
    parts = runtime(ctx)
    span = _span(parts, since, until)
    _check_cluster(parts, cluster)
    async with parts.open_store() as store:
        metrics = await _reports(parts, store).dora_metrics(span, cluster=cluster)
    return _metrics_view("DoraList", metrics, span)


@app.command("compliance")
async def show_compliance(ctx: typer.Context, since: Since = "30d", until: Until = None, cluster: OneCluster = None) -> View:
    """Which SLOs the span met, and what is left of their budgets."""
    from dbre.capabilities.report.rows import slo_row

    parts = runtime(ctx)
    span = _span(parts, since, until)
    _check_cluster(parts, cluster)
    async with parts.open_store() as store:
        found = await _reports(parts, store).compliance(span, cluster=cluster)
    return View(
        kind="ComplianceList",
        items=[slo_row(one) for one in found],
        columns=(
            Column(key="id", title="SLO"),
            Column(key="objective_ratio", title="OBJECTIVE", format=_percent, right=True),
            Column(key="ratio", title="MEASURED", format=_percent, right=True),
            Column(key="is_met", title="MET", format=_yes),
            Column(key="burn_rate", title="BURN", format=lambda value: "-" if value is None else f"{value:.2f}x", right=True),
            Column(key="remaining_ratio", title="BUDGET LEFT", format=_percent, right=True),
            Column(key="good", title="GOOD", right=True, wide=True),
            Column(key="total", title="TOTAL", right=True, wide=True),
        ),
        title=f"{span.since:%Y-%m-%d %H:%MZ} to {span.until:%Y-%m-%d %H:%MZ}",
        empty="no SLO selects a cluster; add some under `slos` in dbre.yaml",
    )


@app.command("toil")
async def show_toil(ctx: typer.Context, since: Since = "30d", until: Until = None) -> View:
    """How much work is toil, and what to automate first."""
    from dbre.capabilities.report.rows import candidate_row

    parts = runtime(ctx)
    span = _span(parts, since, until)
    async with parts.open_store() as store:
        found = await _reports(parts, store).toil(span)
    hours, ratio = found.hours_per_person_week, found.ratio
    said = "no toil is recorded" if hours is None else f"{hours:.1f} h a person and week, {ratio or 0:.1%} of the working week"
    limit = f"limit {found.cap_ratio:.0%}" + ("; exceeded" if found.is_over_cap else "")
    return View(
        kind="ToilCandidateList",
        items=[candidate_row(one) for one in found.candidates],
        columns=(
            Column(key="task", title="TASK"),
            Column(key="times", title="BY HAND", right=True),
            Column(key="automated_ratio", title="AUTOMATED", format=_percent, right=True),
            Column(key="active_seconds", title="TIME", format=_duration, right=True),
            Column(key="interruptions", title="INTERRUPTIONS", right=True),
            Column(key="score", title="MINUTES A WEEK", format=lambda value: f"{value:.1f}", right=True),
            Column(key="saved_minutes_per_week", title="SAVED", format=_minutes, right=True, wide=True),
        ),
        empty="no toil is recorded; dbre toil log writes some down",
        notes=(f"{said} ({limit}); {found.people or 0} people, {found.interruptions} interruptions",),
    )


def _minutes(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else "-"


@app.command("weekly")
async def show_week(
    ctx: typer.Context,
    week: Annotated[str | None, typer.Option("--week", metavar="YYYY-Www", help="An ISO week; default the last one.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="For a wiki, instead of the table.")] = False,
    prometheus: Annotated[bool, typer.Option("--prometheus", help="As metrics for a textfile collector.")] = False,
) -> View:
    """Everything of one week: incidents, changes, SLOs, toil, each beside the week before and its target."""
    from dbre.capabilities.report.span import week_of
    from dbre.capabilities.report.writing import as_exposition, as_markdown

    if markdown and prometheus:
        raise UsageError("--markdown and --prometheus are two forms", hint="give one of them")
    parts = runtime(ctx)
    span = week_of(week, parts.clock.now())
    async with parts.open_store() as store:
        found = await _reports(parts, store).rollup(span)
    text = as_markdown(found) if markdown else as_exposition(found) if prometheus else None
    return View(
        kind="WeeklyReport",
        items=[_metric_item(one) for one in found.metrics],
        columns=_METRIC_COLUMNS,
        title=f"{span.since:%Y-%m-%d} to {span.until:%Y-%m-%d}",
        text=None if text is None else text.rstrip("\n"),
    )


@toil_app.command("log")
async def log_toil(
    ctx: typer.Context,
    task: Annotated[str, typer.Argument(help="What was done, in the same few words each time: restore test, add user.")],
    minutes: Annotated[int, typer.Option("--minutes", min=1, max=1440, help="How long it took of your time.")],
    started: Annotated[
        str | None, typer.Option("--started", metavar="AGE|MOMENT", help="When it began; default so that it ends now.")
    ] = None,
    person: Annotated[str | None, typer.Option("--person", help="Who did it; default you.")] = None,
    interruptive: Annotated[bool, typer.Option("--interruptive", help="It took somebody away from other work.")] = False,
    target: Annotated[str, typer.Option("--target", help="What it was done to: a cluster.")] = "",
    note: Annotated[str, typer.Option("--note", help="Anything else.")] = "",
) -> View:
    """Write down a piece of work that dbre cannot see."""
    from datetime import timedelta

    from dbre.capabilities.report.rows import toil_row
    from dbre.capabilities.report.toil_log import ToilDraft
    from dbre.capabilities.report.toil_log import log_toil as write
    from dbre.core.identity.model import Permission
    from dbre.core.moments import moment_of

    parts = runtime(ctx)
    active = timedelta(minutes=minutes)
    began = moment_of("--started", started, parts.clock) or parts.clock.now() - active
    async with parts.open_store() as store:
        principal = await parts.principal()
        principal.require(Permission.OPERATE, what="record toil")
        draft = ToilDraft(
            task=task,
            person=person or principal.name,
            started_at=began,
            active=active,
            is_interruptive=interruptive,
            target=target,
            note=note,
        )
        entry = await write(store, parts.clock, draft, recorded_by=principal.name)
    return View(kind="ToilEntry", items=[toil_row(entry)], columns=_TOIL_COLUMNS, single=True)


_TOIL_COLUMNS = (
    Column(key="started_at", title="BEGAN", format=_when),
    Column(key="task", title="TASK"),
    Column(key="actor", title="BY"),
    Column(key="person", title="PERSON"),
    Column(key="active_seconds", title="TIME", format=_duration, right=True),
    Column(key="trigger", title="WHY"),
    Column(key="target", title="TARGET"),
    Column(key="note", title="NOTE", wide=True),
)


@toil_app.command("list")
async def list_toil(ctx: typer.Context, since: Since = "30d", until: Until = None) -> View:
    """Every piece of work by hand, newest first: seen by dbre, or written down."""
    from dbre.capabilities.report.rows import toil_row

    parts = runtime(ctx)
    span = _span(parts, since, until)
    async with parts.open_store() as store:
        found: Sequence[Toil] = await _reports(parts, store).toil_entries(span)
    return View(
        kind="ToilList",
        items=[toil_row(one) for one in reversed(found)],
        columns=_TOIL_COLUMNS,
        empty="no toil is recorded; dbre toil log writes some down",
    )
