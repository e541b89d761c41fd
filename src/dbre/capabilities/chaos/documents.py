"""An experiment as a document: what should hold, what is done to whom and for how long, and when it is given up."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from dbre.capabilities.chaos.injection.catalogue import parameters_of
from dbre.capabilities.chaos.scope_documents import AbortRule, Blast, ClientsOrder, Objectives
from dbre.core.config import Duration, between
from dbre.core.errors import UsageError

__all__ = ["AbortRule", "Experiment", "FaultOrder", "Probe", "ProbeKind", "When"]

Name = Annotated[str, Field(min_length=1, max_length=200)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class When(StrEnum):
    """When a probe has to hold."""

    BEFORE = "before"  # else the experiment does not begin
    DURING = "during"
    AFTER = "after"  # within the time to settle


class ProbeKind(StrEnum):
    """What a probe asks."""

    ANSWERS = "answers"  # an instance says who it is, in time
    VALUE = "value"  # the only value of a query lies within limits
    PRIMARY = "primary"  # exactly one instance of the cluster says that it is primary
    BURN = "burn"  # an SLO does not burn faster than a limit


_NEEDS: Mapping[ProbeKind, tuple[str, ...]] = {
    ProbeKind.ANSWERS: ("instance",),
    ProbeKind.VALUE: ("instance", "query"),
    ProbeKind.PRIMARY: (),
    ProbeKind.BURN: ("slo", "at_most"),
}


class Probe(_Part):
    """One thing that should hold."""

    name: Name = Field(description="for people")
    kind: ProbeKind = Field(
        ProbeKind.ANSWERS,
        description="answers: an instance says who it is; value: of a query; primary: one says that it is; burn: an SLO",
    )
    instance: Name | None = Field(None, description="answers, value: which instance")
    query: Annotated[str, Field(max_length=10_000)] | None = Field(None, description="value: gives one row of one number")
    slo: Name | None = Field(None, description="burn: which objective of the cluster")
    at_least: float | None = Field(None, description="value: the lowest that holds")
    at_most: float | None = Field(None, description="value, burn: the highest that holds")
    within: Annotated[Duration, between("100ms", "15s")] = Field(timedelta(seconds=2), description="of an answer")
    when: tuple[When, ...] = Field((When.BEFORE, When.AFTER), min_length=1, description="before, during, after")
    tolerates: Annotated[Duration, between("100ms", "1h")] | None = Field(
        None, description="during: may fail for so long at a stretch and still holds; default not at all"
    )
    aborts: bool = Field(False, description="during: three failures in a row end the experiment")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        missing = [name for name in _NEEDS[self.kind] if getattr(self, name) is None]
        if self.kind is ProbeKind.VALUE and self.at_least is None and self.at_most is None:
            missing.append("at_least or at_most")
        if missing:
            raise UsageError(f"probe {self.name!r} of kind {self.kind} needs {', '.join(missing)}")
        return self


class FaultOrder(_Part):
    """One fault on one instance."""

    fault: Name = Field(description="its name: dbre chaos faults")
    instance: Name = Field(description="of the cluster")
    parameters: dict[str, Any] = Field(default_factory=dict, description="of this fault")
    start: Annotated[Duration, between("100ms", "1h")] | None = Field(None, description="after the beginning; default at once")
    lasts: Annotated[Duration, between("1s", "1h")] = Field(
        timedelta(seconds=30), alias="for", description="how long it stays at most"
    )

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        try:
            parameters_of(self.fault, self.parameters)
        except UsageError as error:
            raise UsageError(f"{error.message} ({error.hint})" if error.hint else error.message) from error
        return self

    @property
    def start_seconds(self) -> float:
        """When it begins, after the beginning of the experiment."""
        return self.start.total_seconds() if self.start is not None else 0.0


class Experiment(_Part):
    """One experiment on one cluster."""

    api_version: Literal["dbre/v1"] = "dbre/v1"
    kind: Literal["Experiment"] = "Experiment"
    title: Annotated[str, Field(max_length=300)] = Field("", description="the question that it answers")
    cluster: Name = Field(description="of the inventory")
    hypothesis: tuple[Probe, ...] = Field((), max_length=50, description="what should hold")
    faults: tuple[FaultOrder, ...] = Field(max_length=10, description="what is done")
    abort: tuple[AbortRule, ...] | None = Field(
        None,
        max_length=20,
        description="default: an SLO of the cluster pages, or a tenth of its budget is spent; []: no SLO ends it",
    )
    blast: Blast = Field(default_factory=Blast, description="what it keeps away from")
    objectives: Objectives = Field(default_factory=Objectives, description="what is expected meanwhile")
    clients: ClientsOrder | None = Field(None, description="clients that work meanwhile and tell what was lost")
    settle: Annotated[Duration, between("1s", "30m")] = Field(
        timedelta(seconds=60), description="until what should hold after it has to hold again"
    )
    may_take_last: bool = Field(False, description="freeze or crash although no other instance of the cluster answers")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.faults:
            raise UsageError("an experiment without a fault shows nothing: add one to faults")
        return self

    @property
    def seconds(self) -> float:
        """How long the faults take in all."""
        return max(one.start_seconds + one.lasts.total_seconds() for one in self.faults)
