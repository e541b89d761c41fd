"""Alert policies of OpenSLO as burn rules."""

from collections.abc import Sequence

from dbre.capabilities.slo.interop.model import Findings
from dbre.capabilities.slo.interop.naming import label
from dbre.capabilities.slo.interop.openslo_alerts import AlertCondition, AlertPolicy
from dbre.core.config.problems import Place
from dbre.core.errors import UsageError
from dbre.core.units import parse_duration

__all__ = ["rules_of"]

_PAGES = ("page", "critical", "high", "sev1", "p1", "fatal", "urgent", "error")


def rules_of(
    name: str, policies: Sequence[tuple[AlertPolicy, list[AlertCondition]]], place: Place, findings: Findings
) -> dict[str, object]:
    """The key ``alerts`` of an SLO, and what is told of lost telemetry; empty where no policy is given: the default rules."""
    if not policies:
        return {}
    rules = [one for _, conditions in policies for condition in conditions if (one := _rule(name, condition, place, findings))]
    if any(policy.spec.notificationTargets for policy, _ in policies):
        findings.lose(place, f"{name}: notification targets are not carried over", "name contacts and channels in dbre.yaml")
    silent = all(policy.spec.alertWhenNoData is False for policy, _ in policies)
    document: dict[str, object] = {"alerts": rules}
    return document | ({"policies": {"no_data": "ignore"}} if silent else {})


def _rule(name: str, given: AlertCondition, place: Place, findings: Findings) -> dict[str, object] | None:
    condition, words = given.spec.condition, given.spec.severity.lower()
    if condition.op not in ("gt", "gte"):
        findings.lose(
            place,
            f"{name}: condition {given.metadata.name} fires while the burn rate is small ({condition.op})",
            "write op: gt in the original",
        )
        return None
    if condition.op == "gte":
        findings.lose(place, f"{name}: rule {given.metadata.name} fires above {condition.threshold}, not at it")
    severity = "page" if any(one in words for one in _PAGES) else "ticket"
    if words not in ("page", "ticket"):
        findings.lose(place, f"{name}: severity {given.spec.severity!r} of {given.metadata.name} is a {severity} here")
    rule: dict[str, object] = {"name": label(given.metadata.name), "severity": severity}
    rule |= {"factor": f"{condition.threshold.normalize():f}", "long": condition.lookbackWindow}
    if condition.alertAfter is not None and not condition.alertAfter.startswith("0"):
        try:
            parse_duration(condition.alertAfter)
        except UsageError as error:
            findings.refuse(place, f"{given.metadata.name}: alertAfter: {error.message}", error.hint)
            return None
        rule["for"] = condition.alertAfter
    return rule
