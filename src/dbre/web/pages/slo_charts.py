"""The charts of one SLO: the budget over time with what happened meanwhile, and the burn rates of its rules."""

import json
from dataclasses import dataclass
from fractions import Fraction

from dbre.capabilities.incident.repository import alerts_of, list_incidents
from dbre.capabilities.slo import SloStatus, burn_down
from dbre.capabilities.slo.alert_state import AlertState
from dbre.capabilities.slo.burn_history import BurnHistory
from dbre.capabilities.slo.model import RuleKind
from dbre.capabilities.slo.reading import burn_histories
from dbre.core.identity.model import Principal
from dbre.core.operation.desk import OperationFilter
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.web.charts import LineChart, Mark, RateChart, line_chart, rate_chart
from dbre.web.incidents import seen_incidents
from dbre.web.services import Services

__all__ = ["RuleBurn", "burn_down_chart", "mark_data", "rule_burns", "summary_of"]

_CHART_POINTS = 400
_MARKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleBurn:
    """The graph of one alert rule."""

    rule: str
    threshold: float
    long_seconds: int
    short_seconds: int
    chart: RateChart
    peak: float | None  # of the long window


async def rule_burns(wired: Services, status: SloStatus, *, show_all: bool) -> list[RuleBurn]:
    """Graphs of the rules whose alert is on its way, or of all."""
    wanted = {
        one.rule
        for one in status.alerts
        if one.kind is RuleKind.BURN and (show_all or one.state is not AlertState.INACTIVE or one.is_met)
    }
    if not wanted:
        return []
    where, now = (wired.store, wired.definitions, wired.fleet), wired.clock.now()
    found = await burn_histories(*where, now, slo=status.name, cluster=status.cluster, group=status.group)
    return [_rule_burn(one) for one in found if one.rule.name in wanted]


def _rule_burn(history: BurnHistory) -> RuleBurn:
    points = [(one.at, _number(one.long), _number(one.short)) for one in history.points]
    return RuleBurn(
        rule=history.rule.name,
        threshold=float(history.rule.factor),
        long_seconds=history.rule.long_seconds,
        short_seconds=history.rule.short_seconds,
        chart=rate_chart(points, threshold=float(history.rule.factor), start=history.start, end=history.end),
        peak=max((long for _, long, _ in points if long is not None), default=None),
    )


def _number(value: Fraction | None) -> float | None:
    return None if value is None else float(value)


async def burn_down_chart(wired: Services, principal: Principal, status: SloStatus) -> LineChart:
    """From the first measurement on: a month of nothing before it would hide the minutes that matter."""
    where, now = (wired.store, wired.definitions, wired.fleet), wired.clock.now()
    series = await burn_down(*where, now, slo=status.name, cluster=status.cluster, group=status.group, limit=_CHART_POINTS)
    marks = [*await _operations(wired, principal, status.cluster), *await _incidents(wired, principal, status)]
    first = series.points[0].at if series.points else series.start
    start = max(series.start, status.measured_since or first)
    points = [(one.at, float(one.remaining_ratio)) for one in series.points]
    return line_chart(points, start=start, end=min(series.end, status.at.now), marks=sorted(marks, key=lambda one: one.at))


async def _operations(wired: Services, principal: Principal, cluster: str) -> list[Mark]:
    """The newest operations on the cluster, where each began."""
    wanted = OperationFilter(target=f"cluster/{cluster}", limit=_MARKS)
    return [
        Mark(at=one.started_at, title=f"{one.planned.plan.summary} ({one.planned.kind})", href=f"/operations/{one.id}")
        for one in await wired.desk(principal).list(wanted)
        if one.started_at is not None
    ]


async def _incidents(wired: Services, principal: Principal, status: SloStatus) -> list[Mark]:
    """The newest incidents that an alert of this SLO opened or joined, where each began."""
    async with wired.store.read() as connection:
        found = await list_incidents(connection, cluster=status.cluster, since=status.at.start, limit=_MARKS)
        alerts = await alerts_of(connection, [one.id for one in found])
    own = {one.incident_id for one in alerts if (one.slo, one.cluster) == (status.name, status.cluster)}
    return [
        Mark(at=one.started_at, title=f"{one.name}: {one.title}", href=f"/incidents/{one.name}", kind="incident")
        for one in seen_incidents(wired, principal, found)
        if one.id in own
    ]


def mark_data(chart: LineChart) -> str:
    """For the interactive chart: seconds since 1970, titles, and what each mark tells of."""
    return json.dumps([[one.at.timestamp(), printable(one.title, limit=200), one.kind] for one in chart.marks])


def summary_of(status: SloStatus) -> str:
    """The state in one sentence, for the chart's text alternative and for people in a hurry."""
    left = f"budget {float(status.budget.remaining_ratio):.2%} left"
    recent = next((one for one in status.burn_rates if one.counts.total), None)
    if recent is None:
        return f"{left}; nothing was measured in the last hours"
    seen = f"{recent.counts.bad} of {recent.counts.total} events bad in the last {format_duration(recent.window_seconds)}"
    ending = status.exhaustion.simple_seconds
    return f"{left}, {seen}" + (f"; if that goes on, empty in {format_duration(float(ending))}" if ending is not None else "")
