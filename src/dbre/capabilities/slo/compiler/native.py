"""Rules that give the numbers of dbre's own engine in a Prometheus."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from dbre.capabilities.slo.compiler.burn_alerts import burn_alerts
from dbre.capabilities.slo.compiler.event_counts import (
    BASE_SECONDS,
    bad_of,
    direct_windows,
    own_counts,
    source_counts,
    summed_counts,
    total_of,
)
from dbre.capabilities.slo.compiler.promql import duration, is_selector, matcher, number, one_of, string
from dbre.capabilities.slo.compiler.rule_file import Alert, Group, Record, Rule
from dbre.capabilities.slo.compiler.subject import Subject
from dbre.capabilities.slo.definition import NoDataPolicy
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.capabilities.slo.telemetry_state import PAGE_AFTER_TIMES
from dbre.core.text import printable

__all__ = ["Compiled", "native_rules"]

_FAST, _SLOW, _PERIOD = 30, 60, 300  # seconds between evaluations
_SURE = 120  # seconds: windows that hold two scrapes however rarely they are done
_BAD_PERIOD, _TOTAL_PERIOD = "dbre:slo_bad:period", "dbre:slo_total:period"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Rules, and what a person should know about them."""

    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def native_rules(subjects: Sequence[Subject], *, probe_interval_ms: int, is_everything: bool = True) -> Compiled:
    """The rules of some SLOs; ``is_everything`` False: there are more, which other files may hold.

    Raises: InvalidRule where an alert can never fire.
    """
    groups = [Group(name="dbre-slo-objectives", rules=tuple(_objectives(subjects)), interval_seconds=_FAST)]
    counted = [one for one in subjects if one.is_counted]
    own = [one for one in counted if one.source is None]
    if own:
        windows = sorted({window for one in own for window in one.windows})
        terms = _own_terms(subjects, own, is_everything=is_everything)
        groups.append(Group(name="dbre-slo-counts", rules=tuple(own_counts(windows, terms=terms)), interval_seconds=_FAST))
    for one in counted:
        if one.source is not None:
            rules = tuple(source_counts(one, one.source))
            groups.append(Group(name=f"dbre-slo-counts-{one.name}", rules=rules, interval_seconds=_FAST))
    groups += _sums(counted)
    for one in subjects:
        interval = one.definition.sli.interval_ms(probe_interval_ms)
        alerts = tuple(burn_alerts(one, interval_ms=interval))
        groups.append(Group(name=f"dbre-slo-alerts-{one.name}", rules=alerts, interval_seconds=_FAST))
    groups.append(
        Group(
            name="dbre-slo-telemetry",
            rules=tuple(_telemetry(counted, is_measured_here=bool(own) or len(counted) < len(subjects))),
            interval_seconds=_FAST,
        )
    )
    kept = tuple(group for group in groups if group.rules) if subjects else ()
    return Compiled(groups=kept, notes=tuple(_notes(subjects)))


def _own_terms(subjects: Sequence[Subject], own: Sequence[Subject], *, is_everything: bool) -> str:
    """dbre exports counters of every SLO; those of the user's counters are counted at the source, and once."""
    if not is_everything:
        return one_of("slo", [one.name for one in own])
    others = [one.name for one in subjects if one.source is not None]
    return f"slo!~{string('|'.join(others))}" if others else ""  # names are RFC 1123 labels: nothing to escape


def _objectives(subjects: Sequence[Subject]) -> Iterator[Record]:
    for one in subjects:
        target, labels = one.definition.target, {"slo": one.name}
        yield Record(name="dbre:slo_objective:ratio", expression=f"vector({number(target)})", labels=labels)
        yield Record(name="dbre:slo_allowed:ratio", expression=f"vector({number(allowed_ratio(target))})", labels=labels)


def _sums(subjects: Sequence[Subject]) -> Iterator[Group]:
    alerting = sorted({window for one in subjects for window in one.alert_windows})
    longs = [
        record
        for window in alerting
        if window not in direct_windows(alerting)
        for record in summed_counts(window, terms=_only([one for one in subjects if window in one.alert_windows], subjects))
    ]
    yield Group(name="dbre-slo-long-counts", rules=tuple(longs), interval_seconds=_SLOW)
    yield Group(name="dbre-slo-burn-rates", rules=tuple(map(_burn_rate, alerting)), interval_seconds=_FAST)
    yield Group(name="dbre-slo-budgets", rules=tuple(_budgets(subjects)), interval_seconds=_PERIOD)


def _only(chosen: Sequence[Subject], subjects: Sequence[Subject]) -> str:
    return one_of("slo", [one.name for one in chosen]) if len(chosen) < len(subjects) else ""


def _burn_rate(window: int) -> Record:
    ratio = f"{bad_of(window)} / ({total_of(window)} > 0)"  # no events: no rate, rather than one that is no number
    expression = f"{ratio}\n/ on (slo) group_left ()\ndbre:slo_allowed:ratio"
    return Record(name="dbre:slo_burn_rate:ratio", expression=expression, labels={"window": duration(window)})


def _budgets(subjects: Sequence[Subject]) -> Iterator[Rule]:
    rolling = [one for one in subjects if one.is_rolling]
    for period in sorted({one.period_seconds for one in rolling}):
        labels = {"window": duration(period)}
        terms = _only([one for one in rolling if one.period_seconds == period], subjects)
        if period not in direct_windows([period]):
            yield from summed_counts(period, terms=terms, names=(_BAD_PERIOD, _TOTAL_PERIOD), labels=labels)
            continue
        for name, metric in ((_BAD_PERIOD, bad_of(period)), (_TOTAL_PERIOD, total_of(period))):
            yield Record(name=name, expression=f"{metric}{{{terms}}}" if terms else metric, labels=labels)
    if rolling:
        ratio = f"{_BAD_PERIOD} / ({_TOTAL_PERIOD} > 0)"
        yield Record(name="dbre:slo_error:ratio", expression=ratio)
        spent = f"{ratio}\n/ on (slo) group_left ()\ndbre:slo_allowed:ratio"
        yield Record(name="dbre:slo_budget_remaining:ratio", expression=f"1 - (\n{spent}\n)")


def _telemetry(subjects: Sequence[Subject], *, is_measured_here: bool) -> Iterator[Alert]:
    """Silence. dbre knows whether one of its sources is idle or lost; counters of the user's are there or they are not."""
    where = "{{ $labels.slo }} on {{ $labels.cluster }}{{ with $labels.group }}/{{ . }}{{ end }}"
    text = {"summary": f"{where}: nothing is measured", "description": "dbre hears nothing from the source of this SLO."}
    if is_measured_here:
        for severity in ("ticket", "page"):
            rule = f"telemetry-{severity}"
            firing = f"max by (slo, cluster, group) (dbre_slo_alert_firing{{{matcher('rule', rule)}}}) == 1"
            yield Alert(
                name="SloTelemetryLost", expression=firing, labels={"severity": severity, "rule": rule}, annotations=text
            )
        about = "No metric of dbre arrives: it is down, or nobody scrapes it. Its SLOs are not measured and do not alert."
        yield Alert(
            name="DbreAbsent",
            expression="absent(dbre_build_info)",
            labels={"severity": "page"},
            annotations={"summary": "dbre is not seen", "description": about},
            for_seconds=300,
        )
    for one in subjects:
        if one.source is not None and one.definition.policies.no_data is not NoDataPolicy.IGNORE:
            yield from _absent(one)


def _absent(subject: Subject) -> Iterator[Alert]:
    """A counter that does not grow is an idle service; one that does not exist is lost."""
    first = subject.rules[0] if subject.rules else None
    after = Fraction(BASE_SECONDS)
    if first is not None:  # so long a total outage needs to fire the first rule: sooner nobody need know
        seconds = first.factor * allowed_ratio(subject.definition.target) * first.long_seconds + first.for_seconds
        after = max(after, Fraction(-(-seconds // 60) * 60))
    severities = [("ticket", after)]
    if subject.definition.policies.no_data is NoDataPolicy.ALERT:
        severities.append(("page", after * PAGE_AFTER_TIMES))
    for cluster in subject.clusters:
        terms = f"{matcher('slo', subject.name)}, {matcher('cluster', cluster)}"
        for severity, seconds in severities:
            yield Alert(
                name="SloTelemetryLost",
                expression=f"absent({total_of(BASE_SECONDS)}{{{terms}}})",
                labels={"slo": subject.name, "cluster": cluster, "severity": severity, "rule": f"telemetry-{severity}"},
                annotations={
                    "summary": f"{subject.name} on {printable(cluster)}: nothing is measured",
                    "description": "The counters of all events do not exist.",
                },
                for_seconds=int(seconds),
            )


def _notes(subjects: Sequence[Subject]) -> Iterator[str]:
    for one in subjects:
        if not one.is_counted:
            yield (
                f"SLO {one.name} has a budget of slices of time: its alerts are what dbre exports as dbre_slo_alert_firing,"
                " its budget is dbre_slo_budget_remaining_ratio"
            )
            continue
        if not one.is_rolling:
            yield (
                f"SLO {one.name} has a {one.definition.window}: PromQL has no such window, so its alerts are compiled and its"
                " budget is not; dbre exports it as dbre_slo_budget_remaining_ratio"
            )
        if (shortest := min(one.alert_windows, default=_SURE)) < _SURE:
            yield (
                f"SLO {one.name} looks at a window of {duration(shortest)}, in which PromQL needs two scrapes: scrape each"
                f" {max(shortest // 4, 1)} s, or write longer windows under `alerts`"
            )
        for expression in (one.source.bad, one.source.total) if one.source is not None else ():
            if not is_selector(expression):
                yield (
                    f"SLO {one.name} counts by an expression that is no plain selector of series: resets of single counters"
                    f" are lost in {printable(expression, limit=120)}"
                )
