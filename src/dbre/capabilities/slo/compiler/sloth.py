"""The rules that Sloth writes, so that its dashboards (Grafana 14348 and 14643) and routes keep working.

They average ratios and know no chance: prefer the native rules where nothing depends on these names.
Source: the output of ``sloth generate`` 0.16 for ``prometheus/v1``.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import BurnRule, Severity, check_reachable
from dbre.capabilities.slo.compiler.promql import annotation, is_selector, selector, string
from dbre.capabilities.slo.compiler.rule_file import Alert, Group, Record
from dbre.capabilities.slo.compiler.subject import Subject
from dbre.core.text import printable

__all__ = ["WINDOW", "SlothSlo", "go_float", "sloth_duration", "sloth_groups", "sloth_slos"]

WINDOW = "{{.window}}"
"""Where the window stands in a query."""

_IDENTITY = ("sloth_id", "sloth_service", "sloth_slo")
_ON = "on(sloth_id, sloth_slo, sloth_service) group_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlothSlo:
    """One SLO as Sloth sees it. ``ratio_query`` replaces the two others (``raw``); ``objective`` is in percent."""

    service: str
    name: str
    objective: Decimal
    rules: Sequence[BurnRule]
    period_seconds: int
    error_query: str = ""
    total_query: str = ""
    ratio_query: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    alert_name: str = "SloErrorBudgetBurn"
    alert_labels: Mapping[str, str] = field(default_factory=dict)
    alert_annotations: Mapping[str, str] = field(default_factory=dict)
    severity_labels: Mapping[Severity, Mapping[str, str]] = field(default_factory=dict)
    severities: Sequence[Severity] = (Severity.PAGE, Severity.TICKET)

    @property
    def identity(self) -> dict[str, str]:
        """The labels that Sloth finds its own series by."""
        return dict(zip(_IDENTITY, (f"{self.service}-{self.name}", self.service, self.name), strict=True))


def sloth_slos(subjects: Sequence[Subject]) -> Iterator[SlothSlo]:
    """Every SLO on every cluster, which is Sloth's service; groups are counted together. Slices of time are unknown to Sloth.

    Raises: InvalidRule where an alert can never fire.
    """
    for one in subjects:
        if not one.is_counted:
            continue
        definition = one.definition
        for rule in one.rules:
            check_reachable(rule, target=definition.target, period_seconds=one.period_seconds)
        told = printable(definition.description, limit=1050)
        for cluster in one.clusters:
            error, total = _queries(one, cluster)
            yield SlothSlo(
                service=cluster,
                name=one.name,
                objective=definition.target * 100,
                rules=one.rules,
                period_seconds=one.period_seconds,
                error_query=error,
                total_query=total,
                alert_labels={"sloth_id": f"{cluster}-{one.name}"},  # the series have it too; so no two rules look the same
                alert_annotations={"description": annotation(told)} if told else {},
            )


def _queries(subject: Subject, cluster: str) -> tuple[str, str]:
    if subject.source is None:
        labels = {"slo": subject.name, "cluster": cluster, "group": ""}
        bad = f"sum(rate({selector('dbre_slo_bad_total', labels)}[{WINDOW}]))"
        return bad, f"sum(rate({selector('dbre_slo_good_total', labels)}[{WINDOW}])) + {bad}"
    plain = (one.strip().replace("{cluster}", string(cluster)[1:-1]) for one in (subject.source.bad, subject.source.total))
    bad, total = (f"{one}[{WINDOW}]" if is_selector(one) else f"({one})[{WINDOW}:15s]" for one in plain)
    return f"sum(rate({bad}))", f"sum(rate({total}))"


def sloth_groups(slos: Sequence[SlothSlo]) -> list[Group]:
    """Three groups of rules for each SLO; one without alerts has two."""
    groups = []
    for slo in slos:
        suffix = f"{slo.service}-{slo.name}"
        groups.append(Group(name=f"sloth-slo-sli-recordings-{suffix}", rules=tuple(_indicators(slo))))
        groups.append(Group(name=f"sloth-slo-meta-recordings-{suffix}", rules=tuple(_metadata(slo))))
        if alerts := tuple(_alerts(slo)):
            groups.append(Group(name=f"sloth-slo-alerts-{suffix}", rules=alerts))
    return groups


def sloth_duration(seconds: int) -> str:
    """As Prometheus writes durations in Go: years and weeks only where they come out even.

    >>> sloth_duration(28 * 86_400), sloth_duration(30 * 86_400), sloth_duration(5400)
    ('4w', '30d', '1h30m')
    """
    words = ""
    for unit, size, is_exact in (
        ("y", 31_536_000, True), ("w", 604_800, True), ("d", 86_400, False), ("h", 3600, False), ("m", 60, False),
        ("s", 1, False),
    ):  # fmt: skip
        if is_exact and seconds % size:
            continue
        count, seconds = divmod(seconds, size)
        words += f"{count}{unit}" if count else ""
    return words


def go_float(value: float) -> str:
    """A float as Go's ``%v`` prints it: the same shortest digits as here, without a point behind whole numbers.

    >>> go_float(6.0), go_float(99.9 / 100), go_float(14.4)
    ('6', '0.9990000000000001', '14.4')
    """
    return repr(value).removesuffix(".0")


def _own(slo: SlothSlo, window: int) -> str:
    return selector(f"slo:sli_error:ratio_rate{sloth_duration(window)}", slo.identity)


def _indicators(slo: SlothSlo) -> Iterator[Record]:
    windows = sorted({300, *(one for rule in slo.rules for one in (rule.short_seconds, rule.long_seconds))})
    for window in (*windows, slo.period_seconds):
        text = sloth_duration(window)
        labels = {**slo.labels, **slo.identity, "sloth_window": text}
        if window == slo.period_seconds:
            base = f"{_own(slo, 300)}[{text}]"
            expression = f"sum_over_time({base})\n/ ignoring (sloth_window)\ncount_over_time({base})"
        elif slo.ratio_query is not None:
            expression = f"({slo.ratio_query.replace(WINDOW, text)})"
        else:
            error, total = (one.replace(WINDOW, text) for one in (slo.error_query, slo.total_query))
            expression = f"({error})\n/\n({total})"
        yield Record(name=f"slo:sli_error:ratio_rate{text}", expression=expression, labels=labels)


def _metadata(slo: SlothSlo) -> Iterator[Record]:
    labels = {**slo.labels, **slo.identity}
    objective = go_float(float(slo.objective) / 100)
    days = slo.period_seconds / 86_400
    budget = selector("slo:error_budget:ratio", slo.identity)
    yield Record(name="slo:objective:ratio", expression=f"vector({objective})", labels=labels)
    yield Record(name="slo:error_budget:ratio", expression=f"vector(1-{objective})", labels=labels)
    yield Record(name="slo:time_period:days", expression=f"vector({go_float(days)})", labels=labels)
    for name, window in (("current", 300), ("period", slo.period_seconds)):
        expression = f"{_own(slo, window)}\n/ {_ON}\n{budget}"
        yield Record(name=f"slo:{name}_burn_rate:ratio", expression=expression, labels=labels)
    burned = selector("slo:period_burn_rate:ratio", slo.identity)
    yield Record(name="slo:period_error_budget_remaining:ratio", expression=f"1 - {burned}", labels=labels)
    about = {"sloth_mode": "cli-gen-prom", "sloth_spec": "prometheus/v1", "sloth_version": "dbre"}
    information = {**labels, **about, "sloth_objective": go_float(float(slo.objective))}
    yield Record(name="sloth_slo_info", expression="vector(1)", labels=information)


def _alerts(slo: SlothSlo) -> Iterator[Alert]:
    for severity in slo.severities:
        rules = [rule for rule in slo.rules if rule.severity is severity]
        if not rules:
            continue
        who = "{{$labels.sloth_service}} {{$labels.sloth_slo}} SLO error budget burn"
        yield Alert(
            name=slo.alert_name,
            expression="\nor\n".join(_burning(slo, rule) for rule in sorted(rules, key=lambda one: one.long_seconds)),
            labels={**slo.alert_labels, **slo.severity_labels.get(severity, {}), "sloth_severity": severity.value},
            annotations={
                "summary": f"{who} rate is over expected.",
                "title": f"({severity.value}) {who} rate is too fast.",
                **slo.alert_annotations,
            },
        )


def _burning(slo: SlothSlo, rule: BurnRule) -> str:
    limit = f"({_factor(slo, rule)} * {go_float((100 - float(slo.objective)) / 100)})"
    windows = (
        f"    max({_own(slo, window)} > {limit}) without (sloth_window)" for window in (rule.short_seconds, rule.long_seconds)
    )
    return "(\n" + "\n    and\n".join(windows) + "\n)"


def _factor(slo: SlothSlo, rule: BurnRule) -> str:
    """In the order in which Sloth rounds: percent of the budget, hours of the period, hours of the window."""
    percent = rule.factor * rule.long_seconds * 100 / Fraction(slo.period_seconds)
    return go_float(float(percent) / 100 * (slo.period_seconds / 3600) / (rule.long_seconds / 3600))
