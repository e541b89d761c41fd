"""Pyrra's resource ``ServiceLevelObjective`` (``pyrra.dev/v1alpha1``)."""

from decimal import Decimal, InvalidOperation
from typing import Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.slo.interop.model import CarriedOver, Defaults, Findings, ForeignObject, percent
from dbre.capabilities.slo.interop.naming import slo_name
from dbre.capabilities.slo.interop.placing import judged
from dbre.capabilities.slo.interop.promql import Selector, selector_of
from dbre.core.config import Document
from dbre.core.config.problems import Place
from dbre.core.errors import UsageError

__all__ = ["PyrraObjective", "import_pyrra"]


class PyrraQuery(Document):
    """A metric, as a plain vector selector."""

    metric: str = Field(min_length=1)

    @model_validator(mode="after")
    def _plain(self) -> Self:
        if selector_of(self.metric) is None:
            raise UsageError("metric is no plain vector selector", hint='write http_requests_total{job="api"}, no function')
        return self

    @property
    def selector(self) -> Selector:
        """The metric as it was parsed."""
        found = selector_of(self.metric)
        assert found is not None  # noqa: S101 - the validator has seen it
        return found


class PyrraRatio(Document):
    """Errors of all events."""

    errors: PyrraQuery
    total: PyrraQuery
    grouping: list[str] = Field([])


class PyrraLatency(Document):
    """Events of one bucket of all events."""

    success: PyrraQuery
    total: PyrraQuery
    grouping: list[str] = Field([])

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        bounds = [value for name, operator, value in self.success.selector.matchers if name == "le" and operator == "="]
        if len(bounds) != 1:
            raise UsageError("success.metric has no bound", hint='pick one bucket: {le="0.5"}')
        try:
            Decimal(bounds[0].strip("\"'`"))
        except InvalidOperation as error:
            raise UsageError("le of success.metric is no number", hint='write {le="0.5"}') from error
        return self


class PyrraNative(Document):
    """Events below a bound of a native histogram."""

    latency: str
    total: PyrraQuery
    grouping: list[str] = Field([])


class PyrraGauge(Document):
    """A gauge that is 1 or 0."""

    metric: str = Field(min_length=1)
    grouping: list[str] = Field([])


class PyrraIndicator(Document):
    """Exactly one of the four."""

    ratio: PyrraRatio | None = None
    latency: PyrraLatency | None = None
    latencyNative: PyrraNative | None = None  # noqa: N815 - the name in their files
    bool_gauge: PyrraGauge | None = Field(None)
    boolGauge: PyrraGauge | None = None  # noqa: N815 - older files

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = (self.ratio, self.latency, self.latencyNative, self.bool_gauge, self.boolGauge)
        if sum(one is not None for one in given) != 1:
            raise UsageError("an indicator has exactly one of ratio, latency, latencyNative and bool_gauge", hint="keep one")
        return self


class PyrraAlerting(Document):
    """Which alerts are made."""

    disabled: bool = False
    name: str | None = None
    burnrates: bool | None = None
    absent: bool | None = None


class PyrraSpec(Document):
    """The promise."""

    target: str
    window: str = Field(pattern=r"^[0-9]+[smhdw]$")
    description: str | None = None
    indicator: PyrraIndicator
    alerting: PyrraAlerting = PyrraAlerting()
    latency: str | None = None
    performanceOverAccuracy: bool | None = None  # noqa: N815 - the name in their files
    partialResponseStrategy: str | None = None  # noqa: N815 - the name in their files

    @model_validator(mode="after")
    def _a_percentage(self) -> Self:
        try:
            value = Decimal(self.target)
        except InvalidOperation as error:
            raise UsageError("target is no number", hint='write a percentage as text: "99.9"') from error
        if not value.is_finite() or not 0 <= value <= 100:
            raise UsageError(f"target {value} does not lie between 0 and 100", hint='write a percentage as text: "99.9"')
        return self


class PyrraObjective(Document):
    """A whole object."""

    apiVersion: str  # noqa: N815 - the name in their files
    kind: str
    metadata: dict[str, Any]
    spec: PyrraSpec
    status: Any = None


def import_pyrra(one: ForeignObject, defaults: Defaults, findings: Findings) -> None:
    """Carry one object over."""
    objective = judged(one.node, PyrraObjective, name="pyrra", problems=findings.problems)
    if objective is None:
        return
    place, spec = one.node.place, objective.spec
    given = objective.metadata.get("name")
    if not isinstance(given, str) or not given:
        findings.refuse(place, "pyrra.metadata.name is missing", "every SLO has a name")
        return
    name = slo_name(given, place, findings)
    target = Decimal(spec.target)
    if 0 < target < 1:
        hint = f"did you mean {(target * 100).normalize():f}?"
        findings.refuse(place, f"{name}: target {target} is in percent, so that almost everything may fail", hint)
        return
    if spec.performanceOverAccuracy:
        findings.lose(place, f"{name}: performanceOverAccuracy is not needed: counts are exact and cheap here")
    sli = _sli(name, spec.indicator, place, defaults, findings)
    if sli is None:
        return
    document: dict[str, object] = {
        "name": name,
        **({"description": spec.description.strip()[:1050]} if spec.description else {}),
        "selector": dict(defaults.selector),
        "sli": sli,
        "target": percent(target / 100),
        "window": {"rolling": spec.window},
    }
    if spec.alerting.disabled or spec.alerting.burnrates is False:
        document["alerts"] = []
    if spec.alerting.disabled or spec.alerting.absent is False:
        document["policies"] = {"no_data": "ignore"}
    findings.slos.append(CarriedOver(document, place))


def _sli(
    name: str, indicator: PyrraIndicator, place: Place, defaults: Defaults, findings: Findings
) -> dict[str, object] | None:
    if indicator.ratio is not None:
        grouping, total = indicator.ratio.grouping, indicator.ratio.total.selector
        bad = str(indicator.ratio.errors.selector)
    elif indicator.latency is not None:
        grouping, total = indicator.latency.grouping, indicator.latency.total.selector
        bad = f"{total} - ignoring(le) {indicator.latency.success.selector}"
    else:
        what = "a native histogram" if indicator.latencyNative else "a gauge"
        hint = "write an SLI by hand: sli.kind events or service"
        findings.lose(place, f"{name}: its SLI is {what}, and no counters stand for it", hint, is_whole=True)
        return None
    if len(grouping) > 1:
        rest = ", ".join(grouping[1:])
        findings.lose(place, f"{name}: groups by {grouping[0]} alone, without {rest}", "one label names the group here")
    sli: dict[str, object] = {"kind": "prometheus", "server": defaults.server, "bad": bad, "total": str(total)}
    return {**sli, "group_label": grouping[0]} if grouping else sli
