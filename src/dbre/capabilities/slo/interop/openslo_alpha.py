"""OpenSLO ``openslo/v1alpha``: the first shape, with its metrics in the objectives."""

from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from dbre.capabilities.slo.interop.model import CarriedOver, Defaults, Findings, ForeignObject, percent
from dbre.capabilities.slo.interop.naming import label
from dbre.capabilities.slo.interop.openslo_basics import Metadata
from dbre.capabilities.slo.interop.openslo_documents import Calendar, TimeWindow
from dbre.capabilities.slo.interop.openslo_windows import window_of
from dbre.capabilities.slo.interop.placing import judged
from dbre.capabilities.slo.interop.promql import bad_expression, counter_of
from dbre.core.config import Document
from dbre.core.config.problems import Place

__all__ = ["import_alpha"]

_UNITS = {"Second": "", "Minute": "m", "Hour": "h", "Day": "d", "Week": "w", "Month": "M", "Quarter": "Q", "Year": "Y"}


class AlphaMetric(Document):
    """One query."""

    source: str
    queryType: str  # noqa: N815 - the name in the specification
    query: str = Field(min_length=1)
    metadata: dict[str, Any] | None = None


class AlphaRatio(Document):
    """Good or bad events of all events."""

    good: AlphaMetric | None = None
    bad: AlphaMetric | None = None
    total: AlphaMetric
    incremental: bool = False
    counter: bool | None = None


class AlphaIndicator(Document):
    """A value that objectives compare."""

    thresholdMetric: AlphaMetric  # noqa: N815 - the name in the specification


class AlphaWindow(Document):
    """The compliance period."""

    unit: Literal["Minute", "Hour", "Day", "Week", "Month", "Quarter", "Year"]
    count: int = Field(ge=1)
    isRolling: bool = False  # noqa: N815 - the name in the specification
    calendar: Calendar | None = None


class AlphaObjective(Document):
    """What is promised."""

    displayName: str | None = None  # noqa: N815 - the name in the specification
    op: Literal["lte", "gte", "lt", "gt"] | None = None
    value: Decimal | None = None
    target: Decimal = Field(ge=0, lt=1)
    timeSliceTarget: Decimal | None = Field(None, gt=0, le=1)  # noqa: N815 - the name in the specification
    ratioMetrics: AlphaRatio | None = None  # noqa: N815 - the name in the specification


class AlphaSpec(Document):
    """The body of an SLO."""

    description: str | None = Field(None, max_length=1050)
    service: str
    indicator: AlphaIndicator | None = None
    timeWindows: list[AlphaWindow] = Field([], max_length=1)  # noqa: N815 - the name in the specification
    budgetingMethod: Literal["Occurrences", "Timeslices"]  # noqa: N815 - the name in the specification
    objectives: list[AlphaObjective] = Field(min_length=1)


class AlphaSlo(Document):
    """A whole SLO."""

    apiVersion: str  # noqa: N815 - the name in the specification
    kind: Literal["SLO"]
    metadata: Metadata
    spec: AlphaSpec


def import_alpha(one: ForeignObject, defaults: Defaults, findings: Findings) -> None:
    """Carry one object over."""
    if one.kind == "Service":
        return
    slo = judged(one.node, AlphaSlo, name="openslo", problems=findings.problems)
    if slo is None:
        return
    place, spec = one.node.place, slo.spec
    windows = [
        TimeWindow(duration=f"{given.count}{_UNITS[given.unit]}", isRolling=given.isRolling, calendar=given.calendar)
        for given in spec.timeWindows
    ]
    for index, objective in enumerate(spec.objectives):
        name = slo.metadata.name
        if len(spec.objectives) > 1:
            name = label(f"{name}-{objective.displayName or index + 1}")
        sli = _sli(name, objective, place, defaults, findings)
        window = window_of(name, windows, place, findings)
        if sli is None or window is None:
            continue
        document: dict[str, object] = {"name": name}
        if spec.description:
            document["description"] = spec.description
        document |= {"selector": dict(defaults.selector), "sli": sli, "target": percent(objective.target)}
        if spec.budgetingMethod == "Timeslices":
            target = objective.timeSliceTarget or objective.target
            document |= {"method": "timeslices", "time_slices": {"length": "1m", "target": percent(target)}}
            findings.lose(place, f"{name}: v1alpha does not say how long a slice is; 1 minute is taken")
        findings.slos.append(CarriedOver({**document, "window": window}, place))


def _sli(
    name: str, objective: AlphaObjective, place: Place, defaults: Defaults, findings: Findings
) -> dict[str, object] | None:
    ratio = objective.ratioMetrics
    part = None if ratio is None else ratio.bad or ratio.good
    if ratio is None or part is None:
        findings.lose(place, f"{name}: a value is compared with a threshold", "write an SLI by hand", is_whole=True)
        return None
    if part.source.lower() != "prometheus":
        findings.lose(
            place,
            f"{name}: its data source is {part.source}, and events are counted from a Prometheus here",
            "write an SLI by hand: sli.kind prometheus, events or sql",
            is_whole=True,
        )
        return None
    total = counter_of(ratio.total.query)
    bad = counter_of(ratio.bad.query) if ratio.bad else bad_expression(part.query, ratio.total.query)
    if total is None or bad is None:
        hint = "write counters alone under sli.bad and sli.total; dbre sums their increases"
        findings.lose(place, f"{name}: its queries are more than sums of one selector's counters", hint, is_whole=True)
        return None
    return {"kind": "prometheus", "server": defaults.server, "bad": bad, "total": total}
