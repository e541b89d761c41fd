"""An SLO of OpenSLO ``openslo/v1`` and ``openslo.com/v2alpha``, as strict as their own validator."""

from decimal import Decimal
from typing import Literal, Self

from pydantic import Field, model_validator

from dbre.capabilities.slo.interop.openslo_alerts import AlertPolicy, PolicyRef
from dbre.capabilities.slo.interop.openslo_basics import Metadata, OpenSloDuration, Operator
from dbre.capabilities.slo.interop.openslo_indicator import Indicator
from dbre.capabilities.slo.window import time_zone
from dbre.core.config import Document
from dbre.core.errors import UsageError

__all__ = ["Calendar", "Objective", "Slo", "SloSpec", "TimeWindow"]


class Calendar(Document):
    """When a calendar window begins."""

    startTime: str = Field(pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")  # noqa: N815 - the name in the specification
    timeZone: str  # noqa: N815 - the name in the specification

    @model_validator(mode="after")
    def _known_zone(self) -> Self:
        time_zone(self.timeZone)
        return self


class TimeWindow(Document):
    """The compliance period."""

    duration: OpenSloDuration
    isRolling: bool = False  # noqa: N815 - the name in the specification
    calendar: Calendar | None = None

    @model_validator(mode="after")
    def _either(self) -> Self:
        if self.isRolling == (self.calendar is not None):
            raise UsageError("a window is rolling, or has a calendar", hint="write isRolling: true, or a calendar")
        return self


class Objective(Document):
    """What is promised; with an indicator of its own a part of a composite SLO."""

    displayName: str | None = None  # noqa: N815 - the name in the specification
    op: Operator | None = None
    value: Decimal | None = None
    target: Decimal | None = Field(None, ge=0, lt=1)
    targetPercent: Decimal | None = Field(None, ge=0, lt=100)  # noqa: N815 - the name in the specification
    timeSliceTarget: Decimal | None = Field(None, gt=0, le=1)  # noqa: N815 - the name in the specification
    timeSliceWindow: OpenSloDuration | None = None  # noqa: N815 - the name in the specification
    indicator: Indicator | None = None
    indicatorRef: str | None = None  # noqa: N815 - the name in the specification
    sli: Indicator | None = None
    sliRef: str | None = None  # noqa: N815 - the name in the specification
    compositeWeight: Decimal | None = Field(None, gt=0)  # noqa: N815 - the name in the specification

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if (self.target is None) == (self.targetPercent is None):
            raise UsageError("an objective has exactly one of target and targetPercent", hint="write target: 0.999")
        if sum(one is not None for one in (self.indicator, self.indicatorRef, self.sli, self.sliRef)) > 1:
            raise UsageError("an objective has one indicator, inline or by name", hint="keep one of them")
        return self

    @property
    def own(self) -> Indicator | str | None:
        """The indicator of this objective alone, or the name of it."""
        return self.indicator or self.indicatorRef or self.sli or self.sliRef

    @property
    def ratio(self) -> Decimal:
        """The target as a ratio."""
        return self.target if self.target is not None else (self.targetPercent or Decimal(0)) / 100


Method = Literal["Occurrences", "Timeslices", "RatioTimeslices"]


class SloSpec(Document):
    """The body of an SLO; v1 calls the indicator ``indicator``, v2alpha ``sli``."""

    description: str | None = Field(None, max_length=1050)
    service: str = Field(min_length=1)
    indicator: Indicator | None = None
    indicatorRef: str | None = None  # noqa: N815 - the name in the specification
    sli: Indicator | None = None
    sliRef: str | None = None  # noqa: N815 - the name in the specification
    budgetingMethod: Method  # noqa: N815 - the name in the specification
    timeWindow: list[TimeWindow] = Field([], max_length=1)  # noqa: N815 - the name in the specification
    objectives: list[Objective] = Field(min_length=1)
    alertPolicies: list[PolicyRef | AlertPolicy] = Field([])  # noqa: N815 - the name in the specification

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for objective in self.objectives:
            if self.budgetingMethod == "Timeslices" and objective.timeSliceTarget is None:
                raise UsageError("the method Timeslices needs timeSliceTarget", hint="write timeSliceTarget: 0.95")
            if self.budgetingMethod != "Occurrences" and objective.timeSliceWindow is None:
                raise UsageError(f"the method {self.budgetingMethod} needs timeSliceWindow", hint="write timeSliceWindow: 1m")
        own = [one.own is not None for one in self.objectives]
        if any(own) and not all(own):
            raise UsageError("one objective has an indicator of its own, another has none", hint="give each one, or none")
        given = (self.indicator, self.indicatorRef, self.sli, self.sliRef)
        if sum(one is not None for one in given) + any(own) != 1:
            raise UsageError(
                "the indicator stands with the SLO, or with each objective (a composite SLO)", hint="write it in one place"
            )
        return self

    @property
    def shared(self) -> Indicator | str | None:
        """The indicator of all objectives, or the name of it."""
        return self.indicator or self.indicatorRef or self.sli or self.sliRef


class Slo(Document):
    """A whole SLO."""

    apiVersion: str  # noqa: N815 - the name in the specification
    kind: Literal["SLO"]
    metadata: Metadata
    spec: SloSpec
