"""Our SLOs as OpenSLO v1: what it has fields for in its fields, and all of it in one annotation, for the way back."""

import json
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from dbre.capabilities.slo.alert_rules import BurnRule, compact_duration
from dbre.capabilities.slo.budgeting_method import Method, TimeSlices
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.documents import SloDocument
from dbre.capabilities.slo.interop.model import percent
from dbre.capabilities.slo.interop.openslo import ANNOTATION
from dbre.capabilities.slo.sources import PrometheusSource, SqlSource
from dbre.capabilities.slo.window import CalendarUnit, RollingWindow, Window
from dbre.core.config import document_text

__all__ = ["openslo_objects", "openslo_text"]

_METHODS = {
    Method.OCCURRENCES: "Occurrences",
    Method.TIMESLICES: "Timeslices",
    Method.RATIO_TIMESLICES: "RatioTimeslices",
}
_CALENDAR = {
    CalendarUnit.DAY: ("1d", "2024-01-01"),
    CalendarUnit.WEEK: ("1w", "2024-01-01"),  # a Monday
    CalendarUnit.MONTH: ("1M", "2024-01-01"),
    CalendarUnit.QUARTER: ("1Q", "2024-01-01"),
    CalendarUnit.YEAR: ("1Y", "2024-01-01"),
}
_UNITS = ((604_800, "w"), (86_400, "d"), (3_600, "h"), (60, "m"))


def openslo_text(documents: Sequence[SloDocument], *, service: str = "database") -> str:
    """A multi-document YAML file."""
    return "---\n".join(document_text(one) for one in openslo_objects(documents, service=service))


def openslo_objects(documents: Sequence[SloDocument], *, service: str = "database") -> list[dict[str, Any]]:
    """One object of kind SLO for each document."""
    objects: list[dict[str, Any]] = json.loads(json.dumps([_slo(one, service) for one in documents]))  # plain values only
    return objects


def _slo(document: SloDocument, service: str) -> dict[str, Any]:
    definition = document.definition()
    plain = document.model_dump(mode="json", by_alias=True, exclude_unset=True)
    name, plain["target"] = plain.pop("name"), percent(document.target)
    spec: dict[str, Any] = {"description": document.description} if document.description else {}
    spec |= {
        "service": service,
        "indicator": {"metadata": {"name": f"{name[:59].rstrip('-')}-sli"}, "spec": _indicator(definition)},
        "timeWindow": [_window(definition.window)],
        "budgetingMethod": _METHODS[document.method],
        "objectives": [_objective(definition)],
    }
    if policies := _policies(definition, name):
        spec["alertPolicies"] = policies
    annotations = {ANNOTATION: json.dumps(plain, ensure_ascii=False)}
    return {"apiVersion": "openslo/v1", "kind": "SLO", "metadata": {"name": name, "annotations": annotations}, "spec": spec}


def _indicator(definition: Definition) -> dict[str, Any]:
    source = definition.sli.source
    if isinstance(source, PrometheusSource):
        part = {"bad": _asked("Prometheus", {"query": source.bad}, source.prometheus)}
        return {
            "ratioMetric": {"counter": True, **part, "total": _asked("Prometheus", {"query": source.total}, source.prometheus)}
        }
    if isinstance(source, SqlSource) and source.limit is not None:
        return {"thresholdMetric": _asked("SQL", {"query": source.query}, None)}
    sli = definition.sli.as_document()
    return {
        "ratioMetric": {
            "counter": True,
            "good": _asked("dbre", {"sli": sli, "count": "good"}, None),
            "total": _asked("dbre", {"sli": sli, "count": "total"}, None),
        }
    }


def _asked(kind: str, spec: dict[str, Any], server: str | None) -> dict[str, Any]:
    reference = {} if server is None else {"metricSourceRef": server}
    return {"metricSource": {**reference, "type": kind, "spec": spec}}


def _objective(definition: Definition) -> dict[str, Any]:
    objective: dict[str, Any] = {}
    source = definition.sli.source
    if isinstance(source, SqlSource) and source.limit is not None:
        objective |= {"op": "lte", "value": source.limit}
    objective["target"] = _number(definition.target)
    if isinstance(slices := definition.slices, TimeSlices):
        if slices.target is not None:
            objective["timeSliceTarget"] = _number(slices.target)
        objective["timeSliceWindow"] = _duration(slices.seconds)
    return objective


def _number(value: Decimal | Fraction) -> float:
    return float(value)


def _duration(seconds: int) -> str:
    """A duration of OpenSLO: one whole number with one unit; what is no whole minute is rounded up to one.

    The annotation has the exact value.
    """
    for size, unit in _UNITS:
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{-(-seconds // 60)}m"


def _window(window: Window) -> dict[str, Any]:
    if isinstance(window, RollingWindow):
        return {"duration": _duration(window.seconds), "isRolling": True}
    duration, day = _CALENDAR[window.unit]
    calendar = {"startTime": f"{day} 00:00:00", "timeZone": window.time_zone}
    return {"duration": duration, "isRolling": False, "calendar": calendar}


def _policies(definition: Definition, name: str) -> list[dict[str, Any]]:
    rules = definition.rules_for(definition.window.longest_seconds)
    return [_policy(name, rule) for rule in rules]


def _policy(name: str, rule: BurnRule) -> dict[str, Any]:
    condition: dict[str, Any] = {
        "kind": "burnrate",
        "op": "gt",
        "threshold": _number(rule.factor),
        "lookbackWindow": _duration(rule.long_seconds),
        "alertAfter": _duration(rule.for_seconds) if rule.for_seconds else "0m",
    }
    text = f"burns too fast over {compact_duration(rule.long_seconds)} and {compact_duration(rule.short_seconds)}"
    spec = {
        "description": text,
        "alertWhenBreaching": True,
        "conditions": [
            {
                "kind": "AlertCondition",
                "metadata": {"name": rule.name[:63]},
                "spec": {"severity": rule.severity.value, "condition": condition},
            }
        ],
        "notificationTargets": [],
    }
    return {"kind": "AlertPolicy", "metadata": {"name": f"{name[:40].rstrip('-')}-{rule.name[:20].rstrip('-')}"}, "spec": spec}
