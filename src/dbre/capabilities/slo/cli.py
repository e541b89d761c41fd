"""``dbre slo``: what is promised, what is left of it, and who was told."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.capabilities.slo.compiler.cli import compile_slos, write_dashboards
from dbre.capabilities.slo.corrections.cli import app as correct_app
from dbre.capabilities.slo.ingest.cli import latency
from dbre.capabilities.slo.interop.cli import app as interop_app
from dbre.capabilities.slo.simulation.cli import app as simulation_app
from dbre.core.errors import ExitCode
from dbre.core.view import Column, PluginState, PluginStatus, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.slo.definition import Definition
    from dbre.capabilities.slo.model import SloStatus
    from dbre.core.gates.model import GateDecision

__all__ = ["app"]

app = typer.Typer(help="Service level objectives: budgets, burn rates, alerts.", no_args_is_help=True)
app.add_typer(interop_app)
app.add_typer(simulation_app)
app.command("compile")(compile_slos)
app.command("dashboards")(write_dashboards)
app.command("latency")(latency)

app.add_typer(correct_app, name="correct")

OptionalName = Annotated[
    str | None, typer.Argument(metavar="[SLO[@CLUSTER[/GROUP]]]", help="One SLO, one of its clusters, or a group there.")
]
Name = Annotated[str, typer.Argument(metavar="SLO[@CLUSTER[/GROUP]]", help="One SLO, one of its clusters, or a group there.")]


def _definitions(parts: Runtime) -> "tuple[Definition, ...]":
    from dbre.capabilities.slo.documents import SLOS, definitions_from

    return definitions_from(parts.config.get(SLOS))


async def _statuses(parts: Runtime, name: str | None) -> "list[SloStatus]":
    from dbre.capabilities.slo.documents import ALERTING
    from dbre.capabilities.slo.model import worst_first
    from dbre.capabilities.slo.reading import report, select_instances

    definitions = _definitions(parts)
    select_instances(definitions, parts.fleet, name=name)  # a wrong name is said before the store is opened
    async with parts.open_store() as store:
        lost_after = parts.config.get(ALERTING).telemetry_lost_after
        found = await report(store, definitions, parts.fleet, parts.clock.now(), name=name, lost_after=lost_after)
    return worst_first(found)


def _problems(parts: Runtime) -> list[str]:
    from dbre.capabilities.slo.definition import problems_of

    probe = next((parts.config.get(one) for one in parts.config.sections if one.key == "probe"), None)  # another's section
    found = problems_of(
        _definitions(parts),
        parts.fleet,
        probe_interval=getattr(probe, "interval", None),
        probe_timeout=getattr(probe, "total_timeout", None),
    )
    return [f"{problem.message} ({problem.hint})" for problem in found]


def _percent(value: object, digits: int = 1) -> str:
    from dbre.core.units import format_percent

    return format_percent(value, digits=digits) if isinstance(value, float) else "-"


def _long_percent(value: object) -> str:
    return _percent(value, 4)


def _duration(value: object) -> str:
    from dbre.core.units import format_duration

    return format_duration(value) if isinstance(value, int | float) else "-"


def _rate(value: object) -> str:
    return "-" if not isinstance(value, float) else f"{value:.1f}x" if value < 100 else f"{value:.0f}x"


def _objective(value: object) -> str:
    from decimal import Decimal

    return f"{(Decimal(str(value)) * 100).normalize():f} %"


def _when(value: object) -> str:
    """A moment of a row as other tables show it: UTC, to the second."""
    return f"{datetime.fromisoformat(value):%Y-%m-%d %H:%M:%SZ}" if isinstance(value, str) else "-"


def _words(value: object) -> str:
    return str(value).replace("_", " ")


_ID = Column(key="id", title="SLO")
_STATE = Column(key="state", title="STATE", format=_words)
_OBJECTIVE = Column(key="objective_exact", title="OBJECTIVE", format=_objective, right=True)
_SLI = Column(key="sli_ratio", title="SLI", format=_long_percent, right=True)
_LEFT = Column(key="remaining_ratio", title="BUDGET LEFT", format=_percent, right=True)
_LEFT_TIME = Column(key="remaining_seconds", title="LEFT AS OUTAGE", format=_duration, right=True)
_TELEMETRY = Column(key="telemetry_state", title="TELEMETRY", format=_words)


def _flat(status: "SloStatus") -> dict[str, object]:
    from dbre.capabilities.slo.rows import status_row
    from dbre.capabilities.slo.state import state_of

    row = status_row(status)
    return {
        "state": state_of(status).value,
        **{
            key: row[key]
            for key in ("id", "name", "cluster", "group", "objective_ratio", "objective_exact", "sli_ratio", "sli_exact")
        },
        "window": str(status.window),
        **{key: row[key] for key in ("good", "bad", "total", "missed", "excluded", "telemetry_state")},
        "remaining_ratio": float(status.budget.remaining_ratio),
        "remaining_seconds": float(status.budget.remaining_seconds),
        "exhaustion_seconds": row["exhaustion_seconds"],
        "alerts_active_count": len(status.active_alerts),
    }


@app.command("list")
async def list_slos(ctx: typer.Context) -> View:
    """Every SLO on every cluster, worst first."""
    from dbre.capabilities.slo.plugin import plugin_status

    parts = runtime(ctx)
    statuses = await _statuses(parts, None)
    return View(
        kind="SloList",
        items=[_flat(status) for status in statuses],
        columns=(
            _ID,
            _STATE,
            _OBJECTIVE,
            _SLI,
            _LEFT,
            _LEFT_TIME,
            _TELEMETRY,
            Column(key="bad", title="BAD", right=True, wide=True),
            Column(key="total", title="TOTAL", right=True, wide=True),
            Column(key="window", title="WINDOW", wide=True),
        ),
        empty="no SLO selects a cluster; add some under `slos` in dbre.yaml",
        notes=_problems(parts),
        plugin=plugin_status(statuses),
    )


@app.command("show")
async def show_slo(ctx: typer.Context, name: Name) -> View:
    """Everything that is known of one SLO."""
    from dbre.capabilities.slo.rows import status_row

    items = [{**_flat(status), **status_row(status)} for status in await _statuses(runtime(ctx), name)]
    return View(
        kind="Slo" if len(items) == 1 else "SloDetailList",
        items=items,
        single=len(items) == 1,
        columns=(
            _ID,
            _STATE,
            Column(key="description", title="DESCRIPTION"),
            Column(key="sli", title="INDICATOR", format=_sli_text),
            _OBJECTIVE,
            Column(key="window", title="WINDOW", format=_window_text),
            _SLI,
            *(Column(key=key, title=key.upper(), right=True) for key in ("good", "bad", "total", "missed", "excluded")),
            _LEFT,
            _LEFT_TIME,
            Column(key="exhaustion_seconds", title="GONE IN", format=_duration, right=True),
            Column(key="alerts", title="BURN RATES", format=_burn_line),
            Column(key="burn_rates", title="OF MEASURED PROBES ONLY", format=_measured_burn_line),
            Column(key="alerts", title="ALERTS", format=_alert_line),
            _TELEMETRY,
            Column(key="corrupt_slots", title="CORRUPT SLOTS", right=True),
            Column(key="measured_since", title="MEASURED SINCE", format=_when),
            Column(key="definition_since", title="DEFINED SINCE", format=_when),
        ),
    )


def _sli_text(value: object) -> str:
    return str(value["text"]) if isinstance(value, dict) else "-"


def _window_text(value: object) -> str:
    return f"{value['text']}, {_when(value['start'])} to {_when(value['end'])}" if isinstance(value, dict) else "-"


def _burn_line(value: object) -> str:
    """As rules count them: over all scheduled probes of a long window, also those from before the measuring began."""
    rules = [row for row in value if row["kind"] == "burn"] if isinstance(value, list) else []
    rates = {row["short_seconds"]: row["short_burn_rate"] for row in rules}
    rates |= {row["long_seconds"]: row["burn_rate"] for row in rules}
    return ", ".join(f"{_duration(seconds)} {_rate(rate)}" for seconds, rate in sorted(rates.items()))


def _measured_burn_line(value: object) -> str:
    rows = value if isinstance(value, list) else []
    return ", ".join(f"{_duration(row['window_seconds'])} {_rate(row['burn_rate'])}" for row in rows)


def _alert_line(value: object) -> str:
    rows = value if isinstance(value, list) else []
    return (
        ", ".join(f"{row['rule']} {row['state']} since {_when(row['since'])}" for row in rows if row["state"] != "inactive")
        or "none"
    )


@app.command("budget")
async def show_budgets(ctx: typer.Context, name: OptionalName = None) -> View:
    """The error budgets: allowed, spent, left, and when they are gone at the present pace; worst first."""
    items = []
    for status in await _statuses(runtime(ctx), name):
        budget, aged = status.budget, status.exhaustion.aged_seconds
        items.append(
            {
                **_flat(status),
                "health": budget.health.value,
                "allowed_bad": float(budget.allowed_bad),
                "allowed_bad_exact": str(budget.allowed_bad),
                "consumed_ratio": float(budget.consumed_ratio),
                "consumed_exact": str(budget.consumed_ratio),
                "remaining_exact": str(budget.remaining_ratio),
                "exhaustion_with_ageing_seconds": None if aged is None else float(aged),
            }
        )
    return View(
        kind="SloBudgetList",
        items=items,
        columns=(
            _ID,
            _STATE,
            Column(key="bad", title="BAD", right=True),
            Column(key="allowed_bad", title="ALLOWED", format=lambda value: f"{value:.1f}", right=True),
            Column(key="consumed_ratio", title="SPENT", format=_percent, right=True),
            _LEFT,
            _LEFT_TIME,
            Column(key="exhaustion_seconds", title="GONE IN", format=_duration, right=True),
            Column(key="exhaustion_with_ageing_seconds", title="WITH AGEING", format=_duration, right=True, wide=True),
            Column(key="window", title="WINDOW", wide=True),
        ),
        empty="no SLO selects a cluster; add some under `slos` in dbre.yaml",
    )


@app.command("burn")
async def show_burn_rates(ctx: typer.Context, name: OptionalName = None) -> View:
    """How fast budgets burn, over every window that an alert rule looks at; 1 spends all of it in exactly one period."""
    from dbre.capabilities.slo.rows import rule_row

    items = [
        {"id": status.id, **row}
        for status in await _statuses(runtime(ctx), name)
        for row in map(rule_row, status.alerts)
        if row["kind"] == "burn"
    ]
    return View(
        kind="SloBurnList",
        items=items,
        columns=(
            _ID,
            Column(key="rule", title="RULE"),
            Column(key="long_seconds", title="LONG", format=_duration, right=True),
            Column(key="burn_rate", title="BURN", format=_rate, right=True),
            Column(key="short_seconds", title="SHORT", format=_duration, right=True),
            Column(key="short_burn_rate", title="BURN", format=_rate, right=True),
            Column(key="threshold_burn_rate", title="LIMIT", format=_rate, right=True),
            Column(key="state", title="ALERT"),
            Column(key="held_back_by_guard", title="GUARDED", wide=True),
        ),
        empty="no SLO selects a cluster; add some under `slos` in dbre.yaml",
    )


@app.command("explain")
async def explain_slo(
    ctx: typer.Context,
    name: Name,
    lang: Annotated[str, typer.Option("--lang", metavar="LANGUAGE", help="en, or es for Spanish.")] = "en",
) -> View:
    """One SLO in plain words: the promise, the budget, when somebody is told, and what is happening now."""
    from dbre.capabilities.slo.explanation import explain
    from dbre.capabilities.slo.explanation_words import Language
    from dbre.capabilities.slo.rows import status_row
    from dbre.core.errors import UsageError
    from dbre.core.text import printable

    if lang not in tuple(Language):
        raise UsageError(f"{printable(lang, limit=20)} is no language of explanations", hint="write --lang en or --lang es")
    parts = runtime(ctx)
    definitions = {one.name: one for one in _definitions(parts)}
    statuses = await _statuses(parts, name)
    texts = [explain(status, definitions[status.name], language=Language(lang)) for status in statuses]
    items = [{**status_row(status), "explanation": text} for status, text in zip(statuses, texts, strict=True)]
    return View(
        kind="SloExplanation" if len(items) == 1 else "SloExplanationList",
        items=items,
        single=len(items) == 1,
        columns=(_ID, Column(key="explanation", title="EXPLANATION")),
        text="\n\n\n".join(texts),
    )


@app.command("alerts")
async def list_alerts(
    ctx: typer.Context,
    name: OptionalName = None,
    active: Annotated[bool, typer.Option("--active", help="Only those that are not over.")] = False,
) -> View:
    """Alerts that fired, newest first, with their resolution."""
    from dbre.capabilities.slo.reading import recent_alerts, select_instances
    from dbre.capabilities.slo.rows import alert_row

    parts = runtime(ctx)
    if name is not None:
        select_instances(_definitions(parts), parts.fleet, name=name)
    slo, _, rest = (name or "").partition("@")
    cluster, _, group = rest.partition("/")
    now = parts.clock.now()
    async with parts.open_store() as store:
        found = await recent_alerts(store, limit=1_000, slo=slo or None, cluster=cluster or None, group=group or None)
    items: Sequence[dict[str, object]] = [
        {**alert_row(one), "duration_seconds": ((one.resolved_at or now) - one.fired_at).total_seconds()}
        for one in found
        if not (active and one.resolved_at)
    ]
    return View(
        kind="AlertList",
        items=items,
        columns=(
            Column(key="fired_at", title="FIRED", format=_when),
            Column(key="is_active", title="STATE", format=lambda value: "firing" if value else "over"),
            Column(key="severity", title="SEVERITY"),
            Column(key="slo", title="SLO"),
            Column(key="cluster", title="CLUSTER"),
            Column(key="group", title="GROUP", format=lambda value: str(value or "-")),
            Column(key="rule", title="RULE"),
            Column(key="duration_seconds", title="LASTED", format=_duration, right=True),
            Column(key="burn_rate", title="BURN", format=_rate, right=True),
            Column(key="summary", title="SUMMARY", wide=True),
        ),
        empty="no alert ever fired",
    )


@app.command("composites")
async def list_composites(ctx: typer.Context) -> View:
    """Several SLOs seen as one, on each cluster that has them all."""
    from dbre.capabilities.slo.composite_documents import SLO_COMPOSITES, composites_from
    from dbre.capabilities.slo.composite_reading import composite_report
    from dbre.capabilities.slo.documents import ALERTING

    parts = runtime(ctx)
    composites, lost_after = composites_from(parts.config.get(SLO_COMPOSITES)), parts.config.get(ALERTING).telemetry_lost_after
    async with parts.open_store() as store:
        found = await composite_report(
            store, composites, _definitions(parts), parts.fleet, parts.clock.now(), lost_after=lost_after
        )
    items = [
        {
            "name": one.composite.name,
            "cluster": one.cluster,
            "join": one.composite.join.value,
            "objective_ratio": float(one.objective),
            "sli_ratio": None if one.ratio is None else float(one.ratio),
            "sli_exact": None if one.ratio is None else str(one.ratio),
            "remaining_ratio": None if one.remaining_ratio is None else float(one.remaining_ratio),
            "remaining_exact": None if one.remaining_ratio is None else str(one.remaining_ratio),
            "worst": one.worst,
            "members": [status.id for status in one.members],
        }
        for one in found
    ]
    return View(
        kind="SloCompositeList",
        items=items,
        columns=(
            Column(key="name", title="COMPOSITE"),
            Column(key="cluster", title="CLUSTER"),
            Column(key="join", title="JOIN"),
            Column(key="objective_ratio", title="OBJECTIVE", format=_long_percent, right=True),
            _SLI,
            _LEFT,
            Column(key="worst", title="WORST"),
        ),
        empty="no cluster has all SLOs of a composite; composites are made under `slo_composites` in dbre.yaml",
    )


@app.command("gate")
async def check_budget_gate(
    ctx: typer.Context,
    cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="The cluster that would be changed.")],
    kind: Annotated[str, typer.Option("--kind", help="Suppose an operation of this kind.")] = "change",
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Suppose this tag: rollback, restore, failover.")] = None,
) -> View:
    """Whether error budgets allow a change of a cluster: exit code 0, or 5 with the reason."""
    from dbre.capabilities.slo.budget_gate import stored_budget_gate
    from dbre.core.gates.asking import Gates
    from dbre.core.gates.supposing import Supposed, ask_supposing

    parts = runtime(ctx)
    parts.fleet.cluster(cluster)  # a wrong name is said before the store is opened
    async with parts.open_store() as store:
        gates = Gates([stored_budget_gate(store, parts.config, parts.fleet, parts.clock)], parts.clock, answer_seconds=10)
        supposed = Supposed(cluster=cluster, kind=kind, tags=tuple(tag or ()))
        (decision,) = await ask_supposing(gates, supposed, parts.fleet, parts.clock, requested_by="")
    return _gate_view(decision)


def _gate_view(decision: "GateDecision") -> View:
    is_allowed = decision.verdict == "allow"
    states = {"allow": PluginState.OK, "hold": PluginState.WARNING, "refuse": PluginState.CRITICAL}
    item = {
        "verdict": decision.verdict.value,
        "reason": decision.reason,
        "slos": decision.evidence.get("slos", []),
        "findings": decision.evidence.get("findings", []),
    }
    return View(
        kind="SloGate",
        items=[item],
        single=True,
        columns=(Column(key="verdict", title="VERDICT"), Column(key="reason", title="REASON")),
        exit_code=ExitCode.OK if is_allowed else ExitCode.REFUSED,
        plugin=PluginStatus(state=states[decision.verdict], text=decision.reason),
    )
