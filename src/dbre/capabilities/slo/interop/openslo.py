"""OpenSLO v1 and v2alpha: SLOs with the SLIs, policies and conditions that they name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from dbre.capabilities.slo.interop.model import CarriedOver, Defaults, Findings, ForeignObject, percent
from dbre.capabilities.slo.interop.naming import label, slo_name
from dbre.capabilities.slo.interop.openslo_alerts import AlertCondition, AlertPolicy, ConditionRef, PolicyRef
from dbre.capabilities.slo.interop.openslo_documents import Objective, Slo
from dbre.capabilities.slo.interop.openslo_indicator import Indicator
from dbre.capabilities.slo.interop.openslo_rules import rules_of
from dbre.capabilities.slo.interop.openslo_sli import sli_of
from dbre.capabilities.slo.interop.openslo_windows import window_of
from dbre.capabilities.slo.interop.placing import judged
from dbre.core.config.problems import Place
from dbre.core.config.tree import Branch, Listing, Node
from dbre.core.text import closest

__all__ = ["ANNOTATION", "import_openslo"]

ANNOTATION = "dbre/slo"
"""Where an export keeps what OpenSLO has no field for, as JSON."""

_IGNORED = ("Service", "AlertNotificationTarget", "DataSource")
_KINDS = ("SLO", "SLI", "AlertPolicy", "AlertCondition", *_IGNORED)
_OTHERS_KEYS = {
    "openslo/v1": {"sli": "indicator", "sliRef": "indicatorRef", "dataSourceRef": "metricSource.metricSourceRef"},
    "openslo.com/v2alpha": {"indicator": "sli", "indicatorRef": "sliRef", "metricSource": "dataSourceRef and spec"},
}


@dataclass(slots=True)
class _Shelf:
    """Objects that others name."""

    indicators: dict[str, Indicator] = field(default_factory=dict)
    policies: dict[str, AlertPolicy] = field(default_factory=dict)
    conditions: dict[str, AlertCondition] = field(default_factory=dict)


def import_openslo(objects: Sequence[ForeignObject], defaults: Defaults, findings: Findings) -> None:
    """Carry every SLO over; what it names may stand in any of the files."""
    shelf = _Shelf()
    for one in objects:
        _check_keys(one, findings)
        if one.kind not in _KINDS:
            near = closest(one.kind, _KINDS)
            place = one.node.keys.get("kind", one.node.place)
            findings.refuse(
                place, f"kind {one.kind!r} is not known to {one.dialect}", f"did you mean {near}?" if near else None
            )
        _shelve(one, shelf, findings)
    for one in objects:
        if one.kind != "SLO":
            continue
        slo = judged(one.node, Slo, name="openslo", problems=findings.problems)
        if slo is not None:
            _Carrier(slo, one.node.place, shelf, defaults, findings).carry()


def _check_keys(one: ForeignObject, findings: Findings) -> None:
    """Keys of another version of the specification are unknown in this one."""
    other = _OTHERS_KEYS[one.dialect]
    pending: list[Node] = [one.node]
    while pending:
        node = pending.pop()
        if isinstance(node, Listing):
            pending += node.items
        elif isinstance(node, Branch):
            for key, below in node.entries.items():
                if key in other:
                    findings.refuse(node.keys[key], f"unknown key {key!r} in {one.dialect}", f"it is {other[key]} there")
                if key not in ("annotations", "labels", "spec") or node is one.node:
                    pending.append(below)


def _shelve(one: ForeignObject, shelf: _Shelf, findings: Findings) -> None:
    if one.kind == "SLI" and (sli := judged(one.node, Indicator, name="openslo", problems=findings.problems)):
        shelf.indicators[sli.metadata.name] = sli
    elif one.kind == "AlertPolicy" and (policy := judged(one.node, AlertPolicy, name="openslo", problems=findings.problems)):
        shelf.policies[policy.metadata.name] = policy
    elif one.kind == "AlertCondition":
        condition = judged(one.node, AlertCondition, name="openslo", problems=findings.problems)
        if condition is not None:
            shelf.conditions[condition.metadata.name] = condition


@dataclass(slots=True)
class _Carrier:
    """Carries one SLO over."""

    slo: Slo
    place: Place
    shelf: _Shelf
    defaults: Defaults
    findings: Findings

    def carry(self) -> None:
        """An SLO for each objective."""
        spec, name = self.slo.spec, self.slo.metadata.name
        if (whole := self._annotated()) is not None:
            self.findings.slos.append(CarriedOver({"name": name, **whole}, self.place))
            return
        if self.slo.metadata.labels:
            self.findings.lose(self.place, f"{name}: labels are not carried over", "select clusters by their own labels")
        parts = []
        for index, objective in enumerate(spec.objectives):
            indicator = self._indicator(objective)
            if indicator is None:
                continue
            part = name if len(spec.objectives) == 1 else self._part_name(index, objective)
            document = self._document(part, objective, indicator)
            if document is not None:
                self.findings.slos.append(CarriedOver(document, self.place))
                parts.append((part, objective.compositeWeight or Decimal(1)))
        if len(spec.objectives) > 1 and spec.objectives[0].own is not None:
            self._join(parts)

    def _join(self, parts: Sequence[tuple[str, Decimal]]) -> None:
        """Objectives with indicators of their own are one SLO: a composite of what each of them became."""
        name, whole = self.slo.metadata.name, len(self.slo.spec.objectives)
        if len(parts) < whole:
            self.findings.lose(
                self.place,
                f"{name}: the composite is left out, because {whole - len(parts)} of its {whole} parts are",
                "write it under slo_composites: name, of: [{slo, weight}]",
            )
            return
        document: dict[str, object] = {"name": slo_name(name, self.place, self.findings)}
        if text := self.slo.spec.description:
            document["description"] = text.strip()
        members = [{"slo": part, "weight": f"{weight.normalize():f}"} for part, weight in parts]
        self.findings.composites.append(CarriedOver({**document, "join": "weighted", "of": members}, self.place))

    def _annotated(self) -> Mapping[str, object] | None:
        """What our own export wrote beside the fields of OpenSLO."""
        text = (self.slo.metadata.annotations or {}).get(ANNOTATION)
        if text is None:
            return None
        try:
            document = json.loads(text)
        except ValueError:
            document = None
        if isinstance(document, dict) and "name" not in document:
            return document
        self.findings.refuse(self.place, f"annotation {ANNOTATION} is not what dbre slo export writes", "remove it")
        return None

    def _part_name(self, index: int, objective: Objective) -> str:
        own = objective.own.metadata.name if isinstance(objective.own, Indicator) else objective.own
        text = f"{self.slo.metadata.name}-{label(objective.displayName or own or str(index + 1))}"
        return slo_name(label(text), self.place, self.findings)

    def _indicator(self, objective: Objective) -> Indicator | None:
        given = objective.own or self.slo.spec.shared
        if isinstance(given, Indicator):
            return given
        if given in self.shelf.indicators:
            return self.shelf.indicators[given]
        near = closest(given or "", list(self.shelf.indicators))
        hint = f"did you mean {near}?" if near else "give the file that defines it as well"
        self.findings.refuse(self.place, f"no SLI is named {given}", hint)
        return None

    def _document(self, name: str, objective: Objective, indicator: Indicator) -> dict[str, object] | None:
        spec = self.slo.spec
        sli = sli_of(name, indicator.spec, objective, self.place, self.defaults, self.findings)
        window = window_of(name, spec.timeWindow, self.place, self.findings)
        rules = rules_of(name, self._policies(), self.place, self.findings)
        if sli is None or window is None:
            return None
        document: dict[str, object] = {"name": name}
        if text := (spec.description or indicator.spec.description):
            document["description"] = text.strip()
        document |= {"selector": dict(self.defaults.selector), "sli": sli, "target": percent(objective.ratio)}
        if spec.budgetingMethod != "Occurrences":
            document |= sliced(spec.budgetingMethod, objective)
        document["window"] = window
        return document | rules

    def _policies(self) -> list[tuple[AlertPolicy, list[AlertCondition]]]:
        found = []
        for given in self.slo.spec.alertPolicies:
            policy = self.shelf.policies.get(given.alertPolicyRef) if isinstance(given, PolicyRef) else given
            if policy is None:
                name = given.alertPolicyRef if isinstance(given, PolicyRef) else ""
                near = closest(name, list(self.shelf.policies))
                hint = f"did you mean {near}?" if near else "give the file that defines it as well"
                self.findings.refuse(self.place, f"no AlertPolicy is named {name}", hint)
                continue
            found.append((policy, [one for one in map(self._condition, policy.spec.conditions) if one is not None]))
        return found

    def _condition(self, given: ConditionRef | AlertCondition) -> AlertCondition | None:
        if isinstance(given, AlertCondition):
            return given
        found = self.shelf.conditions.get(given.conditionRef)
        if found is None:
            near = closest(given.conditionRef, list(self.shelf.conditions))
            hint = f"did you mean {near}?" if near else "give the file that defines it as well"
            self.findings.refuse(self.place, f"no AlertCondition is named {given.conditionRef}", hint)
        return found


def sliced(method: str, objective: Objective) -> dict[str, object]:
    """The keys of an SLO whose budget is counted in slices of time."""
    slices: dict[str, object] = {"length": objective.timeSliceWindow}
    if method == "Timeslices" and objective.timeSliceTarget is not None:
        slices["target"] = percent(objective.timeSliceTarget)
    return {"method": "timeslices" if method == "Timeslices" else "ratio_timeslices", "time_slices": slices}
