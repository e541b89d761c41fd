"""A simulation as commands show it."""

import asyncio
from collections.abc import Sequence
from fractions import Fraction

from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.simulation.healthy_service import ModelRow, model_row
from dbre.capabilities.slo.simulation.policy_replay import PolicyReplay, PolicySpan
from dbre.capabilities.slo.simulation.replay import ReplayedAlert
from dbre.capabilities.slo.simulation.variants import Outcome
from dbre.core.errors import UsageError
from dbre.core.units import format_duration, format_percent
from dbre.core.view import Column, Row, View

__all__ = ["model_view", "policy_view", "simulation_view"]

_MODEL_NOTE = (
    "half the allowed errors, {runs} histories of 30 days a rate, {failures} failures of 6 h each, seed {seed}; medians;"
    " the classic rules are those without the guard"
)
_POLICY_NOTE = (
    "of operations that the policy covers; a policy that allows ends the look, those below it were then not asked;"
    " lost telemetry is not replayed"
)
_RATES = ("0.2", "1", "10")


def simulation_view(outcomes: Sequence[tuple[SloInstance, Sequence[Outcome]]]) -> View:
    """A row for each variant; its alerts stand below it in words, and as data in every other form."""
    rows = [_row(instance, one) for instance, variants in outcomes for one in variants]
    return View(
        kind="SloSimulationList",
        items=rows,
        columns=(
            Column(key="id", title="SLO"),
            Column(key="target", title="TARGET", right=True),
            Column(key="window", title="WINDOW"),
            Column(key="pages", title="PAGES", right=True),
            Column(key="tickets", title="TICKETS", right=True),
            Column(key="chance_pages", title="HELD AS CHANCE", right=True),
            Column(key="median_detection_seconds", title="DETECTED AFTER", format=_duration, right=True),
            Column(key="remaining_ratio", title="BUDGET LEFT", format=_percent, right=True),
            Column(key="alerts", title="WHEN", format=_alerts),
            Column(key="start", title="FROM", wide=True),
            Column(key="end", title="TO", wide=True),
        ),
        empty="nothing to replay",
        notes=[
            f"{instance.id} has no history: nothing was counted in this time"
            for instance, variants in outcomes
            if not variants[0].replayed.status.counts.total and not variants[0].replayed.alerts
        ],
    )


def _row(instance: SloInstance, one: Outcome) -> Row:
    replayed, definition = one.replayed, one.variant.definition
    status = replayed.status
    seen = sorted(page.detection_seconds for page in replayed.pages if page.detection_seconds is not None)
    return {
        "id": instance.id,
        "is_configured": one.variant.is_configured,
        "target": f"{(definition.target * 100).normalize():f} %",
        "target_ratio": float(definition.target),
        "window": str(definition.window),
        "rules": [rule.name for rule in definition.rules_for(definition.window.longest_seconds)],
        "start": replayed.start.isoformat(),
        "end": replayed.end.isoformat(),
        "pages": len(replayed.pages),
        "tickets": len(replayed.tickets),
        "chance_pages": len(one.chance_pages),
        "median_detection_seconds": seen[len(seen) // 2] if seen else None,
        "good": status.good,
        "bad": status.bad,
        "total": status.total,
        "remaining_ratio": float(status.budget.remaining_ratio) if status.ratio is not None else None,
        "alerts": [_alert(alert) for alert in replayed.alerts],
    }


def policy_view(outcomes: Sequence[tuple[SloInstance, Sequence[Outcome]]]) -> View:
    """A row for each variant and each policy that looks at the SLO: when it would have stopped changes."""
    rows = [
        _policy_row(instance, variant, one)
        for instance, variants in outcomes
        for variant in variants
        for one in variant.policies
    ]
    return View(
        kind="SloPolicySimulationList",
        items=rows,
        columns=(
            Column(key="id", title="SLO"),
            Column(key="target", title="TARGET", right=True),
            Column(key="window", title="WINDOW"),
            Column(key="policy", title="POLICY"),
            Column(key="then", title="THEN"),
            Column(key="asked", title="ASKED"),
            Column(key="times", title="TIMES", right=True),
            Column(key="seconds", title="ALTOGETHER", format=_duration, right=True),
            Column(key="ratio", title="OF THE TIME", format=_percent, right=True),
            Column(key="spans", title="WHEN", format=_spans),
        ),
        empty="no error-budget policy looks at this SLO",
        notes=[_POLICY_NOTE] if rows else [],
    )


def _policy_row(instance: SloInstance, variant: Outcome, one: PolicyReplay) -> Row:
    definition, replayed = variant.variant.definition, variant.replayed
    whole = (replayed.end - replayed.start).total_seconds()
    return {
        "id": instance.id,
        "is_configured": variant.variant.is_configured,
        "target": f"{(definition.target * 100).normalize():f} %",
        "window": str(definition.window),
        "policy": one.policy.name,
        "then": one.policy.then.value,
        "asked": "start" if one.policy.is_for_start_only else "always",
        "start": replayed.start.isoformat(),
        "end": replayed.end.isoformat(),
        "times": len(one.spans),
        "seconds": one.seconds,
        "ratio": one.seconds / whole if whole > 0 else None,
        "spans": [_span(each) for each in one.spans],
    }


def _span(one: PolicySpan) -> Row:
    return {"since": one.since.isoformat(), "until": one.until.isoformat()}


def _spans(value: object) -> str:
    rows = value if isinstance(value, list) else []
    shown = [f"{_minute(row['since'])} to {_minute(row['until'])}Z" for row in rows[:3]]
    more = [f"and {len(rows) - 3} more"] if len(rows) > 3 else []
    return ", ".join([*shown, *more]) or "never"


def _minute(text: str) -> str:
    return text[:16].replace("T", " ")


def _alert(one: ReplayedAlert) -> Row:
    return {
        "rule": one.rule,
        "severity": one.severity.value,
        "fired_at": one.fired_at.isoformat(),
        "resolved_at": None if one.resolved_at is None else one.resolved_at.isoformat(),
        "errors_since": None if one.errors_since is None else one.errors_since.isoformat(),
        "detection_seconds": one.detection_seconds,
    }


def _duration(value: object) -> str:
    return format_duration(value) if isinstance(value, int | float) else "-"


def _percent(value: object) -> str:
    return format_percent(value, digits=1) if isinstance(value, float) else "-"


def _alerts(value: object) -> str:
    rows = value if isinstance(value, list) else []
    shown = [f"{row['rule']} {row['fired_at'][:16].replace('T', ' ')}Z" for row in rows[:5]]
    more = [f"and {len(rows) - 5} more"] if len(rows) > 5 else []
    return ", ".join([*shown, *more]) or "none"


async def model_view(instance: SloInstance, *, per_minute: Sequence[str] | None, runs: int, seed: int) -> View:
    """False pages and detection times of invented traffic, with the guard and without."""
    rates = [_rate(text) for text in per_minute or _RATES]
    rows = []
    for rate in rates:
        for has_guard in (False, True):
            row = await asyncio.to_thread(
                model_row, instance.definition, instance.cluster, per_minute=rate, has_guard=has_guard, runs=runs, seed=seed
            )
            rows.append(_model_row(row))
    return View(
        kind="SloModelList",
        items=rows,
        columns=(
            Column(key="per_minute", title="REQUESTS/MIN", right=True),
            Column(key="guard", title="GUARD"),
            Column(key="false_pages_30_days", title="FALSE PAGES/30D", format=lambda value: f"{value:.1f}", right=True),
            Column(key="outage_seconds", title="OUTAGE SEEN AFTER", format=_duration, right=True),
            Column(key="partial_seconds", title="5 % ERRORS AFTER", format=_duration, right=True),
            Column(key="partial_missed", title="MISSED", right=True),
        ),
        notes=[_MODEL_NOTE.format(runs=runs, failures=8 * runs, seed=seed)],
    )


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{text!r} is no rate", hint="write --per-minute 0.2 --per-minute 10") from error
    if not 0 < rate <= 100_000:
        raise UsageError(f"{text} requests a minute cannot be simulated; at most 100000", hint="write --per-minute 100")
    return rate


def _model_row(row: ModelRow) -> Row:
    outage, partial = row.detections
    return {
        "per_minute": float(row.per_minute),
        "guard": "on" if row.has_guard else "off",
        "false_pages_30_days": row.false_pages,
        "outage_seconds": outage.median_seconds,
        "outage_missed": outage.missed,
        "partial_seconds": partial.median_seconds,
        "partial_missed": partial.missed,
        "detection_runs": partial.runs,
    }
