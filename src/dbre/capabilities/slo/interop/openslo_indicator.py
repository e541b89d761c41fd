"""OpenSLO's SLI: events of all events, or a value that is compared."""

from typing import Literal, Self

from pydantic import Field, model_validator

from dbre.capabilities.slo.interop.openslo_basics import Metadata, Metric
from dbre.core.config import Document
from dbre.core.errors import UsageError

__all__ = ["Indicator", "IndicatorSpec", "RatioMetric"]


class RatioMetric(Document):
    """Events of all events, or a ratio that somebody else made."""

    counter: bool = False
    good: Metric | None = None
    bad: Metric | None = None
    total: Metric | None = None
    rawType: Literal["success", "failure"] | None = None  # noqa: N815 - the name in the specification
    raw: Metric | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        counted = self.good is not None or self.bad is not None
        if (self.raw is not None) == (counted or self.total is not None):
            raise UsageError("ratioMetric has either raw, or total with good or bad", hint="write good and total, or raw")
        if self.raw is None and not (counted and self.total is not None):
            raise UsageError("ratioMetric has no total, or neither good nor bad", hint="write good and total")
        if (self.raw is None) != (self.rawType is None):
            raise UsageError("raw and rawType go together", hint="write rawType: success or failure")
        return self


class IndicatorSpec(Document):
    """Exactly one of the two."""

    description: str | None = Field(None, max_length=1050)
    ratioMetric: RatioMetric | None = None  # noqa: N815 - the name in the specification
    thresholdMetric: Metric | None = None  # noqa: N815 - the name in the specification

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.ratioMetric is None) == (self.thresholdMetric is None):
            raise UsageError("an indicator has exactly one of ratioMetric and thresholdMetric", hint="keep one of them")
        return self


class Indicator(Document):
    """An SLI, inline or as an object of its own."""

    apiVersion: str | None = None  # noqa: N815 - the name in the specification
    kind: str | None = None
    metadata: Metadata
    spec: IndicatorSpec
