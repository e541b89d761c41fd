"""Burn-rate alerts in PromQL: both windows must burn, and the bad events must be more than chance gives."""

from collections.abc import Iterator
from fractions import Fraction

from dbre.capabilities.slo.alert_rules import BurnRule, check_reachable
from dbre.capabilities.slo.compiler.event_counts import bad_of, total_of
from dbre.capabilities.slo.compiler.promql import annotation, duration, matcher, number, selector
from dbre.capabilities.slo.compiler.rule_file import Alert
from dbre.capabilities.slo.compiler.subject import Subject
from dbre.capabilities.slo.low_traffic_guard import GUARD_Z
from dbre.capabilities.slo.objective import allowed_ratio
from dbre.core.text import printable
from dbre.core.units import format_duration

__all__ = ["ALERT_NAME", "burn_alerts", "burn_annotations", "burn_condition"]

ALERT_NAME = "SloErrorBudgetBurn"
"""One name for all: the labels ``slo``, ``cluster``, ``group``, ``rule`` and ``severity`` tell them apart."""


def burn_alerts(subject: Subject, *, interval_ms: int) -> Iterator[Alert]:
    """An alert for each rule of an SLO. Raises: InvalidRule where a rule can never fire."""
    for rule in subject.rules:
        check_reachable(rule, target=subject.definition.target, period_seconds=subject.period_seconds)
        yield Alert(
            name=ALERT_NAME,
            expression=burn_condition(subject, rule, interval_ms=interval_ms)
            if subject.is_counted
            else _decided(subject, rule),
            labels={"slo": subject.name, "severity": rule.severity.value, "rule": rule.name},
            annotations=burn_annotations(subject, rule),
            for_seconds=rule.for_seconds if subject.is_counted else 0,
            keep_firing_seconds=rule.keep_firing_seconds if subject.is_counted else 0,
        )


def _decided(subject: Subject, rule: BurnRule) -> str:
    """What dbre itself decided, with all its delays in it."""
    alert = selector("dbre_slo_alert_firing", {"slo": subject.name, "rule": rule.name})
    return f"max by (cluster, group) ({alert}) == 1"


def burn_condition(subject: Subject, rule: BurnRule, *, interval_ms: int) -> str:
    """When a rule fires. Bad events are compared with a multiple of all events: nothing is divided, so 0/0 cannot happen.

    Where events are due at fixed times (``interval_ms``; 0: they come when they come) the long window has at least as many
    as are due in it, so that the first failures of a short history do not look like a ruined hour.
    """
    allowed = allowed_ratio(subject.definition.target)
    term = f"{{{matcher('slo', subject.name)}}}"
    bad_long, bad_short = bad_of(rule.long_seconds) + term, bad_of(rule.short_seconds) + term
    total_long, total_short = total_of(rule.long_seconds) + term, total_of(rule.short_seconds) + term
    scheduled = Fraction(rule.long_seconds * 1000, interval_ms) if interval_ms else None
    due = total_long if scheduled is None else f"clamp_min({total_long}, {number(scheduled)})"
    limit = number(rule.factor * allowed)
    burning = f"{bad_long} > {limit} * {due}\nand\n{bad_short} > {limit} * {total_short}"
    policies = subject.definition.policies
    if not policies.has_low_traffic_guard:
        return burning
    expected = f"{number(allowed)} * {total_long}"
    bound = f"{expected} + {number(GUARD_Z)} * sqrt({expected}) + {number((GUARD_Z**2 - 1) / 6)}"
    proofs = [f"  {bad_long} > {bound}"]
    if policies.sustained_failures:
        proofs += [
            f"  ({bad} >= {policies.sustained_failures} unless {total} - {bad} > 0.5)"
            for bad, total in ((bad_short, total_short), (bad_long, total_long))
        ]
    return f"{burning}\nand (\n" + "\n  or\n".join(proofs) + "\n)"


def burn_annotations(subject: Subject, rule: BurnRule) -> dict[str, str]:
    """What the alert says; the same for every instance but for its labels."""
    definition, period = subject.definition, format_duration(subject.period_seconds)
    part = rule.factor * rule.long_seconds / subject.period_seconds
    where = "{{ $labels.cluster }}{{ with $labels.group }}/{{ . }}{{ end }}"
    burn = f"the error budget burns more than {number(rule.factor)} times too fast"
    windows = f"over the last {duration(rule.long_seconds)} and the last {duration(rule.short_seconds)}"
    told = printable(definition.description, limit=1050)
    about = f"{annotation(told)}\n" if told else ""
    return {
        "summary": f"{subject.name} on {where}: {burn}",
        "description": f"{about}The target is {(definition.target * 100).normalize():f} % over {period}; {burn} {windows}."
        f" At this pace {float(part) * 100:.3g} % of the whole budget is gone within {duration(rule.long_seconds)}."
        f"\nIn words: dbre slo explain {subject.name}",
    }
