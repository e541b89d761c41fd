"""Unit tests for promtool beside the rules: what must fire, what must not, and what must stay a number."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import yaml

from dbre.capabilities.slo.alert_rules import BurnRule, judge
from dbre.capabilities.slo.compiler.burn_alerts import ALERT_NAME
from dbre.capabilities.slo.compiler.event_counts import bad_of
from dbre.capabilities.slo.compiler.promql import duration, selector, string
from dbre.capabilities.slo.compiler.sample_series import SampleSeries, sample_series
from dbre.capabilities.slo.compiler.subject import Subject
from dbre.capabilities.slo.counts import Counts

__all__ = ["rule_tests"]

_EVENTS_A_MINUTE = 600  # of an SLO whose events come when they come
_LONGEST_MINUTES = 2_000  # a test that looks at more would take minutes itself
_LATE_MINUTES = 3  # series have one point a minute
_LATER_MINUTES = 5  # windows that are made of windows of 5 min


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stretch:
    """Minutes in which so many good and bad events come each minute."""

    minutes: int
    good: int = 0
    bad: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """One SLO on one cluster, with series that its rules find."""

    subject: Subject
    cluster: str
    series: SampleSeries
    step_minutes: int  # between two points
    events: int  # each step

    @property
    def labels(self) -> dict[str, str]:
        grouped = {} if self.subject.has_roll_up else {"group": "a"}
        return {"slo": self.subject.name, "cluster": self.cluster, "group": "", **grouped}


def rule_tests(subjects: Sequence[Subject], *, rules_file: str, probe_interval_ms: int) -> tuple[str, tuple[str, ...]]:
    """The file, and notes on SLOs that have no tests. Of SLOs that differ in name only, the first is tested."""
    tests: list[dict[str, Any]] = []
    notes, seen = [], set()
    for subject in subjects:
        if not subject.is_counted:
            continue
        shape = (subject.rules, subject.definition.target, subject.definition.policies, subject.period_seconds, subject.source)
        stage = _stage(subject, probe_interval_ms)
        if stage is None:
            notes.append(f"SLO {subject.name} has no unit tests: no series come to mind that its selectors would find")
        elif shape not in seen:
            tests += _tests(stage)
        seen.add(shape)
    document = {"rule_files": [rules_file], "evaluation_interval": "1m", "tests": tests}
    head = "# Unit tests of the rules beside this file: promtool test rules FILE\n# Written by dbre slo compile; do not edit.\n"
    return head + yaml.safe_dump(document, sort_keys=False, width=1_000), tuple(notes)


def _stage(subject: Subject, probe_interval_ms: int) -> _Stage | None:
    interval = subject.definition.sli.interval_ms(probe_interval_ms)
    step = max(1, math.ceil(interval / 60_000))
    events = step * 60_000 // interval if interval else _EVENTS_A_MINUTE
    cluster = subject.clusters[0]
    if subject.source is None:
        key = {"slo": subject.name, "cluster": cluster, **({} if subject.has_roll_up else {"group": "a"})}
        good, bad = ({"__name__": f"dbre_slo_{one}_total", **key} for one in ("good", "bad"))
        return _Stage(
            subject=subject,
            cluster=cluster,
            series=SampleSeries(good=good, bad=bad, bad_in_total=None),
            step_minutes=step,
            events=events,
        )
    filled = (one.replace("{cluster}", string(cluster)[1:-1]) for one in (subject.source.bad, subject.source.total))
    series = sample_series(*filled, group_label=subject.source.group_label)
    if series is None:
        return None
    return _Stage(subject=subject, cluster=cluster, series=series, step_minutes=step, events=events)


def _tests(stage: _Stage) -> Iterator[dict[str, Any]]:
    rules = sorted(stage.subject.rules, key=lambda one: (one.severity.value, one.long_seconds))
    if rules:
        yield from _outage(stage, rules[0])
    yield _idle(stage)
    if stage.subject.definition.policies.has_low_traffic_guard and rules:
        yield _first_failure(stage)
    if stage.subject.source is not None:
        yield _no_errors_yet(stage)


def _outage(stage: _Stage, rule: BurnRule) -> Iterator[dict[str, Any]]:
    found = _minutes_to_fire(stage, rule)
    before = 2 * rule.long_seconds // 60 // stage.step_minutes * stage.step_minutes
    late = _LATE_MINUTES * stage.step_minutes + (_LATER_MINUTES if rule.long_seconds > 7_200 else 0)
    is_seen = rule.short_seconds >= 180 * stage.step_minutes  # else it holds no two points
    if found is None or not is_seen or before + found > _LONGEST_MINUTES:
        return
    fired = before + found + late + math.ceil(rule.for_seconds / 60)
    over = fired + late + math.ceil((rule.short_seconds + rule.keep_firing_seconds) / 60)
    stretches = [
        _Stretch(minutes=before, good=stage.events),
        _Stretch(minutes=fired - before, bad=stage.events),
        _Stretch(minutes=over + late - fired, good=stage.events),
    ]
    firing = _firing(stage, rule)
    checks = [(before, firing, None), (fired, firing, 1), (over + late - 1, firing, None)]
    yield _test(stage, f"a total outage fires {rule.name}, and its end ends it", stretches, checks)


def _minutes_to_fire(stage: _Stage, rule: BurnRule) -> int | None:
    """How long a total outage lasts until our own rule is met, with a clean window behind it."""
    definition, step = stage.subject.definition, stage.step_minutes
    for steps in range(1, rule.long_seconds // 60 // step + 1):
        bad = steps * stage.events
        long_total, short_total = (
            max(bad, seconds // 60 // step * stage.events) for seconds in (rule.long_seconds, rule.short_seconds)
        )
        short_bad = min(bad, short_total)
        judgement = judge(
            rule,
            long=Counts(bad=bad, good=long_total - bad),
            short=Counts(bad=short_bad, good=short_total - short_bad),
            target=definition.target,
            scheduled_long=Fraction(0),
            trailing_bad=0,
            has_guard=definition.policies.has_low_traffic_guard,
        )
        if judgement.is_met:
            return steps * step
    return None


def _idle(stage: _Stage) -> dict[str, Any]:
    """An hour, half an hour without any event, an hour."""
    hour, gap = (minutes * stage.step_minutes for minutes in (60, 30))
    busy = _Stretch(minutes=hour, good=stage.events)
    stretches = [busy, _Stretch(minutes=gap), busy]
    shortest = min(stage.subject.alert_windows, default=0)
    rate = selector("dbre:slo_burn_rate:ratio", {**stage.labels, "window": duration(shortest or 300)})
    checks: list[tuple[int, str, int | None]] = []
    if 0 < shortest <= 600 * stage.step_minutes:
        checks.append((hour + gap - 1, f"count({rate})", None))
    if stage.subject.is_rolling:
        left = selector("dbre:slo_budget_remaining:ratio", stage.labels)
        checks.append((2 * hour + gap, f"count({left} == 1)", 1))
    checks.append((2 * hour + gap, _firing(stage), None))
    return _test(stage, "half an hour without traffic leaves the budget a number", stretches, checks)


def _first_failure(stage: _Stage) -> dict[str, Any]:
    step = stage.step_minutes
    stretches = [_Stretch(minutes=step, good=4, bad=1), _Stretch(minutes=59 * step)]
    checks: list[tuple[int, str, int | None]] = [(one * step, _firing(stage), None) for one in (3, 10, 60)]
    return _test(stage, "one failure among the first five events wakes nobody", stretches, checks)


def _no_errors_yet(stage: _Stage) -> dict[str, Any]:
    stretches = [_Stretch(minutes=60, good=stage.events)]
    counted = f"count({selector(bad_of(300), stage.labels)} == 0)"
    return _test(stage, "no series of bad events means none", stretches, [(60, counted, 1)], has_bad=False)


def _firing(stage: _Stage, rule: BurnRule | None = None) -> str:
    chosen = {} if rule is None else {"rule": rule.name}
    return f"count({selector('ALERTS', {'alertname': ALERT_NAME, 'alertstate': 'firing', **stage.labels, **chosen})})"


def _test(
    stage: _Stage,
    name: str,
    stretches: Sequence[_Stretch],
    checks: Sequence[tuple[int, str, int | None]],
    *,
    has_bad: bool = True,
) -> dict[str, Any]:
    series = [(stage.series.good, [(one.minutes, one.good) for one in stretches])]
    if has_bad:
        series.append((stage.series.bad, [(one.minutes, one.bad) for one in stretches]))
    if stage.series.bad_in_total is not None:  # bad events have a metric of their own: the other one counts all
        series[0] = (stage.series.bad_in_total, [(one.minutes, one.good + one.bad) for one in stretches])
    return {
        "name": f"{stage.subject.name}: {name}",
        "interval": f"{stage.step_minutes}m",
        "input_series": [
            {"series": _series(labels), "values": _values(growth, stage.step_minutes)} for labels, growth in series
        ],
        "promql_expr_test": [
            {
                "expr": expression,
                "eval_time": f"{minute}m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for minute, expression, value in checks
        ],
    }


def _series(labels: Mapping[str, str]) -> str:
    return selector(labels["__name__"], {name: value for name, value in labels.items() if name != "__name__"})


def _values(growth: Sequence[tuple[int, int]], step: int) -> str:
    """promtool's notation: a start, what is added each step, and how often."""
    value, words = 0, ["0"]
    for minutes, added in growth:
        steps = minutes // step
        if steps:
            words.append(f"{value + added}+{added}x{steps - 1}")
            value += added * steps
    return " ".join(words)
